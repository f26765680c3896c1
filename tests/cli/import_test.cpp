// l2o import: converts files of learning-to-learn to models.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/l2l_file.h"

namespace l2o {
namespace {

class Import : public testing::Test {
 protected:
  /// A file of the fuzz corpus.
  static std::string saved(const std::string& name) {
    return L2O_SOURCE_DIR "/tests/fuzz/corpus/l2l/" + name;
  }
  ProcessResult import(const std::string& file, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"import", file, "--out", model_};
    words.insert(words.end(), more.begin(), more.end());
    return l2o_with(words);
  }
  nlohmann::json info() const {
    return nlohmann::json::parse(l2o_with({"info", model_, "--json"}).out);
  }

  const TemporaryDirectory directory_;
  const std::string model_ = directory_.file("model.safetensors");
  const std::string file_ = saved("valid_python2_dill_protocol_2_float32_c");
};

TEST_F(Import, MakesAModel) {
  const ProcessResult result = import(file_);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out,
            model_ + ": 2 LSTM layers of 3 units, log_and_sign with p = 5, output scale 0.01\n");
  const nlohmann::json json = info();
  EXPECT_EQ(json["layers"], 2);
  EXPECT_EQ(json["hidden"], 3);
  EXPECT_EQ(json["preprocessing"], "log_and_sign");
  EXPECT_EQ(json["p"], 5.0);
  EXPECT_EQ(json["output_scale"], 0.01);
  EXPECT_EQ(json["trained_on"], "");

  const ProcessResult judged =
      l2o_with({"eval", model_, "--task", "quadratic", "--steps", "2", "--runs", "2",
                "--tuning-runs", "1", "--set", "task.functions=2"});
  EXPECT_EQ(judged.exit_code, 0) << judged.err;
}

TEST_F(Import, FlagsSetValuesMissingFromTheFile) {
  EXPECT_EQ(import(file_, {"--p", "7.5", "--output-scale", "0.2"}).exit_code, 0);
  EXPECT_EQ(info()["p"], 7.5);
  EXPECT_EQ(info()["output_scale"], 0.2);
}

/// The network of DeepMind's quadratics: raw gradients, scale 1.
TEST_F(Import, RawGradientsHaveTheirOwnScale) {
  const std::string file = directory_.write(
      "cw.l2l",
      pickled(test::L2lModules{{"linear", {{"w", {{1, 1}, {-2.0}}}, {"b", {{1}, {0.0}}}}}}));
  expect_failure(import(file), 65, "--preprocessing identity");
  const ProcessResult result = import(file, {"--preprocessing", "identity"});
  EXPECT_EQ(result.out, model_ + ": no LSTM layer, identity, output scale 1\n") << result.err;
  EXPECT_EQ(info()["preprocessing"], "identity");
}

TEST_F(Import, RulesOfRnnprop) {
  const ProcessResult result = import(saved("valid_rnnprop"));
  EXPECT_EQ(result.out, model_ +
                            ": 2 LSTM layers of 3 units, moments through a dense layer of 4 units, "
                            "output scale 0.01\n")
      << result.err;
  EXPECT_EQ(info()["input_projection"], 4);
  EXPECT_EQ(info()["output"], "tanh");
}

TEST_F(Import, RefusalsLeaveNoModel) {
  expect_failure(import(saved("runs_code")), 65, "refers to os.system");
  expect_failure(import(saved("valid_rnnprop"), {"--preprocessing", "identity"}), 65, "RNNProp");
  expect_failure(import(saved("cut")), 65, "corpus/l2l/cut is damaged");
  expect_failure(import(directory_.file("none.l2l")), 74, "none.l2l");
  expect_failure(import(file_, {"--preprocessing", "log"}), 2, "--preprocessing");
  for (const char* p : {"0", "nan"}) expect_failure(import(file_, {"--p", p}), 2, "--p");
  expect_failure(import(file_, {"--output-scale", "inf"}), 2, "output_scale");
  expect_failure(l2o_with({"import", file_}), 2, "--out");
  EXPECT_FALSE(std::filesystem::exists(model_));
  expect_failure(l2o_with({"import", file_, "--out", directory_.file("none/m")}), 74, "none/m");
}

}  // namespace
}  // namespace l2o
