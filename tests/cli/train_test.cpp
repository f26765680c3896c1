#include <gtest/gtest.h>

#include <pty.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/cli/program.h"
#include "tests/support/files.h"

namespace l2o {
namespace {

class Train : public testing::Test {
 protected:
  std::vector<std::string> command(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {L2O_PROGRAM, "train", config_, "--out", out_};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  ProcessResult train(const std::vector<std::string>& more) const {
    return run_process(command(more));
  }

  const TemporaryDirectory directory_;
  const std::string config_ = directory_.write("small.toml", kSmallConfig);
  const std::string out_ = directory_.file("run");
};

TEST_F(Train, MakesARunDirectory) {
  const ProcessResult result = train({});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << "one line of result";
  EXPECT_NE(result.out.find(out_ + "/best.safetensors"), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("seed 5"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("episode 6/6"), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find('\r'), std::string::npos) << "plain lines without a terminal";
  for (const char* name :
       {"config.toml", "metrics.jsonl", "best.safetensors", "final.safetensors"}) {
    EXPECT_TRUE(std::filesystem::exists(out_ + "/" + name)) << name;
  }
  EXPECT_EQ(l2o_with({"info", out_ + "/final.safetensors"}).exit_code, 0);
}

TEST_F(Train, ReportSummarizesTheRun) {
  EXPECT_EQ(train({}).exit_code, 0);
  const ProcessResult text = l2o_with({"report", out_});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_NE(text.out.find("6 of 6 episodes"), std::string::npos) << text.out;
  const auto json = nlohmann::json::parse(l2o_with({"report", out_, "--json"}).out);
  EXPECT_EQ(json["episodes"], 6);
  EXPECT_EQ(json["movements"].size(), 1U);
  expect_failure(l2o_with({"report", directory_.path()}), 74, "config.toml");
}

TEST_F(Train, ARunThatLearnsNothingExitsAsDiverged) {
  const ProcessResult result =
      train({"--set", "optimizer.output_init=truncated_normal", "--set",
             "optimizer.output_scale=100", "--set", "meta_optimizer.learning_rate=1e-9"});
  EXPECT_EQ(result.exit_code, 76) << result.err;
  EXPECT_NE(result.err.find("l2o report " + out_), std::string::npos) << result.err;
}

TEST_F(Train, FlagsOverrideTheConfig) {
  const ProcessResult result =
      train({"--seed", "9", "--set", "train.episodes=2", "--set", "optimizer.hidden=3"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::string resolved = test::contents(out_ + "/config.toml");
  for (const char* line : {"seed = 9\n", "episodes = 2\n", "hidden = 3\n"}) {
    EXPECT_NE(resolved.find(line), std::string::npos) << line;
  }
}

TEST_F(Train, TheResolvedConfigTrainsTheSame) {
  EXPECT_EQ(train({}).exit_code, 0);
  const std::string again = directory_.file("again");
  EXPECT_EQ(l2o_with({"train", out_ + "/config.toml", "--out", again}).exit_code, 0);
  EXPECT_EQ(test::contents(again + "/final.safetensors"),
            test::contents(out_ + "/final.safetensors"));
}

TEST_F(Train, InvalidConfigs) {
  expect_failure(l2o_with({"train", directory_.file("none.toml"), "--out", out_}), 74, "none.toml");
  expect_failure(train({"--set", "train.episode=3"}), 2, "train.episodes");
  expect_failure(train({"--set", "train.episodes=0"}), 2, "train.episodes = 0");
  expect_failure(train({"--set", "nonsense"}), 2, "nonsense");
  expect_failure(train({"--seed", "-1"}), 2, "seed");
  const std::string broken = directory_.write("broken.toml", std::string("seed = \n"));
  expect_failure(l2o_with({"train", broken, "--out", out_}), 2, "broken.toml:1:");
  EXPECT_FALSE(std::filesystem::exists(out_)) << "a wrong config leaves nothing behind";
}

TEST_F(Train, MissingDataNamesTheFilesAndTheirSource) {
  const std::string mnist =
      directory_.write("mnist.toml", std::string("[task]\nname = \"mnist\"\n"));
  const ProcessResult result =
      l2o_with({"train", mnist, "--out", out_, "--data", directory_.path()});
  EXPECT_EQ(result.exit_code, 74);
  EXPECT_NE(result.err.find("train-images-idx3-ubyte"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("http"), std::string::npos) << result.err;

  const ProcessResult by_environment =
      run_process({L2O_PROGRAM, "train", mnist, "--out", out_},
                  {.environment = {{"L2O_DATA_DIR", "/a/directory/that/is/not/there"}}});
  EXPECT_EQ(by_environment.exit_code, 74);
  EXPECT_NE(by_environment.err.find("/a/directory/that/is/not/there"), std::string::npos)
      << by_environment.err;
}

TEST_F(Train, AnEarlierRunIsKeptUnlessToldOtherwise) {
  EXPECT_EQ(train({}).exit_code, 0);
  const ProcessResult second = train({});
  EXPECT_EQ(second.exit_code, 2) << second.err;
  EXPECT_EQ(train({"--overwrite"}).exit_code, 0);
  EXPECT_EQ(train({"--resume"}).exit_code, 0) << "a complete run resumes to its end";
}

TEST_F(Train, UnwritableDirectory) {
  const ProcessResult result = l2o_with({"train", config_, "--out", "/proc/none/run"});
  EXPECT_EQ(result.exit_code, 74) << result.err;
}

/// Interrupts a run that would take minutes, and checks that it can continue from there.
void expect_clean_stop(int signal, int exit_code, const std::string& run_directory,
                       const std::vector<std::string>& command) {
  Process process(command);
  ASSERT_TRUE(process.wait_for_stderr("episode 1/"));
  process.send(signal);
  if (signal == SIGHUP) process.send(signal);  // as closing terminals may
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "") << "there is no result yet";
  EXPECT_NE(result.err.find("--resume"), std::string::npos) << result.err;
  const std::filesystem::directory_iterator files(run_directory);
  EXPECT_TRUE(std::any_of(begin(files), end(files), [](const auto& entry) {
    return entry.path().filename().string().starts_with("checkpoint-");
  }));

  std::vector<std::string> resume = command;
  resume.push_back("--resume");
  Process resumed(resume);
  const std::string shown = "\nepisode ";
  ASSERT_TRUE(resumed.wait_for_stderr(shown));
  resumed.send(signal);
  const ProcessResult second = resumed.finish();
  EXPECT_EQ(second.exit_code, exit_code) << second.err;
  const std::size_t first_episode = second.err.find(shown) + shown.size();
  EXPECT_GT(std::stoll(second.err.substr(first_episode)), 1) << second.err;
}

TEST_F(Train, SigintSavesACheckpoint) {
  expect_clean_stop(SIGINT, 130, out_, command({"--set", "train.episodes=100000000"}));
}

TEST_F(Train, SigtermSavesACheckpoint) {
  expect_clean_stop(SIGTERM, 143, out_, command({"--set", "train.episodes=100000000"}));
}

TEST_F(Train, Sigusr1OfABatchSystemSavesACheckpoint) {
  expect_clean_stop(SIGUSR1, 143, out_, command({"--set", "train.episodes=100000000"}));
}

TEST_F(Train, SighupOfATerminalSavesACheckpoint) {
  std::signal(SIGHUP, SIG_DFL);  // not ignored because of a nohup around the tests
  expect_clean_stop(SIGHUP, 143, out_, command({"--set", "train.episodes=100000000"}));
}

/// Terminates a run in the middle of long work, after it has run for this number of
/// milliseconds.
void expect_stop_in_the_middle(const std::vector<std::string>& command, int milliseconds,
                               const std::string& said) {
  Process process(command);
  ASSERT_TRUE(process.wait_for_stderr("memory: "));
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  process.send(SIGTERM);
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 143) << result.err;
  EXPECT_NE(result.err.find(said), std::string::npos) << result.err;
}

TEST_F(Train, ASignalStopsEvenALongEvaluation) {
  expect_stop_in_the_middle(command({"--set", "evaluation.every=1", "--set",
                                     "evaluation.steps=10000000", "--set", "train.steps=3"}),
                            300, "stopped by SIGTERM after 1 episodes");
}

TEST_F(Train, ASignalStopsEvenALongUnroll) {
  expect_stop_in_the_middle(command({"--set", "task.dimension=300", "--set", "train.steps=50000",
                                     "--set", "train.unroll_length=50000"}),
                            0, "stopped by SIGTERM after 0 episodes");
}

TEST_F(Train, AStoppedAndResumedRunEndsTheSame) {
  std::vector<std::string> long_run;
  int stopped = 0;
  // Longer and longer, until the signal comes before the run's end.
  for (int episodes = 3000; stopped == 0 && episodes <= 100'000; episodes *= 3) {
    long_run = {"--set", "train.episodes=" + std::to_string(episodes), "--set",
                "evaluation.every=1000"};
    std::vector<std::string> replacing = long_run;
    replacing.push_back("--overwrite");
    Process process(command(replacing));
    ASSERT_TRUE(process.wait_for_stderr("episode 1/"));
    process.send(SIGINT);
    stopped = process.finish().exit_code;
  }
  ASSERT_EQ(stopped, 130);
  std::vector<std::string> resume = long_run;
  resume.push_back("--resume");
  EXPECT_EQ(train(resume).exit_code, 0);
  const std::string interrupted = test::contents(out_ + "/final.safetensors");

  std::vector<std::string> overwrite = long_run;
  overwrite.push_back("--overwrite");
  EXPECT_EQ(train(overwrite).exit_code, 0);
  EXPECT_EQ(test::contents(out_ + "/final.safetensors"), interrupted);
}

/// The output of a program on a terminal with this number of columns.
std::string on_terminal(const std::vector<std::string>& command, unsigned short columns) {
  winsize size{};
  size.ws_row = 24;
  size.ws_col = columns;
  int terminal = -1;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) {
    std::vector<char*> words;
    for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    execv(words[0], words.data());
    _exit(127);
  }
  std::string out;
  char bytes[4096];
  for (ssize_t count = 0; (count = read(terminal, bytes, sizeof bytes)) > 0;) {
    out.append(bytes, static_cast<std::size_t>(count));
  }
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return out;
}

TEST_F(Train, RewritesOneLineOnATerminal) {
  constexpr unsigned short kColumns = 60;
  const std::string out = on_terminal(
      command({"--set", "train.episodes=100", "--set", "evaluation.every=100"}), kColumns);
  std::istringstream lines(out);
  int progress_lines = 0;
  for (std::string line; std::getline(lines, line, '\r');) {
    constexpr std::string_view kClearToEnd = "\x1b[K";
    if (!line.ends_with(kClearToEnd)) continue;
    if (line.find("validation") != std::string::npos) continue;  // stays, so it may wrap
    ++progress_lines;
    EXPECT_LT(line.size() - kClearToEnd.size(), kColumns) << line;
  }
  EXPECT_GE(progress_lines, 1) << out;
  EXPECT_NE(out.find("[."), std::string::npos) << "a bar: " << out;
}

TEST_F(Train, AnUnavailableDeviceIsAnError) {
  // The table lists cuda even if there is none.
  const ProcessResult devices = l2o_with({"devices", "--json"});
  if (devices.out.find("cuda") != std::string::npos) GTEST_SKIP() << "this machine has one";
  expect_failure(train({"--device", "cuda"}), 69, "CUDA");
}

TEST_F(Train, DivergenceHasAnExitCode) {
  const ProcessResult result =
      train({"--set", "task.initial_sigma=1000", "--set", "optimizer.output_scale=1000", "--set",
             "optimizer.output_init=truncated_normal", "--set", "optimizer.preprocessing=identity",
             "--set", "train.max_skipped_updates=3", "--set", "meta_optimizer.learning_rate=1000",
             "--set", "train.steps=3000", "--set", "train.unroll_length=3000", "--set",
             "train.episodes=100000"});
  EXPECT_EQ(result.exit_code, 76) << result.err;
}

}  // namespace
}  // namespace l2o
