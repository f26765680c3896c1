#include "host/optimizer/model_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "host/core/atomic_file.h"
#include "host/core/safetensors.h"
#include "host/optimizer/device_optimizer.h"
#include "kernels/cells/lstm_cell.h"
#include "tests/support/error_of.h"
#include "tests/support/model_checksum.h"
#include "tests/support/run_process.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

class ModelFile : public testing::Test {
 protected:
  TemporaryDirectory directory;
  const std::string path = directory.file("model.safetensors");

  std::vector<std::byte> read() const { return read_file(path, 1 << 20); }

  /// Saves a small model, changes its parsed content and writes that, with the old checksum or,
  /// like a hostile file, with a correct one.
  template <class Change>
  ThrownError load_changed(Change change, bool right_checksum = false) {
    save_model(path, small_model());
    Safetensors content = parse_safetensors(read(), path);
    change(content);
    if (right_checksum) content.metadata["checksum"] = model_checksum(content);
    directory.write("model.safetensors", write_safetensors(content));
    return error_of([&] { load_model(path); });
  }

  static Optimizer small_model() {
    Optimizer model = make_lstm_optimizer({.layers = 1, .hidden = 2}, OutputInit::kZero, 1);
    model.trained_on = "task = \"quadratic\"\n";
    return model;
  }

  /// Two rules of different shapes.
  static Model model_of_two_rules() {
    Optimizer conv =
        make_lstm_optimizer({.layers = 2, .hidden = 3}, OutputInit::kTruncatedNormal, 4);
    conv.trained_on = small_model().trained_on;
    return {.rules = {{{"conv", {"conv*", "batch_norm?.scale"}}, conv},
                      {{"rest", {"*"}}, small_model()}}};
  }
};

TEST_F(ModelFile, RoundTripOfEveryShape) {
  for (int layers = 0; layers <= LstmConfig::kMaxLayers; ++layers) {
    for (const int hidden : {1, 20, LstmConfig::kMaxHidden}) {
      for (const auto& [preprocessing, output, input_projection] :
           {std::tuple(Preprocessing::kIdentity, Output::kLinear, 0),
            {Preprocessing::kLogAndSign, Output::kLinear, 0},
            {Preprocessing::kLogAndSign, Output::kTanh, 0},
            {Preprocessing::kMoments, Output::kTanh, 0},
            {Preprocessing::kMoments, Output::kTanh, 20},
            {Preprocessing::kAdamMoments, Output::kModulated, 0}}) {
        const LstmConfig lstm = {.layers = layers,
                                 .hidden = hidden,
                                 .preprocessing = preprocessing,
                                 .p = 5.3F,
                                 .input_projection = input_projection,
                                 .output = output,
                                 .output_scale = 0.1F};
        Optimizer model = make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 3);
        model.meta_parameters[0] = -0.0F;
        model.meta_parameters[model.meta_parameters.size() / 2] = 1e-42F;  // denormal
        model.trained_on = "[task]\nname = \"m\xC3\xBCnchen\"\t# \\ \"\n";
        save_model(path, model);
        const Optimizer loaded = load_model(path).only_rule();
        EXPECT_EQ(loaded.cell, model.cell);
        EXPECT_EQ(loaded.trained_on, model.trained_on);
        ASSERT_EQ(loaded.meta_parameters.size(), model.meta_parameters.size());
        for (std::size_t i = 0; i < model.meta_parameters.size(); ++i) {
          EXPECT_EQ(std::bit_cast<std::uint32_t>(loaded.meta_parameters[i]),
                    std::bit_cast<std::uint32_t>(model.meta_parameters[i]));
        }
        const std::vector<std::byte> before = read();
        save_model(path, loaded);
        EXPECT_EQ(read(), before);
      }
    }
  }
}

TEST_F(ModelFile, TensorsAreNamedAndShapedLikePyTorchs) {
  save_model(path, make_lstm_optimizer({}, OutputInit::kZero, 1));
  const Safetensors content = parse_safetensors(read(), path);
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const auto& [name, tensor] : content.tensors) shapes[name] = tensor.shape;
  const std::map<std::string, std::vector<std::int64_t>> expected = {
      {"lstm.weight_ih_l0", {80, 2}},  {"lstm.weight_hh_l0", {80, 20}},
      {"lstm.bias_ih_l0", {80}},       {"lstm.bias_hh_l0", {80}},
      {"lstm.weight_ih_l1", {80, 20}}, {"lstm.weight_hh_l1", {80, 20}},
      {"lstm.bias_ih_l1", {80}},       {"lstm.bias_hh_l1", {80}},
      {"linear.weight", {1, 20}},      {"linear.bias", {1}}};
  EXPECT_EQ(shapes, expected);
  EXPECT_EQ(content.tensors.at("lstm.bias_hh_l1").values, std::vector<float>(80, 0.0F));
}

TEST_F(ModelFile, EveryTruncationIsRefused) {
  save_model(path, small_model());
  const std::vector<std::byte> whole = read();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const ThrownError error = error_of([&] { parse_model(std::span(whole).first(size), path); });
    ASSERT_EQ(error.status, Status::kBadData) << size << " of " << whole.size() << " bytes";
    ASSERT_TRUE(error.says(path)) << error.message;
  }
}

TEST_F(ModelFile, EveryBitFlipIsRefused) {
  save_model(path, small_model());
  const std::vector<std::byte> whole = read();
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::vector<std::byte> flipped = whole;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    const ThrownError error = error_of([&] { parse_model(flipped, path); });
    ASSERT_EQ(error.status, Status::kBadData) << "byte " << bit / 8 << ", bit " << bit % 8;
    ASSERT_TRUE(error.says(path)) << error.message;
  }
}

TEST_F(ModelFile, TrailingBytesAreRefused) {
  save_model(path, small_model());
  std::vector<std::byte> longer = read();
  longer.push_back(std::byte{0});
  directory.write("model.safetensors", longer);
  EXPECT_EQ(error_of([&] { load_model(path); }).status, Status::kBadData);
}

TEST_F(ModelFile, LoadsAHeaderInAnotherOrder) {
  // As other tools write it: another order of keys, other white space, the same tensors.
  save_model(path, small_model());
  const std::vector<std::byte> bytes = read();
  const std::string whole(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::uint64_t length = 0;
  std::memcpy(&length, whole.data(), sizeof length);
  const std::string header = nlohmann::json::parse(whole.substr(8, length)).dump(1);
  ASSERT_LT(header.find("lstm.bias_hh_l0"), header.find("lstm.weight_hh_l0"));
  const std::string data = whole.substr(8 + length);
  length = header.size();
  std::string reordered(reinterpret_cast<const char*>(&length), sizeof length);
  directory.write("model.safetensors", reordered + header + data);
  EXPECT_EQ(load_model(path).only_rule().meta_parameters, small_model().meta_parameters);
}

TEST_F(ModelFile, ErrorsNameTheCause) {
  const auto metadata = [&](const char* key, const char* value) {
    return load_changed([&](Safetensors& content) { content.metadata[key] = value; });
  };
  EXPECT_TRUE(metadata("l2o_format_version", "5").says("format version \"5\"; this program reads"));
  EXPECT_TRUE(metadata("l2o_format_version", "01").says("format version \"01\""));
  EXPECT_TRUE(metadata("p", "11").says("its checksum does not match its content"));
  EXPECT_EQ(metadata("author", "me").message, "");  // from another program: ignored
  EXPECT_TRUE(load_changed([](Safetensors& content) {
                content.metadata.erase("trained_on");
              }).says("metadata key \"trained_on\" is missing"));
  EXPECT_TRUE(load_changed([](Safetensors& content) {
                content.tensors["linear.bias"].values[0] += 1.0F;
              }).says("its checksum does not match its content"));
  EXPECT_TRUE(load_changed([](Safetensors& content) { content.metadata.clear(); }).says(path));
}

TEST_F(ModelFile, RefusesInvalidContentWithACorrectChecksum) {
  const auto refused = [&](auto change, const std::string& cause) {
    const ThrownError error = load_changed(change, true);
    EXPECT_EQ(error.status, Status::kBadData) << cause;
    EXPECT_TRUE(error.says(path + " is not a usable model")) << error.message;
    EXPECT_TRUE(error.says(cause)) << error.message;
  };
  const auto refused_value = [&](const char* key, const char* value, const std::string& cause) {
    refused([&](Safetensors& content) { content.metadata[key] = value; }, cause);
  };
  EXPECT_EQ(load_changed([](Safetensors& c) { c.metadata["p"] = "11"; }, true).message, "");
  refused_value("cell", "gru", "unknown cell \"gru\"");
  refused_value("layers", "4", "layers is \"4\"; expected a number from 0 to 3");
  refused_value("layers", "2", "it has 6 tensors; expected 10");
  refused_value("hidden", "2.5", "hidden is \"2.5\"");
  refused_value("hidden", "99999999999999999999", "hidden is");
  refused_value("hidden", "3", "does not have shape [12, 2]");
  refused_value("preprocessing", "raw", "unknown preprocessing \"raw\"");
  refused_value("preprocessing", "identity", "does not have shape [8, 1]");
  refused_value("p", "nan", "p is \"nan\"");
  refused_value("p", "0", "p is \"0\"");
  refused_value("p", "", "p is \"\"");
  refused_value("output_scale", "inf", "output_scale is \"inf\"");
  refused_value("output_scale", "1x", "output_scale is \"1x\"");
  refused(
      [](Safetensors& content) {
        auto node = content.tensors.extract("linear.bias");
        node.key() = "linear.biases";
        content.tensors.insert(std::move(node));
      },
      "no tensor \"linear.bias\"");
  refused(
      [](Safetensors& content) {
        content.tensors["linear.weight"].shape = {2, 1};
      },
      "tensor \"linear.weight\" does not have shape [1, 2]");
  refused([](Safetensors& content) { content.tensors["linear.weight"].values[1] = std::nanf(""); },
          "tensor \"linear.weight\" holds a non-finite value");
}

TEST_F(ModelFile, RoundTripOfSeveralRules) {
  const Model model = model_of_two_rules();
  save_model(path, model);
  const Model loaded = load_model(path);
  ASSERT_EQ(loaded.rules.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(loaded.rules[i].group, model.rules[i].group);
    EXPECT_EQ(loaded.rules[i].optimizer.cell, model.rules[i].optimizer.cell);
    EXPECT_EQ(loaded.rules[i].optimizer.meta_parameters, model.rules[i].optimizer.meta_parameters);
    EXPECT_EQ(loaded.rules[i].optimizer.trained_on, small_model().trained_on);
  }
  EXPECT_EQ(model_bytes(loaded, "again"), model_bytes(model, "before"));
  EXPECT_TRUE(error_of([&] { loaded.only_rule(); }).says("2 rules (conv, rest)"));
}

TEST_F(ModelFile, ErrorsOfSeveralRulesNameTheCause) {
  save_model(path, model_of_two_rules());
  const auto refused = [&](const auto& change, const std::string& cause) {
    Safetensors content = parse_safetensors(read_file(path, 1 << 20), path);
    change(content);
    content.metadata["checksum"] = model_checksum(content);
    const ThrownError error = error_of([&] { parse_model(write_safetensors(content), "file"); });
    EXPECT_EQ(error.status, Status::kBadData) << cause;
    EXPECT_TRUE(error.says(cause)) << error.message;
  };
  refused([](Safetensors& c) { c.metadata.erase("rules"); }, "\"rules\" is missing");
  refused(
      [](Safetensors& c) {
        c.metadata["rules"] = "conv";
        std::erase_if(c.metadata,
                      [](const auto& entry) { return entry.first.starts_with("rest."); });
      },
      "tensors; expected");
  refused([](Safetensors& c) { c.metadata["rules"] = "conv,rest,more"; }, "\"more.parameters\"");
  refused([](Safetensors& c) { c.metadata["rules"] = "conv,conv"; }, "two rules are named conv");
  refused([](Safetensors& c) { c.metadata["rules"] = "conv,"; }, "a rule without a name");
  refused([](Safetensors& c) { c.metadata["rest.hidden"] = "3"; }, "\"rest.lstm.weight_ih_l0\"");
  refused([](Safetensors& c) { c.tensors.erase("conv.linear.bias"); }, "tensors; expected");
}

TEST_F(ModelFile, BothBiasesAreSummed) {
  EXPECT_EQ(
      load_changed(
          [](Safetensors& content) { content.tensors["lstm.bias_hh_l0"].values[1] = 0.5F; }, true)
          .message,
      "");
  const int bias = lstm_layer_layout({.layers = 1, .hidden = 2}, 0).bias;
  const Optimizer expected = small_model(), loaded = load_model(path).only_rule();
  EXPECT_EQ(loaded.meta_parameters[bias], expected.meta_parameters[bias]);
  EXPECT_EQ(loaded.meta_parameters[bias + 1], expected.meta_parameters[bias + 1] + 0.5F);
}

TEST_F(ModelFile, RefusesNonFiniteNumbers) {
  Optimizer model = small_model();
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    model.meta_parameters[3] = bad;
    const ThrownError error = error_of([&] { save_model(path, model); });
    EXPECT_EQ(error.status, Status::kDiverged);
    EXPECT_TRUE(error.says(path)) << error.message;
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

TEST_F(ModelFile, RefusesToSaveAHandDesignedRule) {
  const ThrownError error =
      error_of([&] { save_model(path, make_hand_designed_optimizer("adam", 0.1F)); });
  EXPECT_EQ(error.status, Status::kUsage);
  EXPECT_TRUE(error.says("adam has nothing to save")) << error.message;
}

TEST_F(ModelFile, RefusesMissingAndHugeFiles) {
  const ThrownError missing = error_of([&] { load_model(path); });
  EXPECT_EQ(missing.status, Status::kInputOutput);
  EXPECT_TRUE(missing.says(path)) << missing.message;

  directory.write("model.safetensors", std::string());
  std::filesystem::resize_file(path, std::uintmax_t{1} << 40);  // a hole, no disk space
  const ThrownError huge = error_of([&] { load_model(path); });
  EXPECT_EQ(huge.status, Status::kBadData);
  EXPECT_TRUE(huge.says(path)) << huge.message;
}

TEST_F(ModelFile, PyTorchLoadsItAndGivesTheSameUpdates) {
  const char* chosen = std::getenv("L2O_PYTHON");
  std::vector<std::string> command = {"/usr/bin/env", chosen != nullptr ? chosen : "python3",
                                      L2O_SOURCE_DIR "/tests/golden/load_model.py"};
  const auto backend = make_backend({.device = DeviceKind::kCpu, .threads = 1});
  for (const auto& [preprocessing, output] : {std::pair(Preprocessing::kIdentity, Output::kLinear),
                                              {Preprocessing::kLogAndSign, Output::kTanh},
                                              {Preprocessing::kAdamMoments, Output::kModulated}}) {
    const Optimizer model = make_lstm_optimizer({.preprocessing = preprocessing, .output = output},
                                                OutputInit::kTruncatedNormal, 9);
    const std::string name = std::to_string(int(preprocessing));
    command.push_back(directory.file(name + ".safetensors"));
    save_model(command.back(), model);
    DeviceOptimizer optimizer(*backend, load_model(command.back()));
    CoordinateState state(*backend, model.cell, 1);
    Buffer<float> gradient(*backend, 1), theta(*backend, 1);
    std::string updates;
    for (int t = 0; t < 50; ++t) {
      gradient.upload({std::sin(float(t)) * std::pow(10.0F, -float(t % 7))});
      theta.fill_zero();
      step(optimizer, 1, gradient.data(), state, theta.data());
      updates += fmt::format("{} {}\n", gradient.download()[0], theta.download()[0]);
    }
    command.push_back(directory.write(name + ".txt", updates));
  }
  const ProcessResult result = run_process(command);
  if (result.exit_code == 77 || result.exit_code == 127) {
    GTEST_SKIP() << "needs Python with torch and safetensors (L2O_PYTHON): " << result.out;
  }
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
}

}  // namespace
}  // namespace l2o
