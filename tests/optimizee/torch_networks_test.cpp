// Sixteen networks compared with PyTorch: from the same theta_0 and the same minibatches, twenty
// steps of Adam give the same losses. tests/golden/torch_networks.py rebuilds them by hand with
// torch.nn.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "host/backend/buffer.h"
#include "host/core/safetensors.h"
#include "host/optimizee/optimizee.h"
#include "kernels/cells/cell_list.h"
#include "kernels/math/philox.h"
#include "tests/support/run_process.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

constexpr int kSteps = 20;
constexpr TaskRange kTask = {.seed = 4, .first = 2};

struct NetworkCase {
  const char* name;
  const char* data;  ///< a file of write_data()
  int rows;          ///< rows of a minibatch
  std::int64_t set_rows;
  const char* keys;
};

// Images of 12 x 12 x 3 in five classes, of 14 x 14 in ten; vectors of 20 in 65 classes, of 9 with
// four targets.
const NetworkCase kNetworks[] = {
    {"softmax_regression_65", "classes.safetensors", 32, 300, "layers = []\ninit = \"torch\""},
    {"sigmoid_mlp", "grey.safetensors", 32, 300, "layers = [20]\ninitial_sigma = 0.1"},
    {"deep_tanh", "classes.safetensors", 16, 300,
     "layers = [\"dense 30\", \"tanh\", \"dense 30\", \"tanh\", \"dense 30\", \"tanh\", \"dense "
     "30\", \"tanh\"]\ninit = \"torch\""},
    {"regression", "targets.safetensors", 8, 300,
     "layers = [\"dense 16\", \"softplus\"]\nloss = \"mse\"\ninit = \"lecun\""},
    {"autoencoder", "grey.safetensors", 16, 300,
     "layers = [\"dense 24\", \"elu\", \"dense 8\", \"elu\", \"dense 24\", \"relu\"]\nloss = "
     "\"autoencoder\"\ninit = \"torch\""},
    {"valid_convolutions", "colour.safetensors", 16, 300,
     "layers = [\"conv 8 3 valid\", \"relu\", \"conv 8 3 valid stride 2\", \"relu\"]\ninit = "
     "\"he\""},
    {"batch_norm_pooled", "colour.safetensors", 16, 300,
     "layers = [\"conv 8 5\", \"batch_norm\", \"relu\", \"max_pool 2\", \"conv 8 5\", "
     "\"batch_norm\", \"relu\", \"max_pool 2\", \"dense 16\", \"batch_norm\", \"relu\"]\ninit = "
     "\"torch\""},
    {"residual", "colour.safetensors", 8, 300,
     "layers = [\"conv 8 3\", \"batch_norm\", \"relu\", [\"conv 8 3\", \"batch_norm\", \"relu\", "
     "\"conv 8 3\", \"batch_norm\"], \"relu\", \"global_avg_pool\"]\ninit = \"torch\""},
    {"layer_norm_gelu", "classes.safetensors", 16, 300,
     "layers = [\"dense 32\", \"layer_norm\", \"gelu\", \"dense 16\", \"gelu\"]\ninit = "
     "\"glorot\""},
    {"one_row", "grey.safetensors", 1, 300,
     "layers = [\"conv 4 3 stride 2\", \"layer_norm\", \"relu\", \"dense 10\", \"tanh\"]\ninit = "
     "\"torch\""},
    {"class_pair", "grey.safetensors", 32, 300,
     "layers = [\"dense 12\", \"relu\"]\nclasses = [7, 3]\ninit = \"torch\""},
    {"grey_images", "colour.safetensors", 16, 300,
     "layers = [\"conv 6 3\", \"elu\", \"max_pool 2\"]\ngrey = true\ninit = \"torch\""},
    {"overlapping_pools", "colour.safetensors", 16, 300,
     "layers = [\"conv 6 5\", \"relu\", \"max_pool 3 stride 2\", \"avg_pool 2 stride 1\"]\ninit = "
     "\"torch\""},
    {"small_standardised", "colour.safetensors", 16, 300,
     "layers = [\"conv 6 1\", \"tanh\", \"dense 9\", \"sigmoid\"]\nresize = 6\nstandardise = "
     "true\ninit = \"torch\""},
    {"weight_decay", "targets.safetensors", 8, 300,
     "layers = [\"dense 16\", \"relu\", [\"dense 16\", \"gelu\"]]\nloss = \"mse\"\nweight_decay = "
     "0.01\ninit = \"torch\""},
    {"even_kernel", "colour.safetensors", 8, 300,
     "layers = [\"conv 6 4 stride 2\", \"softplus\", \"conv 6 2\", \"gelu\"]\ninit = \"glorot\""},
};

/// Draws of U(0, 1).
std::vector<float> draws(std::uint32_t stream, std::size_t count) {
  const RandomKey key{.seed = 1, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = uniform_from_bits(random_bits(key, i));
  return values;
}

template <class Value>
std::vector<Value> scaled_draws(std::uint32_t stream, std::size_t count, float scale) {
  std::vector<Value> values;
  for (const float draw : draws(stream, count)) values.push_back(static_cast<Value>(draw * scale));
  return values;
}

void write_data(const TemporaryDirectory& directory) {
  const auto labels = [](std::uint32_t stream, float classes) {
    return scaled_draws<std::uint8_t>(stream, 300, classes);
  };
  test::SafetensorsBuilder colour, grey, classes, targets;
  colour.add("inputs", {300, 12, 12, 3}, scaled_draws<std::uint8_t>(1, 300 * 12 * 12 * 3, 256.0F));
  colour.add("labels", {300}, labels(2, 5.0F));
  grey.add("inputs", {300, 14, 14}, scaled_draws<std::uint8_t>(3, 300 * 14 * 14, 256.0F));
  grey.add("labels", {300}, labels(4, 10.0F));
  classes.add("inputs", {300, 20}, scaled_draws<float>(5, 300 * 20, 3.0F));
  classes.add("labels", {300}, labels(6, 65.0F));
  targets.add("inputs", {300, 9}, scaled_draws<float>(7, 300 * 9, 2.0F));
  targets.add("targets", {300, 4}, scaled_draws<float>(8, 300 * 4, 1.5F));
  directory.write("colour.safetensors", colour.bytes());
  directory.write("grey.safetensors", grey.bytes());
  directory.write("classes.safetensors", classes.bytes());
  directory.write("targets.safetensors", targets.bytes());
}

/// theta_0 by name, the rows of every minibatch [kSteps + 1, R] among those that the data set
/// keeps, and the losses [kSteps + 1].
Safetensors trace_of(const NetworkCase& network, const std::string& data_directory) {
  const auto backend = make_backend({DeviceKind::kCpu, 2});
  ConfigReader options = ConfigReader::from_text(
      fmt::format("name = \"network\"\ndata = \"{}\"\nbatch_size = {}\n{}\n", network.data,
                  network.rows, network.keys),
      network.name);
  const auto optimizee = make_optimizee({*backend, 1, data_directory}, options);
  options.finish();
  const auto n = static_cast<std::size_t>(optimizee->coordinates());
  Buffer<float> theta(*backend, n), gradient(*backend, n), loss(*backend, 1);
  float* const theta_block = theta.data();
  const float* const const_block = theta_block;
  float* const gradient_block = gradient.data();
  optimizee->sample(kTask);
  optimizee->initial_parameters({&theta_block, 1});
  optimizee->start_evaluations(0);

  Safetensors trace;
  const std::vector<float> start = theta.download();
  for (const ParameterTensor& tensor : optimizee->layout().tensors()) {
    const auto first = start.begin() + tensor.offset;
    trace.tensors[tensor.name] = {tensor.shape, {first, first + tensor.size}};
  }
  Tensor rows{{kSteps + 1, network.rows}, {}}, losses{{kSteps + 1}, {}};
  CellConfig adam;
  adam.kind = find_cell("adam");
  adam.hyper[0] = 1e-3F;
  adam.hyper[1] = 0.9F;
  adam.hyper[2] = 0.999F;
  adam.hyper[3] = 1e-8F;
  Buffer<std::byte> state(*backend, backend->state_bytes(adam, static_cast<std::int64_t>(n)));
  state.fill_zero();
  for (std::uint32_t t = 0; t <= kSteps; ++t) {
    optimizee->value_and_gradient({&const_block, 1}, t, loss.data(), {&gradient_block, 1});
    losses.values.push_back(loss.download().front());
    const RandomKey key{kTask.seed, RandomPurpose::kMinibatch, kTask.first, t};
    for (int row = 0; row < network.rows; ++row) {
      // One of the 2^24 values of the draw; the row depends on the number of rows in the set.
      rows.values.push_back(uniform_from_bits(random_bits(key, static_cast<std::uint64_t>(row))));
    }
    backend->step({.cell = adam,
                   .n = static_cast<std::int64_t>(n),
                   .packed = nullptr,
                   .gradient = gradient.data(),
                   .state = state.data(),
                   .theta = theta.data()});
  }
  trace.tensors["rows"] = rows;
  trace.tensors["losses"] = losses;
  return trace;
}

TEST(TorchNetworks, TrainLikePyTorch) {
  const TemporaryDirectory directory;
  write_data(directory);
  const char* chosen = std::getenv("L2O_PYTHON");
  std::vector<std::string> command = {"/usr/bin/env", chosen != nullptr ? chosen : "python3",
                                      L2O_SOURCE_DIR "/tests/golden/torch_networks.py",
                                      directory.path()};
  for (const NetworkCase& network : kNetworks) {
    command.push_back(directory.file(std::string(network.name) + ".trace"));
    directory.write(std::string(network.name) + ".trace",
                    write_safetensors(trace_of(network, directory.path())));
  }
  const ProcessResult result = run_process(command);
  if (result.exit_code == 77 || result.exit_code == 127) {
    GTEST_SKIP() << "needs Python with torch and numpy (L2O_PYTHON): " << result.out;
  }
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

}  // namespace
}  // namespace l2o
