// Standard streams that are closed or full, and files that may not grow.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/files.h"

namespace l2o {
namespace {

class Streams : public testing::Test {
 protected:
  /// Command lines of every command, each of which prints a result to stdout.
  std::vector<std::vector<std::string>> commands() const {
    return {
        {"--help"},
        {"--version"},
        {"train", "--help"},
        {"train", config_, "--out", directory_.file("run"), "--overwrite"},
        {"eval", model_, "--task", config_, "--steps", "2", "--runs", "2", "--baselines", "sgd"},
        {"eval", model_, "--task", config_, "--steps", "2", "--runs", "2", "--json", "-"},
        {"eval", model_, "--suite", suite_},
        {"task", config_},
        {"report", trained_},
        {"info", model_},
        {"import", l2l_, "--out", directory_.file("imported.safetensors")},
        {"rescale", model_, "--by", "2", "--out", directory_.file("rescaled.safetensors")},
        {"devices"}};
  }
  static std::string words(const std::vector<std::string>& command) {
    std::string text;
    for (const std::string& word : command) text += " " + word;
    return text;
  }

  const TemporaryDirectory directory_;
  const std::string config_ = directory_.write("small.toml", kSmallConfig);
  const std::string model_ = write_model(directory_);
  const std::string suite_ = directory_.write(
      "suite.toml", std::string("steps = [2]\nruns = 1\ntuning_runs = 1\nbaselines = [\"sgd\"]\n"
                                "[[task]]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n"));
  const std::string l2l_ =
      L2O_SOURCE_DIR "/tests/fuzz/corpus/l2l/valid_python3_pickle_protocol_0_float32_c";
  const std::string trained_ = directory_.file("trained");

  void SetUp() override { ASSERT_EQ(l2o_with({"train", config_, "--out", trained_}).exit_code, 0); }
};

TEST_F(Streams, CommandLinesCoverEveryCommand) {
  std::set<std::string> covered;
  for (const std::vector<std::string>& command : commands()) covered.insert(command.front());
  for (const std::string& name : command_names()) EXPECT_TRUE(covered.contains(name)) << name;
}

TEST_F(Streams, AFullStdoutIsAnErrorInEveryCommand) {
  for (const std::vector<std::string>& command : commands()) {
    const ProcessResult result = l2o_with(command, {.stdout_file = "/dev/full"});
    EXPECT_EQ(result.exit_code, 74) << words(command);
    EXPECT_NE(result.err.find("l2o: cannot write to standard output: No space left"),
              std::string::npos)
        << words(command) << ": " << result.err;
  }
}

TEST_F(Streams, AClosedStdoutIsAnErrorBeforeAnyCommandStarts) {
  for (const std::vector<std::string>& command : commands()) {
    SCOPED_TRACE(words(command));
    expect_failure(l2o_with(command, {.closed = {1}}), 74, "standard output is closed");
  }
  EXPECT_FALSE(std::filesystem::exists(directory_.file("run")));
}

TEST_F(Streams, FilesDoNotReplaceClosedStreams) {
  for (const std::vector<int>& closed :
       {std::vector<int>{0}, std::vector<int>{2}, std::vector<int>{0, 2}}) {
    const std::string run = directory_.file("run");
    const ProcessResult result =
        l2o_with({"train", config_, "--out", run, "--overwrite"}, {.closed = closed});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_NE(result.out.find(run), std::string::npos) << result.out;
    for (const char* file : {"/metrics.jsonl", "/config.toml", "/final.safetensors"}) {
      EXPECT_EQ(test::contents(run + file), test::contents(trained_ + file)) << file;
    }
    EXPECT_EQ(test::contents(run + "/lock"), "");
  }
}

TEST_F(Streams, AClosedStdinCannotBeRead) {
  for (const char* path : {"-", "/dev/stdin"}) {
    expect_failure(l2o_with({"task", path}, {.closed = {0}}), 74, "cannot read /dev/stdin");
  }
}

TEST_F(Streams, AClosedStderrCannotBeWritten) {
  const ProcessResult result =
      l2o_with({"eval", model_, "--task", config_, "--steps", "2", "--runs", "2", "--baselines",
                "sgd", "--json", "/dev/stderr"},
               {.closed = {2}});
  EXPECT_EQ(result.exit_code, 74);
}

TEST_F(Streams, FilesAreWrittenBeforeAFullStdout) {
  const std::string json = directory_.file("report.json");
  const ProcessResult result =
      l2o_with({"eval", model_, "--task", config_, "--steps", "2", "--runs", "2", "--json", json},
               {.stdout_file = "/dev/full"});
  EXPECT_EQ(result.exit_code, 74) << result.err;
  EXPECT_TRUE(std::filesystem::exists(json));
}

TEST_F(Streams, AFileBeyondTheSizeLimitIsAnError) {
  const std::string run = directory_.file("run");
  const ProcessResult trained =
      l2o_with({"train", config_, "--out", run}, {.file_size_limit = 700});
  EXPECT_EQ(trained.signal, 0);
  EXPECT_EQ(trained.exit_code, 74) << trained.err;
  EXPECT_NE(trained.err.find("File too large"), std::string::npos) << trained.err;

  const std::string json = directory_.file("report.json");
  const ProcessResult judged =
      l2o_with({"eval", model_, "--task", config_, "--steps", "2", "--runs", "2", "--json", json},
               {.file_size_limit = 10});
  EXPECT_EQ(judged.exit_code, 74) << judged.err;
  EXPECT_NE(judged.err.find("cannot write " + json + ": File too large"), std::string::npos)
      << judged.err;
  EXPECT_FALSE(std::filesystem::exists(json)) << "a partial file";

  const std::string out = directory_.write("out", std::string());
  const ProcessResult help = l2o_with({"--help"}, {.stdout_file = out, .file_size_limit = 10});
  EXPECT_EQ(help.exit_code, 74) << help.err;
}

}  // namespace
}  // namespace l2o
