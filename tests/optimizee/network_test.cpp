// Networks as tasks: minibatches, splits, initial values, and invalid options.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tests/optimizee/batch.h"
#include "tests/support/error_of.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/small_images.h"

namespace l2o {
namespace {

TEST(Network, EveryEvaluationHasItsOwnMinibatch) {
  const SmallMnist data;
  Batch batch("name = 'mnist'", data.path(), 2, {.seed = 1, .first = 0});
  const std::vector<float> theta = batch.initial_parameters();
  const Batch::Evaluation first = batch.evaluate(theta, 0);
  EXPECT_EQ(batch.evaluate(theta, 0), first);
  EXPECT_NE(batch.evaluate(theta, 1).loss, first.loss);
  EXPECT_NE(first.loss[0], first.loss[1]) << "tasks must not share a minibatch";
}

TEST(Network, SplitsHaveDifferentImages) {
  const SmallMnist data;
  const auto loss_on = [&](const std::string& split) {
    Batch batch("name = 'mnist'\nsplit = '" + split + "'", data.path(), 1, {});
    return batch.evaluate(batch.initial_parameters()).loss;
  };
  EXPECT_EQ(loss_on("train"), loss_on("auto")) << "auto is the training split during meta-training";
  EXPECT_NE(loss_on("train"), loss_on("test"));
}

struct Statistics {
  double mean = 0.0, root_mean_square = 0.0, largest = 0.0;
};

Statistics statistics_of(std::vector<float>::const_iterator begin, std::int64_t count) {
  Statistics statistics;
  for (auto at = begin; at != begin + count; ++at) {
    statistics.mean += *at / static_cast<double>(count);
    statistics.root_mean_square += double{*at} * *at / static_cast<double>(count);
    statistics.largest = std::max(statistics.largest, std::abs(double{*at}));
  }
  statistics.root_mean_square = std::sqrt(statistics.root_mean_square);
  return statistics;
}

TEST(Network, MnistInitializationFollowsThePaper) {
  const SmallMnist data;
  Batch batch("name = 'mnist'", data.path(), 8, {.seed = 1, .first = 0});
  ASSERT_EQ(batch.coordinates(), 25U * 20 + 20 + 20 * 10 + 10);
  const std::vector<float> theta = batch.initial_parameters();
  const RandomKey stream{
      .seed = 1, .purpose = RandomPurpose::kInitialParameters, .task = 0, .step = 0};
  EXPECT_EQ(theta, batch.normal_draws(stream, 8, batch.coordinates(), 0.01F));
  // 5,840 draws of N(0, 0.01^2), weights and biases: bounds at five standard errors.
  const Statistics statistics = statistics_of(theta.begin(), 5840);
  EXPECT_NEAR(statistics.mean, 0.0, 5 * 0.01 / std::sqrt(5840.0));
  EXPECT_NEAR(statistics.root_mean_square, 0.01, 5 * 0.01 / std::sqrt(2 * 5840.0));
  // All classes are nearly equally likely.
  for (const float loss : batch.evaluate(theta).loss) EXPECT_NEAR(loss, std::log(10.0), 0.1);
}

/// Standard deviation and bound of the weights, with 25 inputs and 40 outputs, and standard
/// deviation of the biases.
TEST(Network, InitializationFollowsTheInitKey) {
  const SmallMnist data;
  const double he = std::sqrt(2.0 / 25), lecun = std::sqrt(1.0 / 25), glorot = std::sqrt(6.0 / 65),
               torch = 1.0 / std::sqrt(25.0);
  const struct {
    const char* init;
    double deviation, bound, bias_deviation;  // bound 0: a normal distribution
  } cases[] = {{"he", he, 0.0, 0.0},
               {"lecun", lecun, 0.0, 0.0},
               {"glorot", glorot / std::sqrt(3.0), glorot, 0.0},
               {"torch", torch / std::sqrt(3.0), torch, torch / std::sqrt(3.0)},
               {"normal", 0.25, 0.0, 0.25}};
  for (const auto& test_case : cases) {
    SCOPED_TRACE(test_case.init);
    Batch batch(fmt::format("name = 'mnist'\nlayers = ['dense 40', 'batch_norm']\ninit = '{}'\n"
                            "initial_sigma = 0.25",
                            test_case.init),
                data.path(), 1, {.seed = 1, .first = 0});
    const std::vector<float> theta = batch.initial_parameters();
    const Statistics weights = statistics_of(theta.begin(), 1000),
                     biases = statistics_of(theta.begin() + 1000, 40);
    EXPECT_NEAR(weights.root_mean_square, test_case.deviation,
                5 * test_case.deviation / std::sqrt(2000.0));
    EXPECT_NEAR(weights.mean, 0.0, 5 * test_case.deviation / std::sqrt(1000.0));
    if (test_case.bound > 0.0) {
      EXPECT_LE(weights.largest, test_case.bound * (1.0 + 1e-6));
      EXPECT_GT(weights.largest, test_case.bound * 0.98);
    } else {
      EXPECT_GT(weights.largest, 2.5 * test_case.deviation);
    }
    EXPECT_NEAR(biases.root_mean_square, test_case.bias_deviation,
                5 * test_case.bias_deviation / std::sqrt(80.0));
    // batch_norm: scale 1, shift 0.
    EXPECT_EQ(std::vector<float>(theta.begin() + 1040, theta.begin() + 1080),
              std::vector<float>(40, 1.0F));
    EXPECT_EQ(std::vector<float>(theta.begin() + 1080, theta.begin() + 1120),
              std::vector<float>(40, 0.0F));
  }
}

TEST(Network, TensorsAreContiguousAndNamedByKindAndNumber) {
  const TemporaryDirectory data;
  test::write_small_images(data);
  Batch batch(
      "name = 'cifar10'\nlayers = ['conv 4 3', 'batch_norm', ['conv 4 3', 'layer_norm'], 'dense "
      "8']",
      data.path(), 1, {});
  std::vector<std::string> names;
  std::int64_t next = 0;
  for (const ParameterTensor& tensor : batch.optimizee().layout().tensors()) {
    names.push_back(tensor.name);
    EXPECT_EQ(tensor.offset, next);
    next += tensor.size;
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "conv0.weight", "conv0.bias", "batch_norm0.scale", "batch_norm0.shift",
                       "conv1.weight", "conv1.bias", "layer_norm0.scale", "layer_norm0.shift",
                       "dense0.weight", "dense0.bias", "dense1.weight", "dense1.bias"}));
}

TEST(Network, MissingDataIsAnInputOutputError) {
  const TemporaryDirectory empty;
  const ThrownError error = error_of([&] { Batch("name = 'mnist'", empty.path(), 1, {}); });
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says("train-images-idx3-ubyte")) << error.message;
}

/// Keys of a network on 16 x 16 images of ten classes, and what the message must contain. Each is
/// rejected with a one-line message before any backend memory is allocated.
TEST(Network, InvalidOptionsAreUsageErrors) {
  const TemporaryDirectory data;
  test::write_small_images(data);
  const struct {
    const char* keys;
    std::vector<const char*> phrases;
  } cases[] = {
      // The list itself.
      {"layers = 'dense 3'", {"layers", "a list of quoted strings"}},
      {"layers = ['']", {"layers", "a list of quoted strings"}},
      {"layers = [0]", {"layers", "positive integers"}},
      {"layers = [2.5]", {"layers", "positive integers"}},
      {"layers = [true]", {"layers"}},
      {"layers = ['dense 3', []]", {"layers"}},
      {"layers = [[[[[[[[[['dense 3']]]]]]]]]]", {"layers"}},
      // A layer's text.
      {"layers = ['dens 3']", {"layer 1 \"dens 3\"", "unknown layer", "dense N"}},
      {"layers = ['dense 3', ' ']", {"layer 2", "unknown layer"}},
      {"layers = ['Dense 3']", {"unknown layer", "dense N"}},
      {"layers = ['dense']", {"layer 1 \"dense\"", "expected \"dense N\""}},
      {"layers = ['dense 0']", {"expected \"dense N\"", "1 to 65536"}},
      {"layers = ['dense -3']", {"expected \"dense N\""}},
      {"layers = ['dense 3.0']", {"expected \"dense N\""}},
      {"layers = ['dense 3 4']", {"expected \"dense N\""}},
      {"layers = ['dense 3 relu']", {"expected \"dense N\""}},
      {"layers = ['dense 65537']", {"1 to 65536"}},
      {"layers = ['dense 99999999999999999999']", {"1 to 65536"}},
      {"layers = [65537]", {"layer 1 \"dense 65537\"", "1 to 65536"}},
      {"layers = ['conv 3']", {"conv C K [stride S] [valid]"}},
      {"layers = ['conv 3 300']", {"1 to 65536 and 256"}},
      {"layers = ['conv 3 3 stride']", {"conv C K [stride S] [valid]"}},
      {"layers = ['conv 3 3 stride 0']", {"conv C K [stride S] [valid]"}},
      {"layers = ['conv 3 3 stride 2 stride 2']", {"conv C K [stride S] [valid]"}},
      {"layers = ['conv 3 3 same']", {"conv C K [stride S] [valid]"}},
      {"layers = ['max_pool 2 valid']", {"max_pool K [stride S]"}},
      {"layers = ['batch_norm 3']", {"expected \"batch_norm\""}},
      {"layers = ['relu 6']", {"expected \"relu\""}},
      {"layers = ['residual']", {"unknown layer", "a list of layers inside the list"}},
      // Shapes.
      {"layers = ['conv 3 17 valid']", {"layer 1", "17 x 17", "16 x 16 x 1"}},
      {"layers = ['max_pool 17']", {"17 x 17", "16 x 16 x 1"}},
      {"layers = ['max_pool 8', 'relu', 'avg_pool 3']", {"layer 3", "3 x 3", "2 x 2 x 1"}},
      {"layers = ['dense 9', 'max_pool 2']", {"layer 2", "2 x 2", "1 x 1 x 9"}},
      {"layers = ['conv 2 3', ['conv 3 3']]", {"layer 2 \"[...]\"", "16 x 16 x 3", "16 x 16 x 2"}},
      {"layers = [['dense 3']]", {"layer 1 \"[...]\"", "1 x 1 x 3", "16 x 16 x 1"}},
      {"layers = ['conv 2 3', ['relu', 'max_pool 17']]", {"layer 2.2 \"max_pool 17\""}},
      {"layers = ['dense 3', 'batch_norm']\nbatch_size = 1", {"layer 2", "larger batch_size"}},
      {"layers = ['dense 1', 'layer_norm']", {"layer 2", "an input of one value"}},
      // Losses, data and the other keys.
      {"loss = 'hinge'", {"loss", "cross_entropy"}},
      {"loss = 'mse'", {"loss", "targets"}},
      {"data = 'mine.safetensors'", {"loss", "labels"}},
      {"data = 'mine.safetensors'\nloss = 'mse'\nresize = 2", {"resize", "1 x 1 x 12"}},
      {"data = 'minst'", {"minst", "FILE.safetensors"}},
      {"init = 'xavier'", {"init", "glorot"}},
      {"batch_size = 0", {"batch_size"}},
      {"activation = 'relu'", {"activation"}},
      {"layers = [5]\nactivation = 'swish'", {"activation", "sigmoid"}},
      {"weight_decay = -1.0", {"weight_decay"}},
      {"classes = [1, 12]", {"classes", "no class 12"}},
      {"split = 'valid'", {"split", "train"}},
      {"channels = 'first'", {"channels", "FILE.safetensors"}},
      {"random_scaling = 1.0\nscale_level = 'layer'", {"scale_level", "tensor"}},
      {"convex = -1", {"convex"}},
      {"layer = ['dense 3']", {"layer", "layers"}},
  };
  for (const auto& test_case : cases) {
    const auto backend = make_backend({DeviceKind::kCpu, 1});
    const std::string keys = test_case.keys;
    const bool has_data_key = keys.find("data =") != std::string::npos;
    ConfigReader options = ConfigReader::from_text(
        fmt::format("name = 'network'\n{}{}", has_data_key ? "" : "data = 'mnist'\n", keys),
        "t.toml");
    const ThrownError error = error_of([&] {
      const auto made =
          make_optimizee({.backend = *backend, .tasks = 2, .data_dir = data.path()}, options);
      options.finish();
    });
    SCOPED_TRACE(keys + "\n" + error.message);
    EXPECT_EQ(error.status, Status::kUsage);
    EXPECT_EQ(error.message.find('\n'), std::string::npos);
    for (const char* phrase : test_case.phrases) EXPECT_TRUE(error.says(phrase)) << phrase;
    EXPECT_EQ(backend->memory_in_use(), 0U);
  }
}

TEST(Network, ExcessiveSizeIsRejectedBeforeAllocation) {
  const TemporaryDirectory data;
  test::write_small_images(data);
  for (const char* keys : {"batch_size = 1048576\nlayers = ['conv 65536 3']",
                           "layers = ['dense 65536', 'dense 65536']",
                           "batch_size = 1048576\nlayers = ['conv 8192 3', 'max_pool 2']"}) {
    const auto backend = make_backend({DeviceKind::kCpu, 1});
    ConfigReader options =
        ConfigReader::from_text(fmt::format("name = 'mnist'\n{}", keys), "t.toml");
    const ThrownError error = error_of([&] {
      make_optimizee({.backend = *backend, .tasks = 1 << 20, .data_dir = data.path()}, options);
    });
    SCOPED_TRACE(keys + ("\n" + error.message));
    EXPECT_TRUE(error.status == Status::kOutOfMemory || error.status == Status::kUsage);
    EXPECT_EQ(backend->memory_in_use(), 0U);
  }
}

}  // namespace
}  // namespace l2o
