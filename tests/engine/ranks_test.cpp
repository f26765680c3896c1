// Training on several ranks, which are threads here, produces the same bytes as training on one.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "host/engine/agreement.h"
#include "host/engine/evaluator.h"
#include "host/engine/report.h"
#include "host/engine/task_runner.h"
#include "tests/engine/small_run.h"
#include "tests/support/error_of.h"
#include "tests/support/thread_ranks.h"

namespace l2o {
namespace {

using test::on_ranks;
using test::run_bytes;
using test::SmallRun;

/// The small run with 12 tasks per episode, in 12 shards.
SmallRun small_run(const std::string& directory) {
  SmallRun run{directory};
  run.overrides = {"train.tasks=12", "train.shards=12"};
  return run;
}

/// A mixture that uses every kind of random draw: members of different sizes, random episode
/// lengths and schedules, random scaling.
const std::string kEveryRandomDraw = R"(
seed = 5
[[task]]
name = "quadratic"
functions = 2
dimension = 3
tasks = 12
scale = "initial"
[[task]]
name = "simple"
dimension = 40
tasks = 24
random_scaling = 1.0
weight = 0.5
[optimizer.small]
parameters = ["*"]
layers = 1
hidden = 4
preprocessing = "adam_moments"
output = "modulated"
[train]
episodes = 6
steps = [3, 18]
unroll_length = 3
shards = 12
schedule = "mixed"
loss = "log"
checkpoint_every = 4
[meta_optimizer]
member_clip_norm = 0.5
[evaluation]
every = 2
runs = 7
steps = 9
average = 3
)";

void train_on(int ranks, const SmallRun& run) {
  on_ranks(ranks, [&](Communicator& self) {
    SmallRun mine = run;
    mine.ranks = &self;
    mine.train();
  });
}

void expect_same_files(const std::string& directory, const std::string& expected) {
  EXPECT_EQ(run_bytes(directory), run_bytes(expected));
  EXPECT_EQ(test::checkpoint_files(directory), test::checkpoint_files(expected));
  const std::filesystem::path found = directory, wanted = expected;
  for (const std::string& name : test::checkpoint_files(expected)) {
    EXPECT_EQ(test::contents(found / name), test::contents(wanted / name)) << name;
  }
}

TEST(Ranks, AnyNumberProducesTheSameBytes) {
  const TemporaryDirectory root;
  const SmallRun single = small_run(root.file("1"));
  single.train();
  for (const int ranks : {2, 3, 4, 6, 12}) {
    SCOPED_TRACE(ranks);
    const SmallRun run = small_run(root.file(std::to_string(ranks)));
    train_on(ranks, run);
    expect_same_files(run.directory, single.directory);
  }
}

TEST(Ranks, AnyNumberProducesTheSameBytesForAMixture) {
  const TemporaryDirectory root;
  const SmallRun single{root.file("1"), kEveryRandomDraw};
  single.train();
  for (const int ranks : {2, 3, 12}) {
    SCOPED_TRACE(ranks);
    const SmallRun run{root.file(std::to_string(ranks)), kEveryRandomDraw};
    train_on(ranks, run);
    expect_same_files(run.directory, single.directory);
  }
}

TEST(Ranks, TheNumberOfShardsChangesOnlyTheLastBits) {
  for (const std::string& config : {test::kSmallRun, kEveryRandomDraw}) {
    const TemporaryDirectory root;
    std::vector<double> losses;  // at the end of the first episode, after three meta-updates
    for (const std::string shards : {"1", "2", "12"}) {
      SmallRun run = small_run(root.file(shards));
      run.config = config;
      run.overrides.push_back("train.shards=" + shards);
      run.train();
      std::istringstream lines(test::contents(run.directory + "/metrics.jsonl"));
      std::string line;
      std::getline(lines, line);
      losses.push_back(nlohmann::json::parse(line)["final_loss"]);
    }
    EXPECT_NEAR(losses[1], losses[0], 1e-4 * std::abs(losses[0]));
    EXPECT_NEAR(losses[2], losses[0], 1e-4 * std::abs(losses[0]));
  }
}

TEST(Ranks, ADifferentNumberCanResume) {
  for (const std::string& config : {test::kSmallRun, kEveryRandomDraw}) {
    const TemporaryDirectory root;
    SmallRun uninterrupted = small_run(root.file("uninterrupted"));
    uninterrupted.config = config;
    uninterrupted.train();

    // Each call of train() runs one unroll, since the stop signal is set from the start.
    const volatile std::sig_atomic_t stop = SIGTERM;
    SmallRun interrupted = uninterrupted;
    interrupted.directory = root.file("interrupted");
    interrupted.stop_signal = &stop;
    const std::vector<int> sizes = {4, 3, 1, 12, 2, 6};
    std::atomic<bool> complete = false;
    for (std::size_t i = 0; !complete && i < 100; ++i) {
      on_ranks(sizes[i % sizes.size()], [&](Communicator& self) {
        SmallRun mine = interrupted;
        mine.ranks = &self;
        if (mine.train().stopped_by_signal == 0) complete = true;
      });
      interrupted.resume = true;
    }
    EXPECT_TRUE(complete);
    EXPECT_EQ(run_bytes(interrupted.directory), run_bytes(uninterrupted.directory));
  }
}

TEST(Ranks, ASignalToOneRankStopsAllAtTheSamePoint) {
  const TemporaryDirectory root;
  const SmallRun uninterrupted = small_run(root.file("uninterrupted"));
  uninterrupted.train();

  const volatile std::sig_atomic_t stop = SIGINT;
  SmallRun run = small_run(root.file("run"));
  on_ranks(3, [&](Communicator& self) {
    SmallRun mine = run;
    mine.ranks = &self;
    if (self.rank() == 2) mine.stop_signal = &stop;
    const TrainResult result = mine.train();
    EXPECT_EQ(result.stopped_by_signal, SIGINT);
    EXPECT_EQ(result.episodes, 0);
  });
  run.resume = true;
  train_on(2, run);
  EXPECT_EQ(run_bytes(run.directory), run_bytes(uninterrupted.directory));
}

// Rank 1 stops in the middle of an unroll or evaluation, which the other rank runs to its end.
TEST(Ranks, StoppingOneAtAnyPollProducesTheSameBytes) {
  const TemporaryDirectory root;
  const std::vector<std::string> overrides = {"train.tasks=4", "train.shards=4", "train.episodes=2",
                                              "evaluation.every=2"};
  SmallRun uninterrupted{root.file("uninterrupted")};
  uninterrupted.overrides = overrides;
  uninterrupted.train();

  int polls = 0;
  on_ranks(2, [&](Communicator& self) {
    SmallRun mine = uninterrupted;
    mine.directory = root.file("counted");
    mine.ranks = &self;
    if (self.rank() == 1) mine.poll = [&] { ++polls; };
    mine.train();
  });
  ASSERT_GT(polls, 20);
  for (int stop_at = 1; stop_at <= polls; ++stop_at) {
    SCOPED_TRACE(stop_at);
    SmallRun run = uninterrupted;
    run.directory = root.file("stopped");
    run.overwrite = true;
    on_ranks(2, [&](Communicator& self) {
      SmallRun mine = run;
      mine.ranks = &self;
      int polls_left = stop_at;
      if (self.rank() == 1) {
        mine.poll = [&] {
          if (--polls_left == 0) throw Error(Status::kTerminated, "stopped");
        };
      }
      EXPECT_EQ(mine.train().stopped_by_signal, SIGTERM);
    });
    run.overwrite = false;
    run.resume = true;
    train_on(4, run);
    EXPECT_EQ(run_bytes(run.directory), run_bytes(uninterrupted.directory));
  }
}

TEST(Ranks, NonFiniteLossesSkipTheUpdateOnAllRanks) {
  const TemporaryDirectory root;
  SmallRun run = small_run(root.file("run"));
  for (const std::string override :
       {"meta_optimizer.learning_rate=1000", "optimizer.output_scale=1000",
        "optimizer.preprocessing=identity", "optimizer.layers=0", "train.max_skipped_updates=4",
        "train.steps=60", "train.unroll_length=20"}) {
    run.overrides.push_back(override);
  }
  expect_error(Status::kDiverged, {"the last 4 meta-updates were skipped"},
               [&] { train_on(3, run); });
}

TEST(Ranks, EvaluateAndTuneLikeASingleOne) {
  const auto report_of = [](Communicator& ranks) {
    const auto backend = make_backend({.device = DeviceKind::kCpu, .threads = 1});
    ConfigReader config = ConfigReader::from_text(
        "[task]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n", "test");
    EvaluationOptions options;
    options.steps = 5;
    options.runs = 7;
    options.tuning_runs = 3;
    options.baselines = {"sgd", "adam@0.01"};
    options.coordinates_at_once = 12;  // two tasks
    options.ranks = &ranks;
    return report_json(evaluate(*backend, make_model(make_hand_designed_optimizer("adam", 0.1F)),
                                read_members(config, 1), options, [](const std::string&) {}));
  };
  const std::string expected = report_of(only_rank());
  for (const int ranks : {2, 3, 9}) {
    on_ranks(ranks, [&](Communicator& self) { EXPECT_EQ(report_of(self), expected) << ranks; });
  }
}

TEST(Ranks, WithDifferentModelsAreReported) {
  const Model rule = make_model(make_hand_designed_optimizer("adam", 0.1F));
  const Model others[] = {make_model(make_hand_designed_optimizer("adam", 0.2F)),
                          make_model(make_hand_designed_optimizer("rmsprop", 0.1F))};
  for (const Model& other : others) {
    on_ranks(2, [&](Communicator& self) {
      const auto backend = make_backend({.device = DeviceKind::kCpu, .threads = 1});
      TaskRunnerOptions options;
      options.ranks = &self;
      TaskRunner runner(*backend, ConfigReader::from_text("name = \"simple\"\n", "test"), options);
      expect_error(Status::kUsage, {"differ in the model or the options of a run: rank 1"},
                   [&] { runner.run(self.is_root() ? rule : other, {.runs = 2, .steps = 1}); });
    });
  }
}

TEST(Ranks, TasksThatDoNotDivideIntoShardsAreRejected) {
  const TemporaryDirectory root;
  SmallRun run = small_run(root.file("run"));
  run.overrides = {"train.tasks=12", "train.shards=5"};
  expect_error(Status::kUsage,
               {"task quadratic: its 12 tasks cannot be divided into train.shards = 5 equal shards",
                "expected a multiple of 5 tasks"},
               [&] { run.train(); });
  EXPECT_FALSE(std::filesystem::exists(run.directory));
}

TEST(Ranks, ADirectoryErrorOnRankZeroFailsAllRanks) {
  const TemporaryDirectory root;
  const SmallRun run = small_run(root.file("run"));
  train_on(2, run);
  on_ranks(2, [&](Communicator& self) {
    SmallRun mine = run;
    mine.ranks = &self;
    expect_error(Status::kUsage, {"already contains a run"}, [&] { mine.train(); });
  });
}

TEST(Ranks, WithDifferentConfigurationsAreReported) {
  const TemporaryDirectory root;
  on_ranks(4, [&](Communicator& self) {
    SmallRun mine = small_run(root.file("run"));
    mine.ranks = &self;
    if (self.rank() == 1 || self.rank() == 3) mine.overrides.push_back("seed=6");
    expect_error(Status::kUsage,
                 {"the ranks of a run differ in the configuration: ranks 1, 3 from rank 0"},
                 [&] { mine.train(); });
  });
  EXPECT_FALSE(std::filesystem::exists(root.file("run") + "/config.toml"));
}

/// A rank whose received sums differ from those of the other ranks.
class CorruptedRank final : public Communicator {
 public:
  explicit CorruptedRank(Communicator& ranks) : ranks_(ranks) {}
  int rank() const override { return ranks_.rank(); }
  int size() const override { return ranks_.size(); }
  void all_to_all(std::span<const double> send, std::span<double> receive) override {
    ranks_.all_to_all(send, receive);
  }
  void all_gather(std::span<const double> send, std::span<double> receive) override {
    ranks_.all_gather(send, receive);
    if (send.size() > 1) receive.front() += 1.0;  // the first meta-parameter
  }
  std::vector<Bytes> gather(const Bytes& send) override { return ranks_.gather(send); }
  Bytes broadcast(Bytes bytes) override { return ranks_.broadcast(std::move(bytes)); }

 private:
  Communicator& ranks_;
};

TEST(Ranks, WithDifferentMetaParametersAreReportedBeforeACheckpointIsWritten) {
  const TemporaryDirectory root;
  on_ranks(3, [&](Communicator& self) {
    CorruptedRank corrupted(self);
    SmallRun mine = small_run(root.file("run"));
    mine.ranks = &self;
    if (self.rank() == 1) mine.ranks = &corrupted;
    expect_error(Status::kInternal,
                 {"the ranks of a run differ in their meta-parameters: rank 1 from rank 0"},
                 [&] { mine.train(); });
  });
  EXPECT_TRUE(test::checkpoint_files(root.file("run")).empty());
}

TEST(RequireSame, NamesTheFirstTraitThatDiffers) {
  on_ranks(3, [](Communicator& self) {
    const std::uint64_t other = self.rank() == 2 ? 1 : 0;
    require_same(self, {{"this", 4}, {"that", 5}});
    expect_error(Status::kUsage, {"differ in that: rank 2 from rank 0; expected the same at all 3"},
                 [&] {
                   require_same(self, {{"this", 4}, {"that", other}, {"more", other}});
                 });
  });
}

}  // namespace
}  // namespace l2o
