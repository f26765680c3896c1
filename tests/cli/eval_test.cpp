// l2o eval and l2o info.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/files.h"

namespace l2o {
namespace {

class Eval : public testing::Test {
 protected:
  /// Runs on a few small tasks.
  ProcessResult eval(const std::vector<std::string>& more, const std::string& task) const {
    std::vector<std::string> words = {"eval",    model_, "--task", task,
                                      "--steps", "4",    "--runs", "3"};
    words.insert(words.end(), more.begin(), more.end());
    return l2o_with(words);
  }

  const TemporaryDirectory directory_;
  const std::string model_ = write_model(directory_);
  const std::string config_ = directory_.write("small.toml", kSmallConfig);
};

TEST_F(Eval, PrintsATable) {
  const ProcessResult result = eval({}, config_);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* word : {"quadratic", "seed 1", "lstm", "sgd", "nag", "rmsprop", "adam"}) {
    EXPECT_NE(result.out.find(word), std::string::npos) << word << " is not in: " << result.out;
  }
  EXPECT_NE(result.err.find("sgd, learning rate"), std::string::npos) << "progress is on stderr";
}

TEST_F(Eval, AcceptsNamesAndKeysOfTasks) {
  const ProcessResult result =
      eval({"--baselines", "sgd", "--set", "task.dimension=2", "--set", "task.functions=1"},
           "quadratic");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out.find("adam"), std::string::npos) << result.out;
}

TEST_F(Eval, JsonOnStdoutIsTheOnlyOutput) {
  const ProcessResult result =
      eval({"--json", "-", "--seed", "3", "--device", "cpu", "--tuning-runs", "2"}, config_);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["task"], "quadratic");
  EXPECT_EQ(json["steps"], 4);
  EXPECT_EQ(json["runs"], 3);
  EXPECT_EQ(json["tuning_runs"], 2);
  EXPECT_EQ(json["seed"], 3);
  EXPECT_EQ(json["device"], "cpu");
  EXPECT_EQ(json["optimizers"].size(), 5U);
  EXPECT_EQ(json["optimizers"][0]["name"], "lstm");
  EXPECT_EQ(json["optimizers"][0]["curve_mean"].size(), 5U);
}

TEST_F(Eval, SameSeedSameBytes) {
  const ProcessResult one = eval({"--json", "-", "--threads", "1"}, config_);
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(eval({"--json", "-", "--threads", "2"}, config_).out, one.out);
  EXPECT_NE(eval({"--json", "-", "--seed", "2"}, config_).out, one.out);
}

TEST_F(Eval, ScalesAndSchedulesAreReported) {
  const ProcessResult result =
      eval({"--json", "-", "--schedule", "cosine", "--update-scale", "0.5", "--weight-decay", "0.1",
            "--baselines", "sgd,adam@1e-3", "--baseline-schedules", "constant,linear"},
           config_);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["update_scale"], 0.5);
  EXPECT_EQ(json["optimizers"][0]["schedule"], "cosine");
  EXPECT_EQ(json["optimizers"][2]["name"], "adam@1e-3");
  EXPECT_EQ(json["optimizers"][2]["learning_rate"], 1e-3);
  EXPECT_NE(result.out,
            eval({"--json", "-", "--schedule", "cosine", "--baselines", "sgd"}, config_).out);
}

TEST_F(Eval, ASignalStopsIt) {
  Process process(
      {L2O_PROGRAM, "eval", model_, "--task", config_, "--steps", "20000", "--runs", "1"});
  EXPECT_TRUE(process.wait_for_stderr("lstm: final loss"));  // before the searches
  process.send(SIGINT);
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("l2o: stopped by SIGINT"), std::string::npos) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST_F(Eval, WritesFiles) {
  const std::string json = directory_.file("r.json");
  const std::string csv = directory_.file("r.csv");
  const ProcessResult result =
      eval({"--json", json, "--csv", csv, "--plot", directory_.file("r.svg")}, config_);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("lstm"), std::string::npos) << "the table stays on stdout";
  EXPECT_EQ(nlohmann::json::parse(test::contents(json))["optimizers"].size(), 5U);
  EXPECT_EQ(test::contents(csv).find("step,lstm_mean,lstm_se,sgd_mean"), 0U);
}

TEST_F(Eval, EveryMemberIsCheckedBeforeTheFirstRun) {
  const std::string mixture = directory_.write(
      "mixture.toml", std::string("[[task]]\nname = \"quadratic\"\nfunctions = 2\n"
                                  "[[task]]\nname = \"simple\"\ndimensions = 3\n"));
  expect_failure(eval({}, mixture), 2, "task[1].dimension");
}

TEST_F(Eval, AMemberWhoseRulesDivergeIsReported) {
  const std::string mixture =
      directory_.write("mixture.toml", "[[task]]\nname = \"quadratic\"\nfunctions = 2\n" +
                                           write_diverging_member(directory_));
  const ProcessResult result = eval({"--json", "-", "--baselines", "sgd"}, mixture);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_FALSE(json["members"][0]["optimizers"][1]["final_loss_mean"].is_null());
  EXPECT_TRUE(json["members"][1]["optimizers"][1]["final_loss_mean"].is_null());
}

TEST_F(Eval, WithoutGnuplotTheNumbersAreKept) {
  const ProcessResult result =
      run_process({L2O_PROGRAM, "eval", model_, "--task", config_, "--steps", "4", "--runs", "3",
                   "--plot", directory_.file("picture.png")},
                  {.environment = {{"PATH", directory_.path()}}});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("gnuplot is not installed"), std::string::npos) << result.err;
  EXPECT_EQ(test::contents(directory_.file("picture.png.csv")).find("step,lstm_mean"), 0U);
}

TEST_F(Eval, InvalidFlags) {
  expect_failure(eval({}, "quadrtic"), 2, "the nearest is quadratic");
  expect_failure(eval({}, directory_.file("none.toml")), 74, "none.toml");
  expect_failure(eval({"--set", "train.steps=3"}, config_), 2, "task.KEY=VALUE");
  expect_failure(eval({"--set", "task.functons=3"}, config_), 2, "task.functions");
  expect_failure(eval({"--baselines", "sgd,adm"}, config_), 2, "adm");
  expect_failure(eval({"--baselines", "sgd,adam@fast"}, config_), 2, "adam@fast");
  expect_failure(eval({"--baseline-schedules", "constant,cosin"}, config_), 2, "cosin");
  expect_failure(eval({"--baseline-schedules", ""}, config_), 2, "at least one");
  expect_failure(eval({"--schedule", "exponential"}, config_), 2, "--schedule");
  expect_failure(eval({"--update-scale", "0"}, config_), 2, "--update-scale");
  expect_failure(eval({"--weight-decay", "-1"}, config_), 2, "--weight-decay");
  for (const char* option : {"--update-scale", "--gradient-scale", "--weight-decay"}) {
    for (const char* value : {"nan", "-nan", "inf", "1x", ""}) {
      expect_failure(eval({option, value}, config_), 2, std::string(option) + ": ");
    }
  }
  expect_failure(eval({"--plot", "a.pdf"}, config_), 2, "a.pdf");
  expect_failure(eval({"--json", "-", "--csv", "-"}, config_), 2, "stdout");
  const std::string no_task = directory_.write("no_task.toml", std::string("seed = 1\n"));
  expect_failure(eval({}, no_task), 2, "[task]");
}

TEST_F(Eval, RefusesTooLargeBeforeTheFirstRun) {
  expect_failure(l2o_with({"eval", model_, "--task", config_, "--device", "cpu", "--runs",
                           "1000000", "--steps", "10000000", "--set", "task.functions=65536",
                           "--set", "task.dimension=2"}),
                 71, "reduce the number of runs");
  expect_failure(eval({"--set", "task.functions=1048576", "--set", "task.dimension=4096"}, config_),
                 71, "out of memory");
}

TEST_F(Eval, UnwritableReportsAreDetectedFirst) {
  expect_failure(eval({"--json", directory_.file("none/r.json")}, config_), 74, "r.json");
  expect_failure(eval({"--csv", directory_.path()}, config_), 74, "directory");
  const ProcessResult full = eval({"--json", "/dev/full"}, config_);
  EXPECT_EQ(full.exit_code, 74);
  EXPECT_NE(full.err.find("l2o: cannot write /dev/full"), std::string::npos) << full.err;
}

TEST_F(Eval, DamagedAndMissingModels) {
  expect_failure(l2o_with({"info", directory_.file("none.safetensors")}), 74, "none.safetensors");
  std::string bytes = test::contents(model_);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  const std::string damaged = directory_.write("damaged.safetensors", bytes);
  expect_failure(l2o_with({"info", damaged}), 65, "damaged.safetensors");
  expect_failure(l2o_with({"eval", damaged, "--task", "quadratic"}), 65, "damaged.safetensors");
  expect_failure(l2o_with({"eval", config_, "--task", "quadratic"}), 65, "small.toml");
}

TEST_F(Eval, InfoShowsTheContentOfAModel) {
  const ProcessResult text = l2o_with({"info", model_});
  EXPECT_EQ(text.exit_code, 0);
  for (const char* word : {"lstm", "log_and_sign", "117", "seed = 1"}) {
    EXPECT_NE(text.out.find(word), std::string::npos) << word << " is not in: " << text.out;
  }

  const auto json = nlohmann::json::parse(l2o_with({"info", model_, "--json"}).out);
  EXPECT_EQ(json["cell"], "lstm");
  EXPECT_EQ(json["layers"], 1);
  EXPECT_EQ(json["hidden"], 4);
  EXPECT_EQ(json["preprocessing"], "log_and_sign");
  EXPECT_EQ(json["p"], 10.0);
  EXPECT_EQ(json["output_scale"], 0.1);
  // 16 x 2 + 16 x 4 weights and 16 biases of the layer, 4 + 1 of the output.
  EXPECT_EQ(json["meta_parameters"], 117);
  EXPECT_EQ(json["state_per_coordinate"], 8);
  EXPECT_EQ(json["trained_on"], "seed = 1\n");
}

}  // namespace
}  // namespace l2o
