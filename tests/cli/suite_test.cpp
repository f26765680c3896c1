// l2o eval --suite, from the suite file to the report.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/files.h"

namespace l2o {
namespace {

const std::string kSuite =
    "steps = [5, 10]\nruns = 2\ntuning_runs = 1\nbaselines = [\"sgd\"]\n"
    "baseline_schedules = [\"constant\"]\n"
    "[[task]]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n";

class Suite : public testing::Test {
 protected:
  ProcessResult eval(const std::vector<std::string>& more, const std::string& suite) const {
    std::vector<std::string> words = {"eval", model_, "--suite", suite, "--device", "cpu"};
    words.insert(words.end(), more.begin(), more.end());
    return l2o_with(words);
  }

  const TemporaryDirectory directory_;
  const std::string model_ = write_model(directory_);
  const std::string suite_ = directory_.write("small.toml", kSuite);
};

TEST_F(Suite, TheQuickSuiteRunsEndToEnd) {
  const std::string quick = L2O_SOURCE_DIR "/examples/suites/quick.toml";
  const std::string report = directory_.file("report");
  const ProcessResult result =
      eval({"--report", report, "--cache", directory_.file("cache")}, quick);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* word : {"quick", "model", "sgd", "adam@1e-3", "geometric mean", "all"}) {
    EXPECT_NE(result.out.find(word), std::string::npos) << word << " is not in: " << result.out;
  }
  EXPECT_NE(result.err.find("left"), std::string::npos) << "progress is on stderr";
  EXPECT_NE(result.err.find("100 %"), std::string::npos) << result.err;
  const auto json = nlohmann::json::parse(test::contents(report + "/report.json"));
  EXPECT_EQ(json["suite"], "quick");
  EXPECT_GE(json["contests"].size(), 5U);
  EXPECT_EQ(test::contents(report + "/report.csv").find("task,steps,contestant"), 0U);
  EXPECT_EQ(test::contents(report + "/report.html").find("<!doctype html>"), 0U);

  const ProcessResult again = eval({"--cache", directory_.file("cache")}, quick);
  EXPECT_EQ(again.out, result.out) << "the cache changes nothing";
}

TEST_F(Suite, JsonOnStdoutIsTheOnlyOutput) {
  const ProcessResult result = eval({"--json", "-"}, suite_);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["contests"].size(), 2U);
  EXPECT_EQ(json["contests"][0]["contestants"][0]["name"], "model");
  EXPECT_EQ(json["contests"][0]["contestants"][0]["final_losses"].size(), 2U);
}

TEST_F(Suite, SameSeedSameBytes) {
  const ProcessResult one = eval({"--json", "-", "--threads", "1"}, suite_);
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(eval({"--json", "-", "--threads", "2"}, suite_).out, one.out);
  EXPECT_NE(eval({"--json", "-", "--set", "seed=2"}, suite_).out, one.out);
}

TEST_F(Suite, ModelsAreComparedSideBySide) {
  const std::string other = directory_.file("other.safetensors");
  std::filesystem::copy(model_, other);
  const auto json = nlohmann::json::parse(eval({other, "--json", "-"}, suite_).out);
  EXPECT_EQ(json["models"], nlohmann::json({"model", "other"}));
  const auto& contestants = json["contests"][0]["contestants"];
  EXPECT_EQ(contestants[0]["final_losses"], contestants[1]["final_losses"]);

  std::filesystem::create_directory(directory_.file("b"));
  const std::string same_name = directory_.file("b/model.safetensors");
  std::filesystem::copy(model_, same_name);
  const auto paths = nlohmann::json::parse(eval({same_name, "--json", "-"}, suite_).out);
  EXPECT_EQ(paths["models"], nlohmann::json({model_, same_name})) << "distinguished by their paths";
}

TEST_F(Suite, AMemberWhoseRulesDivergeIsReported) {
  const std::string mixed =
      directory_.write("mixed.toml", kSuite + write_diverging_member(directory_));
  const ProcessResult result = eval({"--json", "-"}, mixed);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("diverging, 5 steps: every rule diverged"), std::string::npos)
      << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["contests"][0]["best_baseline"], "sgd");
  EXPECT_TRUE(json["contests"][2]["best_baseline"].is_null());
  EXPECT_EQ(json["summaries"][0]["contests"], 1);
}

TEST_F(Suite, FlagsSetTheStepsOfTheLearnedRules) {
  const auto json = nlohmann::json::parse(
      eval({"--json", "-", "--schedule", "cosine", "--update-scale", "0.5"}, suite_).out);
  EXPECT_EQ(json["schedule"], "cosine");
  EXPECT_EQ(json["update_scale"], 0.5);
  EXPECT_EQ(json["contests"][0]["contestants"][0]["schedule"], "cosine");
  EXPECT_EQ(json["contests"][0]["contestants"][1]["schedule"], "constant");
}

TEST_F(Suite, ADamagedCacheEntryIsRecomputed) {
  const std::string cache = directory_.file("cache");
  const ProcessResult whole = eval({"--cache", cache}, suite_);
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  for (const auto& entry : std::filesystem::directory_iterator(cache)) {
    std::ofstream(entry.path()) << "{";
    break;
  }
  const ProcessResult again = eval({"--cache", cache}, suite_);
  EXPECT_EQ(again.out, whole.out);
  EXPECT_NE(again.err.find("is damaged"), std::string::npos) << again.err;
  EXPECT_EQ(eval({"--cache", cache}, suite_).err.find("is damaged"), std::string::npos);
}

TEST_F(Suite, RefusesInvalidCommands) {
  const std::string unknown = directory_.write("unknown.toml", "rums = 3\n" + kSuite);
  const std::string unknown_key = directory_.write("key.toml", kSuite + "dimensons = 3\n");
  const std::string no_task = directory_.write("no_task.toml", std::string("steps = [5]\n"));
  const std::string data = directory_.write("data.toml", std::string("[[task]]\nname = \"mlp\"\n"));
  const struct {
    std::vector<std::string> arguments;
    int exit_code;
    std::string part;
  } rows[] = {
      {{"eval", model_}, 2, "either --task or --suite"},
      {{"eval", model_, "--task", "quadratic", "--suite", suite_}, 2, "either --task or --suite"},
      {{"eval", model_, model_, "--task", "quadratic"}, 2, "requires --suite"},
      {{"eval", model_, "--task", "quadratic", "--cache", "x"}, 2, "--cache requires --suite"},
      {{"eval", model_, "--task", "quadratic", "--report", "x"}, 2, "--report requires --suite"},
      {{"eval", model_, "--suite", suite_, "--steps", "5"}, 2, "--steps requires --task"},
      {{"eval", model_, "--suite", suite_, "--runs", "5"}, 2, "--runs requires --task"},
      {{"eval", model_, "--suite", suite_, "--seed", "5"}, 2, "--seed requires --task"},
      {{"eval", model_, "--suite", suite_, "--baselines", "sgd"}, 2, "--baselines requires"},
      {{"eval", model_, "--suite", suite_, "--baseline-schedules", "linear"}, 2, "--task"},
      {{"eval", model_, "--suite", suite_, "--tuning-runs", "5"}, 2, "--tuning-runs requires"},
      {{"eval", model_, "--suite", suite_, "--csv", "-"}, 2, "--csv requires --task"},
      {{"eval", model_, "--suite", suite_, "--plot", "a.svg"}, 2, "--plot requires --task"},
      {{"eval", model_, "--suite", suite_, "--set", "stps=[5]"}, 2, "steps"},
      {{"eval", model_, "--suite", suite_, "--schedule", "cosin"}, 2, "--schedule"},
      {{"eval", model_, "--suite", unknown}, 2, "rums"},
      {{"eval", model_, "--suite", unknown_key}, 2, "dimension"},
      {{"eval", model_, "--suite", no_task}, 2, "[[task]]"},
      {{"eval", model_, "--suite", data}, 74, "no data directory"},
      {{"eval", model_, "--suite", directory_.file("none.toml")}, 74, "none.toml"},
      {{"eval", directory_.file("none"), "--suite", suite_}, 74, "none"},
      {{"eval", suite_, "--suite", suite_}, 65, "small.toml"},
      {{"eval", model_, "--suite", suite_, "--report", suite_}, 74, "small.toml"},
      {{"eval", model_, "--suite", suite_, "--cache", suite_}, 74, "small.toml"},
      {{"eval", model_, "--suite", suite_, "--json", directory_.path()}, 74, "directory"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.arguments.back());
    expect_failure(l2o_with(row.arguments), row.exit_code, row.part);
  }
}

TEST_F(Suite, ASignalStopsItAndKeepsFinishedResults) {
  const std::string long_suite = directory_.write(
      "long.toml",
      std::string(
          "steps = [10, 10000000]\nruns = 2\ntuning_runs = 1\nbaselines = [\"sgd\"]\n[[task]]\n"
          "name = \"quadratic\"\nfunctions = 2\n"));
  for (const auto& [signal, exit_code] : {std::pair(SIGINT, 130), std::pair(SIGTERM, 143)}) {
    const std::string cache = directory_.file("cache" + std::to_string(signal));
    Process process({L2O_PROGRAM, "eval", model_, "--suite", long_suite, "--cache", cache});
    EXPECT_TRUE(process.wait_for_stderr("10 steps: best sgd"));
    process.send(signal);
    const ProcessResult result = process.finish();
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_NE(result.err.find("l2o: stopped by SIG"), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(std::filesystem::is_empty(cache));
  }
}

}  // namespace
}  // namespace l2o
