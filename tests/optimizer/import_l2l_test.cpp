#include "host/optimizer/import_l2l.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "host/core/atomic_file.h"
#include "host/optimizer/device_optimizer.h"
#include "host/optimizer/pickle.h"
#include "tests/reference/sonnet_reference.h"
#include "tests/support/error_of.h"
#include "tests/support/l2l_file.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using reference::SonnetNetwork;
using test::L2lArray;
using test::L2lModules;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// The formula of make_l2l.py; `shrink` keeps wide layers out of saturation.
L2lArray synthetic_array(int stream, const std::vector<std::int64_t>& shape, double shrink = 1.0) {
  L2lArray array{.shape = shape, .values = {}};
  const auto size = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies());
  for (std::int64_t i = 0; i < size; ++i) {
    array.values.push_back(static_cast<double>((37 * i + 11 * stream) % 101 - 50) / 64 * shrink);
  }
  return array;
}

L2lModules synthetic_modules(int layers, std::int64_t hidden, std::int64_t inputs) {
  L2lModules modules;
  int stream = 0;
  const double shrink = hidden > 3 ? 0.25 : 1.0;
  for (int layer = 1; layer <= layers; ++layer) {
    auto& module = modules[std::string("lstm_") + std::to_string(layer)];
    module["w_gates"] = synthetic_array(stream++, {inputs + hidden, 4 * hidden}, shrink);
    module["b_gates"] = synthetic_array(stream++, {4 * hidden}, shrink);
    inputs = hidden;
  }
  modules["linear"]["w"] = synthetic_array(stream++, {inputs, 1}, shrink);
  modules["linear"]["b"] = synthetic_array(stream++, {1}, shrink);
  return modules;
}

/// A rule of RNNProp whose dense layer has the given width.
L2lModules rnnprop_modules(int layers, std::int64_t hidden, std::int64_t width) {
  L2lModules modules = synthetic_modules(layers, hidden, width);
  modules["input_projection"]["w"] = synthetic_array(50, {2, width});
  modules["input_projection"]["b"] = synthetic_array(51, {width});
  return modules;
}

SonnetNetwork network_of(const L2lModules& modules, const L2lOptions& options) {
  SonnetNetwork network;
  for (const auto& [name, variables] : modules) {
    if (!name.starts_with("lstm_")) continue;
    network.layers.push_back({variables.at("w_gates").values, variables.at("b_gates").values});
  }
  network.w = modules.at("linear").at("w").values;
  network.b = modules.at("linear").at("b").values.front();
  if (modules.contains("input_projection")) {
    network.projection_w = modules.at("input_projection").at("w").values;
    network.projection_b = modules.at("input_projection").at("b").values;
  }
  network.log_and_sign = options.preprocessing != Preprocessing::kIdentity;
  network.k = double{options.p};
  network.scale = double{options.output_scale};
  return network;
}

/// Five steps on gradients of either sign, from 1 down to 1e-6.
void expect_same_steps(const Optimizer& rule, const SonnetNetwork& network) {
  constexpr int kCoordinates = 37, kSteps = 5;
  const auto backend = make_backend({.device = DeviceKind::kCpu, .threads = 1});
  DeviceOptimizer on_device(*backend, rule);
  CoordinateState state(*backend, rule.cell, kCoordinates);
  Buffer<float> theta(*backend, kCoordinates), gradients(*backend, kCoordinates);
  theta.upload(std::vector<float>(kCoordinates, 0.0F));
  std::vector<SonnetNetwork::State> states(kCoordinates, network.initial_state());
  std::vector<double> expected(kCoordinates, 0.0);
  for (int t = 0; t < kSteps; ++t) {
    std::vector<float> gradient;
    for (int i = 0; i < kCoordinates; ++i) {
      gradient.push_back(std::sin(float(7 * t + i)) * std::exp(-float(i) / 3.0F));
      expected[i] += network.step(gradient.back(), states[i]);
    }
    gradients.upload(gradient);
    step(on_device, kCoordinates, gradients.data(), state, theta.data());
  }
  const std::vector<float> moved = theta.download();
  double largest = 0.0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  ASSERT_GT(largest, 0.0);
  for (int i = 0; i < kCoordinates; ++i) {
    EXPECT_NEAR(moved[i], expected[i], tolerance::kImportedUpdate * largest) << "coordinate " << i;
  }
}

std::vector<std::string> saved_networks() {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(L2O_SOURCE_DIR "/tests/fuzz/corpus/l2l")) {
    if (entry.path().filename().string().starts_with("valid_python")) paths.push_back(entry.path());
  }
  return paths;
}

TEST(ImportL2l, ImportsNetworksSavedByPython) {
  const std::vector<std::string> paths = saved_networks();
  EXPECT_EQ(paths.size(), 7U);
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    const Optimizer rule = import_l2l_file(path, {});
    const LstmConfig expected = {.layers = 2, .hidden = 3, .p = 5.0F, .output_scale = 0.01F};
    EXPECT_EQ(rule.cell.lstm, expected);
    EXPECT_EQ(rule.trained_on, "");
    expect_same_steps(rule, network_of(synthetic_modules(2, 3, 2), {}));
  }
}

TEST(ImportL2l, EveryShape) {
  for (int layers = 0; layers <= LstmConfig::kMaxLayers; ++layers) {
    for (const int hidden : {1, 5, LstmConfig::kMaxHidden}) {
      for (const auto preprocessing : {Preprocessing::kIdentity, Preprocessing::kLogAndSign}) {
        SCOPED_TRACE(testing::Message() << layers << " layers of " << hidden << ", "
                                        << preprocessing_name(preprocessing));
        const L2lOptions options = {
            .preprocessing = preprocessing, .p = 4.0F, .output_scale = 0.3F};
        L2lModules modules =
            synthetic_modules(layers, hidden, preprocessing == Preprocessing::kIdentity ? 1 : 2);
        modules["linear"]["w"].wide = true;
        const Optimizer rule = import_l2l(bytes_of(pickled(modules)), options, "here");
        EXPECT_EQ(rule.cell.lstm.layers, layers);
        if (layers > 0) {
          EXPECT_EQ(rule.cell.lstm.hidden, hidden);
        }
        expect_same_steps(rule, network_of(modules, options));
      }
    }
  }
}

TEST(ImportL2l, RefusesUnsupportedNetworks) {
  struct Row {
    std::function<void(L2lModules&)> change;
    std::string part;
  };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Row rows[] = {
      {[](L2lModules& m) {
         m["input_projection"] = {{"w", synthetic_array(0, {2, 20})}};
       },
       "no input_projection/b"},
      {[](L2lModules& m) {
         m = rnnprop_modules(2, 3, 4);
         m["input_projection"]["w"] = synthetic_array(0, {1, 4});
       },
       "input_projection/w has shape [1, 4]; expected [2, 4]"},
      {[](L2lModules& m) { m = rnnprop_modules(2, 3, 65); }, "input_projection/b has 65 values"},
      {[](L2lModules& m) { m["input_projection"] = rnnprop_modules(2, 3, 4)["input_projection"]; },
       "lstm_1/w_gates has shape [5, 12]; expected [7, 12]"},
      {[](L2lModules& m) { m.erase("linear"); }, "no module linear"},
      {[](L2lModules& m) { m.erase("lstm_1"); }, "module lstm_2; expected"},
      {[](L2lModules& m) { m["batch_norm_h"] = m["linear"]; }, "module batch_norm_h; expected"},
      {[](L2lModules& m) { m["lstm_1"]["w_f_diag"] = synthetic_array(0, {3}); }, "lstm_1/w_f_diag"},
      {[](L2lModules& m) { m["lstm_2"].erase("b_gates"); }, "no lstm_2/b_gates"},
      {[](L2lModules& m) { m["linear"].erase("b"); }, "no linear/b"},
      {[](L2lModules& m) { m = synthetic_modules(4, 3, 2); }, "4 LSTM layers; expected at most 3"},
      {[](L2lModules& m) { m = synthetic_modules(1, 65, 2); }, "lstm_1/b_gates has 260 values"},
      {[](L2lModules& m) { m["lstm_1"]["b_gates"] = synthetic_array(0, {13}); }, "has 13 values"},
      {[](L2lModules& m) {
         m["lstm_1"]["b_gates"] = synthetic_array(0, {12, 1});
       },
       "has shape [12, 1]"},
      {[](L2lModules& m) { m = synthetic_modules(2, 3, 1); }, "use --preprocessing identity"},
      {[](L2lModules& m) { m = synthetic_modules(2, 3, 20); }, "reads 20 numbers per coordinate"},
      {[](L2lModules& m) { m = synthetic_modules(0, 3, 1); }, "use --preprocessing identity"},
      // DeepMind's code can have layers of different widths, and outputs for whole kernels.
      {[](L2lModules& m) { m["lstm_2"]["b_gates"] = synthetic_array(0, {8}); },
       "lstm_2/b_gates has shape [8]; expected [12]"},
      {[](L2lModules& m) {
         m["lstm_2"]["w_gates"] = synthetic_array(0, {7, 12});
       },
       "lstm_2/w_gates has shape [7, 12]; expected [6, 12]"},
      {[](L2lModules& m) {
         m["linear"]["w"] = synthetic_array(0, {3, 25});
       },
       "linear/w has shape [3, 25]; expected [3, 1]"},
      {[=](L2lModules& m) { m["lstm_2"]["b_gates"].values[7] = kInfinity; }, "lstm_2 contains inf"},
      {[](L2lModules& m) { m["linear"]["w"].values[0] = std::nan(""); }, "linear contains nan"},
      {[](L2lModules& m) {
         m["linear"]["w"] = {{3, 1}, {0.0, 0.0, 1e39}, true};
       },
       "1e+39"},
  };
  for (const Row& row : rows) {
    L2lModules modules = synthetic_modules(2, 3, 2);
    row.change(modules);
    const ThrownError error =
        error_of([&] { import_l2l(bytes_of(pickled(modules)), {}, "cw.l2l"); });
    EXPECT_EQ(error.status, Status::kBadData) << row.part;
    EXPECT_TRUE(error.says("cannot import cw.l2l: ")) << error.message;
    EXPECT_TRUE(error.says(row.part)) << row.part << " is not in: " << error.message;
  }
}

TEST(ImportL2l, RulesOfRnnprop) {
  for (const auto& [layers, hidden, width] : {std::tuple(2, 20, 20), {1, 3, 4}, {0, 1, 5}}) {
    SCOPED_TRACE(testing::Message() << layers << " layers of " << hidden << ", width " << width);
    const L2lModules modules = rnnprop_modules(layers, hidden, width);
    const L2lOptions options = {.output_scale = 0.1F};
    const Optimizer rule = import_l2l(bytes_of(pickled(modules)), options, "rp.l2l-0");
    EXPECT_EQ(rule.cell.lstm.input_projection, width);
    EXPECT_EQ(rule.cell.lstm.preprocessing, Preprocessing::kMoments);
    EXPECT_EQ(rule.cell.lstm.output, Output::kTanh);
    expect_same_steps(rule, network_of(modules, options));
  }
}

TEST(ImportL2l, RnnpropHasItsOwnPreprocessing) {
  const std::string bytes = pickled(rnnprop_modules(1, 3, 4));
  const ThrownError error =
      error_of([&] { import_l2l(bytes_of(bytes), {Preprocessing::kLogAndSign}, "rp.l2l-0"); });
  EXPECT_EQ(error.status, Status::kBadData);
  EXPECT_TRUE(error.says("omit --preprocessing")) << error.message;
}

TEST(ImportL2l, TwoInputsAreLogAndSign) {
  const std::string bytes = pickled(synthetic_modules(1, 3, 2));
  const ThrownError error = error_of(
      [&] { import_l2l(bytes_of(bytes), {.preprocessing = Preprocessing::kIdentity}, "cw.l2l"); });
  EXPECT_TRUE(error.says("use --preprocessing log_and_sign")) << error.message;
}

TEST(ImportL2l, CheckpointsOfTensorFlowAreNamed) {
  const std::string table = "any table\x57\xfb\x80\x8b\x24\x75\x47\xdb";
  const ThrownError error = error_of([&] { import_l2l(bytes_of(table), {}, "epoch-90.index"); });
  EXPECT_EQ(error.status, Status::kBadData);
  EXPECT_TRUE(error.says("RNNProp") && error.says("epoch-90.index")) << error.message;
}

TEST(ImportL2l, RefusesInvalidOptions) {
  const std::string bytes = pickled(synthetic_modules(1, 3, 2));
  for (const L2lOptions& options :
       {L2lOptions{.p = 0.0F}, L2lOptions{.p = 81.0F}, L2lOptions{.output_scale = INFINITY}}) {
    const ThrownError error = error_of([&] { import_l2l(bytes_of(bytes), options, "cw.l2l"); });
    EXPECT_EQ(error.status, Status::kUsage) << error.message;
  }
}

TEST(ImportL2l, EveryTruncationIsRefused) {
  for (const std::string& path : saved_networks()) {
    const std::vector<std::byte> whole = read_file(path, 1 << 20);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const ThrownError error =
          error_of([&] { import_l2l(std::span(whole).first(size), {}, path); });
      ASSERT_EQ(error.status, Status::kBadData) << path << ": " << size << " bytes";
      ASSERT_TRUE(error.says(path)) << error.message;
    }
  }
}

/// A bit flip in the values of an array gives a different rule; all others are rejected, with no
/// other effect.
TEST(ImportL2l, BitFlipsAreRefusedOrHarmless) {
  for (const std::string& path : saved_networks()) {
    std::vector<std::byte> bytes = read_file(path, 1 << 20);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::byte flip = std::byte{1} << (i % 8);
      bytes[i] ^= flip;
      try {
        EXPECT_TRUE(std::ranges::all_of(import_l2l(bytes, {}, path).meta_parameters,
                                        [](float value) { return std::isfinite(value); }));
      } catch (const Error& error) {
        EXPECT_EQ(error.status(), Status::kBadData) << path << ", byte " << i;
      }
      bytes[i] ^= flip;
    }
  }
}

}  // namespace
}  // namespace l2o
