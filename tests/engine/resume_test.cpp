// A run that was stopped in any way and resumed gives the same bytes as an uninterrupted one.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/engine/small_run.h"
#include "tests/support/error_of.h"
#include "tests/support/files.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

using test::run_bytes;
using test::RunBytes;
using test::SmallRun;

class Resume : public testing::Test {
 protected:
  /// The bytes of an uninterrupted run with the same settings.
  RunBytes uninterrupted(SmallRun run = {}) const {
    run.directory = root_.file("uninterrupted");
    run.train();
    return run_bytes(run.directory);
  }

  /// A run of the directory `name` that was stopped after this episode of 12, ready to be resumed.
  /// Its newest checkpoint may be in the middle of an episode.
  SmallRun stopped_run(const std::string& name, std::int64_t episode = 7) const {
    SmallRun run{root_.file(name)};
    run.progress = [episode](const TrainProgress& progress) {
      if (progress.episode == episode) throw std::runtime_error("no more");
    };
    EXPECT_THROW(run.train(), std::runtime_error);
    run.progress = {};
    run.resume = true;
    return run;
  }

  const TemporaryDirectory root_;
};

TEST_F(Resume, AfterStopAtEveryUnrollGivesSameBytes) {
  const RunBytes expected = uninterrupted();

  // 12 episodes of 3 unrolls.
  const SmallRun chopped{root_.file("chopped")};
  EXPECT_EQ(train_unroll_by_unroll(chopped, 36), 36);
  EXPECT_EQ(run_bytes(chopped.directory), expected);
}

TEST_F(Resume, OfIndependentMembersGivesSameBytes) {
  const std::string config = R"(
seed = 5
[[task]]
name = "quadratic"
functions = 2
dimension = 3
[[task]]
name = "simple"
dimension = 40
tasks = 1
random_scaling = 1.0
[optimizer]
layers = 1
hidden = 4
preprocessing = "adam_moments"
output = "modulated"
[train]
episodes = 6
steps = [3, 18]
unroll_length = 3
tasks = 2
schedule = "mixed"
loss = "log"
checkpoint_every = 4
[meta_optimizer]
member_clip_norm = 0.5
[evaluation]
every = 2
runs = 3
steps = 9
average = 3
)";
  const SmallRun chopped{root_.file("chopped"), config};
  const RunBytes expected = uninterrupted(chopped);
  // The mean length is 3 unrolls: (18 - 3) / log 6 / 3.
  EXPECT_EQ(train_unroll_by_unroll(chopped, 18), 18);
  EXPECT_EQ(run_bytes(chopped.directory), expected);
}

// Stops within steps, backward passes and evaluations, including the last one.
TEST_F(Resume, AfterStopAtEveryPollGivesSameBytes) {
  int polls = 0;
  SmallRun run;
  run.overrides = {"train.episodes=4", "evaluation.every=2"};
  run.poll = [&] { ++polls; };
  const RunBytes expected = uninterrupted(run);
  ASSERT_GT(polls, 50);

  for (int last = 1; last <= polls; ++last) {
    SCOPED_TRACE(last);
    SmallRun stopped = run;
    stopped.directory = root_.file("stopped");
    stopped.overwrite = true;
    int left = last;
    stopped.poll = [&] {
      if (--left == 0) throw Error(Status::kTerminated, "stopped");
    };
    ASSERT_EQ(stopped.train().stopped_by_signal, SIGTERM);
    ASSERT_EQ(left, 0);
    SmallRun resumed{stopped.directory};
    resumed.overrides = run.overrides;
    resumed.resume = true;
    EXPECT_EQ(resumed.train().stopped_by_signal, 0);
    EXPECT_EQ(run_bytes(resumed.directory), expected);
  }
}

TEST_F(Resume, AfterExceptionAfterAnyEpisodeGivesSameBytes) {
  const RunBytes expected = uninterrupted();
  for (std::int64_t last = 1; last < 12; ++last) {
    const SmallRun broken = stopped_run("broken" + std::to_string(last), last);
    broken.train();
    EXPECT_EQ(run_bytes(broken.directory), expected) << "after " << last;
  }
}

TEST_F(Resume, OfCompleteRunChangesNothing) {
  SmallRun run{root_.file("run")};
  const TrainResult first = run.train();
  const auto bytes = run_bytes(run.directory);
  run.resume = true;
  const TrainResult second = run.train();
  EXPECT_EQ(run_bytes(run.directory), bytes);
  EXPECT_EQ(second.episodes, first.episodes);
  EXPECT_EQ(second.best_validation, first.best_validation);
  EXPECT_EQ(second.best_episode, first.best_episode);
}

/// Trains in a separate process; returns its id.
pid_t start_process(const SmallRun& run) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  int code = 0;
  try {
    run.train();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 1;
  }
  ::_exit(code);
}

TEST_F(Resume, AfterKillsAtRandomMomentsGivesSameBytes) {
  const char* const wanted = std::getenv("L2O_TEST_KILLS");
  const int least_kills = wanted != nullptr ? std::stoi(wanted) : 10;
  SmallRun run;
  run.overrides = {"train.episodes=100", "train.checkpoint_every=2"};
  const RunBytes expected = uninterrupted(run);

  std::mt19937 random(20);
  int all_kills = 0;
  for (int i = 0; all_kills < least_kills; ++i) {
    SmallRun killed = run;
    killed.directory = root_.file("killed" + std::to_string(i));
    int kills = 0;
    // However fast the machine is, the first process does not finish.
    killed.progress = [last = std::uniform_int_distribution<std::int64_t>(1, 99)(random)](
                          const TrainProgress& progress) {
      if (progress.episode == last) ::raise(SIGKILL);
    };
    for (bool complete = false; !complete; killed.progress = {}) {
      killed.resume = std::filesystem::exists(killed.directory + "/config.toml");
      const pid_t child = start_process(killed);
      ASSERT_GT(child, 0);
      // Wait longer before each kill, so that a slow machine finishes as well.
      const int longest = 10'000 * (1 + kills);
      std::this_thread::sleep_for(
          std::chrono::microseconds(std::uniform_int_distribution(0, longest)(random)));
      ::kill(child, SIGKILL);
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      complete = WIFEXITED(status);
      if (complete) {
        ASSERT_EQ(WEXITSTATUS(status), 0);
      } else {
        ++kills;
      }
    }
    ASSERT_GT(kills, 0);
    all_kills += kills;
    EXPECT_EQ(run_bytes(killed.directory), expected);
    for (const auto& entry : std::filesystem::directory_iterator(killed.directory)) {
      EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
    }
  }
}

TEST_F(Resume, SkipsDamagedCheckpoint) {
  const RunBytes expected = uninterrupted();

  SmallRun run = stopped_run("run");
  // Episode 7 ends with unroll 21: checkpoints after 16 and 20.
  ASSERT_EQ(test::checkpoint_files(run.directory),
            (std::vector<std::string>{"checkpoint-16.bin", "checkpoint-20.bin"}));
  const std::string newest = run.directory + "/checkpoint-20.bin";
  std::string bytes = test::contents(newest);
  bytes[bytes.size() / 2] ^= 4;
  test::write_contents(newest, bytes);

  std::vector<std::string> notices;
  run.notices = &notices;
  run.train();
  EXPECT_EQ(run_bytes(run.directory), expected);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].find("checkpoint-20.bin: the checksum"), std::string::npos) << notices[0];
}

TEST_F(Resume, SkipsUnreadableCheckpoint) {
  const RunBytes expected = uninterrupted();

  SmallRun run{root_.file("run")};
  run.train();
  // The newest is a dangling link.
  std::filesystem::remove(run.directory + "/checkpoint-36.bin");
  std::filesystem::create_symlink("nowhere", run.directory + "/checkpoint-36.bin");
  std::vector<std::string> notices;
  run.notices = &notices;
  run.resume = true;
  run.train();
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].find("checkpoint-36.bin"), std::string::npos) << notices[0];
  EXPECT_EQ(run_bytes(run.directory), expected);
}

TEST_F(Resume, WithoutCheckpointRestartsUnlessFinished) {
  const RunBytes expected = uninterrupted();

  SmallRun run{root_.file("run")};
  run.train();
  for (const std::string& name : test::checkpoint_files(run.directory)) {
    std::filesystem::remove(run.directory + "/" + name);
  }
  const auto bytes = run_bytes(run.directory);
  run.resume = true;
  expect_error(Status::kBadData, {run.directory, "--overwrite"}, [&] { run.train(); });
  EXPECT_EQ(run_bytes(run.directory), bytes);

  std::filesystem::remove(run.directory + "/final.safetensors");
  std::vector<std::string> notices;
  run.notices = &notices;
  run.train();
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_NE(notices[0].find("from the beginning"), std::string::npos) << notices[0];
  EXPECT_EQ(run_bytes(run.directory), expected);
}

TEST_F(Resume, WithOnlyDamagedCheckpointsFailsNamingNewest) {
  SmallRun run{root_.file("run")};
  run.train();
  for (const std::string& name : test::checkpoint_files(run.directory)) {
    test::write_contents(run.directory + "/" + name, "L2OTRAIN but no more");
  }
  run.resume = true;
  expect_error(Status::kBadData, {"checkpoint-36.bin"}, [&] { run.train(); });
}

TEST_F(Resume, WithOtherConfigurationFailsNamingKey) {
  SmallRun run{root_.file("run")};
  run.train();
  run.resume = true;
  run.overrides = {"meta_optimizer.learning_rate=0.25"};
  expect_error(Status::kUsage,
               {"meta_optimizer.learning_rate = 0.003", "meta_optimizer.learning_rate = 0.25"},
               [&] { run.train(); });
  run.overrides = {"task.name=simple"};
  run.config = "[task]\n";
  expect_error(Status::kUsage, {run.directory, "--resume needs the same"}, [&] { run.train(); });
}

TEST_F(Resume, RequiresARun) {
  SmallRun run{root_.file("run")};
  run.resume = true;
  expect_error(Status::kUsage, {run.directory, "no run"}, [&] { run.train(); });
  EXPECT_FALSE(std::filesystem::exists(run.directory));
  run.overwrite = true;
  expect_error(Status::kUsage, {"--overwrite"}, [&] { run.train(); });
}

TEST_F(Resume, DoesNotRequireMetrics) {
  const RunBytes expected = uninterrupted();
  // The lines after the checkpoint that stopped_run() resumes from.
  const std::string resumed = expected.metrics.substr(expected.metrics.find("{\"episode\":7,"));

  using Edit = std::function<std::string(const std::string& text)>;
  const auto editing = [](const Edit& edit) {
    return
        [edit](const std::string& path) { test::write_contents(path, edit(test::contents(path))); };
  };
  const std::vector<std::pair<std::string, std::function<void(const std::string& path)>>> faults = {
      {"deleted", [](const std::string& path) { std::filesystem::remove(path); }},
      {"emptied", editing([](const std::string&) { return std::string(); })},
      {"cut in a line",
       editing([](const std::string& text) { return text.substr(0, text.size() / 2); })},
      {"without its last lines", editing([](const std::string& text) {
         return text.substr(0, text.find('\n', text.size() / 2) + 1);
       })},
      {"edited", editing([](const std::string& text) { return "edited\n" + text; })},
      {"without any newline",
       editing([](const std::string& text) { return std::string(text.size(), 'x'); })}};
  int number = 0;
  for (const auto& [name, damage] : faults) {
    SCOPED_TRACE(name);
    SmallRun run = stopped_run("run" + std::to_string(number++));
    const std::string metrics = run.directory + "/metrics.jsonl";
    damage(metrics);
    std::vector<std::string> notices;
    run.notices = &notices;
    run.train();
    ASSERT_EQ(notices.size(), 1U);
    EXPECT_NE(notices[0].find(metrics), std::string::npos) << notices[0];
    const RunBytes bytes = run_bytes(run.directory);
    // They start on a new line and equal those of the uninterrupted run.
    EXPECT_TRUE(bytes.metrics == resumed || bytes.metrics.ends_with("\n" + resumed))
        << bytes.metrics;
    EXPECT_EQ(bytes.best, expected.best);
    EXPECT_EQ(bytes.final_model, expected.final_model);
  }
}

TEST_F(Resume, TruncatesMetricsBeyondCheckpoint) {
  const RunBytes expected = uninterrupted();
  SmallRun run = stopped_run("run");
  const std::string metrics = run.directory + "/metrics.jsonl";
  test::write_contents(metrics, test::contents(metrics) + "{\"episode\":8,\"half of a li");
  std::vector<std::string> notices;
  run.notices = &notices;
  run.train();
  EXPECT_EQ(notices.size(), 0U);
  EXPECT_EQ(run_bytes(run.directory), expected);
}

}  // namespace
}  // namespace l2o
