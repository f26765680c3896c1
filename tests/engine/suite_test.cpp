// Suites: configuration, runs and cache.
#include "host/engine/suite.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "host/engine/suite_config.h"
#include "host/engine/suite_report.h"
#include "host/optimizee/optimizee.h"
#include "tests/support/error_of.h"
#include "tests/support/small_mnist.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/thread_ranks.h"

namespace l2o {
namespace {

const std::string kMember = "[[task]]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n";
const std::string kSuite =
    "steps = [30, 60]\nruns = 3\ntuning_runs = 2\nbaselines = [\"sgd\", \"adam\"]\n" + kMember;

SuiteConfig suite_of(const std::string& text) {
  ConfigReader config = ConfigReader::from_text(text, "suite");
  SuiteConfig suite = read_suite(config);
  return suite;
}

TEST(SuiteConfig, MembersCanSetLengthsAndRuns) {
  const SuiteConfig suite =
      suite_of(kSuite + kMember + "label = \"long\"\nsteps = [10]\nruns = 1\ntuning_runs = 5\n");
  ASSERT_EQ(suite.members.size(), 2U);
  EXPECT_EQ(suite.members[0].member.label, "quadratic-0");
  EXPECT_EQ(suite.members[0].steps, (std::vector<int>{30, 60}));
  EXPECT_EQ(suite.members[0].runs, 3);
  EXPECT_EQ(suite.members[1].member.label, "long");
  EXPECT_EQ(suite.members[1].steps, (std::vector<int>{10}));
  EXPECT_EQ(suite.members[1].runs, 1);
  EXPECT_EQ(suite.members[1].tuning_runs, 5);
  EXPECT_EQ(suite.reference->name, "adam@1e-3");
  EXPECT_EQ(suite.baseline_schedules.size(), 2U);
}

TEST(SuiteConfig, InvalidKeysAreUsageErrors) {
  const struct {
    std::string text, part;
  } rows[] = {
      {"steps = [100]\n", "[[task]]"},
      {"steps = []\n" + kMember, "in ascending order"},
      {"steps = [100, 10]\n" + kMember, "in ascending order"},
      {"steps = [10, 10]\n" + kMember, "in ascending order"},
      {"steps = [0]\n" + kMember, "steps"},
      {"runs = 0\n" + kMember, "runs"},
      {"baselines = []\n" + kMember, "at least one"},
      {"baselines = [\"sgd\", \"sgd\"]\n" + kMember, "sgd is listed twice"},
      {"baselines = [\"adm\"]\n" + kMember, "adm"},
      {"baseline_schedules = []\n" + kMember, "at least one"},
      {"baseline_schedules = [\"cosin\"]\n" + kMember, "cosin"},
      {"reference = \"adam\"\n" + kMember, "adam@1e-3"},
      {"schedule = \"cosin\"\n" + kMember, "schedule"},
      {kMember + "tasks = 3\n", "only for training"},
      {kMember + "weight = 3.0\n", "only for training"},
      {kMember + "scale = \"initial\"\n", "only for training"},
      {kMember + "steps = [5, 4]\n", "in ascending order"},
      {kMember + "label = \"a\"\n" + kMember + "label = \"a\"\n", "label"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.text);
    expect_error(Status::kUsage, {row.part}, [&] { suite_of(row.text); });
  }
}

TEST(SuiteConfig, NoOptimizeeReadsAKeyOfTheMember) {
  const auto backend = make_backend({DeviceKind::kCpu, 1});
  for (const OptimizeeEntry& entry : optimizee_registry()) {
    ConfigReader config = ConfigReader::from_text("[task]\nname = \"" + entry.name + "\"\n", "one");
    ConfigReader task = config.tables("task").front();
    error_of([&] { make_optimizee({*backend, 1, ""}, task); });  // read even if its data is missing
    for (const std::string_view key : kMemberKeys) {
      EXPECT_EQ(("\n" + task.resolved_table()).find("\n" + std::string(key) + " "),
                std::string::npos)
          << entry.name << " reads " << key;
    }
  }
}

TEST(SuiteConfig, ShippedSuitesAreValid) {
  const auto backend = make_backend({DeviceKind::kCpu, 1});
  for (const char* name : {"general", "quick", "demo"}) {
    ConfigReader config =
        ConfigReader::from_file(std::string(L2O_SOURCE_DIR "/examples/suites/") + name + ".toml");
    const SuiteConfig suite = read_suite(config);
    int longest = 0;
    for (const SuiteMember& member : suite.members) {
      longest += member.steps.back() == 10000 ? 1 : 0;
      // An optimizee reads its keys even if its data is missing.
      ConfigReader options = member.member.options;
      const ThrownError error = error_of([&] { make_optimizee({*backend, 1, ""}, options); });
      EXPECT_TRUE(error.status == Status::kOk || error.status == Status::kInputOutput)
          << error.message;
    }
    EXPECT_NO_THROW(config.finish());
    if (std::string(name) != "general") continue;
    EXPECT_GE(suite.members.size(), 12U);
    EXPECT_EQ(longest, 4);
  }
}

Model some_rule() {
  LstmConfig lstm;
  lstm.layers = 1;
  lstm.hidden = 4;
  return make_model(make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 3));
}

SuiteOptions options_of(const std::string& cache) {
  SuiteOptions options;
  options.name = "small";
  options.models = {{"rule", some_rule()}};
  options.cache_directory = cache;
  options.notice = [](const std::string&) {};
  return options;
}

SuiteReport run_small(const std::string& text, const SuiteOptions& options, int threads = 1) {
  const std::unique_ptr<Backend> backend = make_backend({DeviceKind::kCpu, threads});
  return run_suite(*backend, suite_of(text), options);
}

void expect_same(const SuiteReport& a, const SuiteReport& b) {
  ASSERT_EQ(a.contests.size(), b.contests.size());
  const auto same = [](const Contestant& x, const Contestant& y) {
    EXPECT_EQ(x.name, y.name);
    EXPECT_EQ(x.learning_rate, y.learning_rate);
    EXPECT_EQ(x.schedule, y.schedule);
    EXPECT_EQ(x.final_losses, y.final_losses);
    EXPECT_EQ(x.curve, y.curve);
  };
  for (std::size_t c = 0; c < a.contests.size(); ++c) {
    same(a.contests[c].learned.front(), b.contests[c].learned.front());
    same(*a.contests[c].reference, *b.contests[c].reference);
    for (std::size_t i = 0; i < a.contests[c].baselines.size(); ++i) {
      same(a.contests[c].baselines[i], b.contests[c].baselines[i]);
    }
  }
}

TEST(Suite, EveryMemberAndLengthIsAContest) {
  std::vector<SuiteProgress> finished;
  double last_fraction = 0.0;
  SuiteOptions options = options_of("");
  options.progress = [&](const SuiteProgress& progress) {
    EXPECT_GE(progress.fraction, last_fraction);
    last_fraction = progress.fraction;
    if (progress.finished) finished.push_back(progress);
  };
  const SuiteReport report = run_small(kSuite, options);
  ASSERT_EQ(report.contests.size(), 2U);
  EXPECT_EQ(finished.size(), 4U) << "the baselines and the learned rule of each contest";
  EXPECT_NEAR(last_fraction, 1.0, 1e-9);
  for (const Contest& contest : report.contests) {
    EXPECT_EQ(contest.member, "quadratic");
    ASSERT_EQ(contest.baselines.size(), 2U);
    ASSERT_TRUE(contest.best);
    const Contestant& best = contest.baselines[*contest.best];
    const Contestant& learned = contest.learned.front();
    EXPECT_EQ(learned.final_losses.size(), 3U);
    EXPECT_NEAR(learned.ratio->value, learned.final_loss / best.final_loss, 1e-12);
    EXPECT_EQ(contest.reference->learning_rate, 1e-3);
    for (const Contestant& baseline : contest.baselines) {
      EXPECT_LE(best.final_loss, baseline.final_loss);
      EXPECT_LT(baseline.final_loss, contest.reference->final_loss) << "tuning pays";
    }
  }
  EXPECT_EQ(report.summaries().size(), 3U);
}

TEST(Suite, RulesOfFixedRateArePlannedExactly) {
  // Two schedules to choose from, for the baseline and for the reference.
  double last_fraction = 0.0;
  SuiteOptions options = options_of("");
  options.progress = [&](const SuiteProgress& progress) {
    // Every step is part of the plan.
    EXPECT_TRUE(progress.finished || progress.fraction > last_fraction) << progress.line;
    last_fraction = progress.fraction;
  };
  run_small("steps = [30, 60]\nruns = 3\ntuning_runs = 2\nbaselines = [\"sgd@0.1\"]\n" + kMember,
            options);
  EXPECT_NEAR(last_fraction, 1.0, 1e-9);
}

TEST(Suite, ChosenRateBeatsItsNeighbors) {
  // SGD on x^2, where the optimal rate of a constant schedule, 0.5, is within the search range.
  const SuiteReport report = run_small(
      "steps = [30, 60]\nruns = 1\ntuning_runs = 1\nbaselines = [\"sgd\"]\n"
      "baseline_schedules = [\"constant\"]\n[[task]]\nname = \"simple\"\n",
      options_of(""));
  for (const Contest& contest : report.contests) {
    EXPECT_NEAR(*contest.baselines[0].learning_rate, std::pow(10.0, -0.25), 1e-6);
  }
}

TEST(Suite, ResultDoesNotDependOnThreadsOrCache) {
  // x = (-19)^t: its loss 361^t is infinite from t = 16 on, but x, and so the mean, is not NaN.
  const std::string infinite =
      "steps = [20]\nruns = 1\ntuning_runs = 1\nbaselines = [\"sgd@10\"]\n"
      "baseline_schedules = [\"constant\"]\n[[task]]\nname = \"simple\"\n";
  const TemporaryDirectory directory;
  const std::string cache = directory.file("cache");
  for (const std::string& text : {kSuite, infinite}) {
    const SuiteReport fresh = run_small(text, options_of(""));
    for (const int threads : {3, 1}) {  // the first fills the cache
      const SuiteReport other = run_small(text, options_of(cache), threads);
      EXPECT_EQ(suite_csv(fresh), suite_csv(other));
      if (text == kSuite) expect_same(fresh, other);  // NaN is not equal to itself
    }
  }
}

TEST(Suite, RanksShareTheRunsAndTheCache) {
  const TemporaryDirectory directory;
  const std::string cache = directory.file("cache");
  const SuiteReport alone = run_small(kSuite, options_of(""));
  for (const int ranks : {2, 3, 5}) {
    for (const std::string& name : {std::string(), cache, cache}) {
      test::on_ranks(ranks, [&](Communicator& self) {
        SuiteOptions options = options_of(self.is_root() ? name : "");
        options.ranks = &self;
        expect_same(alone, run_small(kSuite, options));
      });
    }
  }
}

TEST(Suite, AStopOfOneRankStopsAll) {
  test::on_ranks(3, [&](Communicator& self) {
    SuiteOptions options = options_of("");
    options.ranks = &self;
    int left = 100;
    options.before_step = [&] {
      if (self.rank() == 1 && --left == 0) throw Error(Status::kTerminated, "stop");
    };
    EXPECT_EQ(error_of([&] { run_small(kSuite, options); }).status, Status::kTerminated);
  });
}

TEST(Suite, RanksWithOtherSettingsAreNamed) {
  const auto error_with = [](Communicator& self, const std::string& text, const SuiteModel& model) {
    SuiteOptions options = options_of("");
    options.models = {model};
    options.ranks = &self;
    return error_of([&] { run_small(text, options); });
  };
  std::string longer = kSuite, larger = kSuite, rates = kSuite;
  longer.replace(longer.find("[30, 60]"), 8, "[30, 61]");
  larger.replace(larger.find("dimension = 3"), 13, "dimension = 4");
  rates.replace(rates.find("\"adam\"]"), 7, "\"nag\"]");
  const SuiteModel rule{"rule", some_rule()};
  SuiteModel other = rule;
  other.model.rules.front().optimizer.meta_parameters.front() += 1.0F;
  struct Row {
    std::string text;
    SuiteModel model;
    std::string trait;
  };
  for (const Row& row :
       {Row{longer, rule, "the suite or the models"}, Row{kSuite, other, "the suite or the models"},
        Row{rates, rule, "the suite or the models"}, Row{larger, rule, "the configuration"}}) {
    test::on_ranks(2, [&](Communicator& self) {
      const ThrownError error =
          self.is_root() ? error_with(self, kSuite, rule) : error_with(self, row.text, row.model);
      EXPECT_EQ(error.status, Status::kUsage);
      EXPECT_TRUE(error.says("differ in " + row.trait + ": rank 1 from rank 0")) << error.message;
    });
  }
}

/// The entries of a cache with their modification times.
std::map<std::string, std::filesystem::file_time_type> entries_of(const std::string& cache) {
  std::map<std::string, std::filesystem::file_time_type> entries;
  for (const auto& entry : std::filesystem::directory_iterator(cache)) {
    entries[entry.path().string()] = entry.last_write_time();
  }
  return entries;
}

TEST(Suite, CachedRunsAreNotRepeated) {
  const TemporaryDirectory directory;
  const std::string cache = directory.file("cache");
  run_small(kSuite, options_of(cache));
  const auto cold = entries_of(cache);
  EXPECT_GT(cold.size(), 20U);
  // Same results: an unchanged suite, and a changed label.
  run_small(kSuite, options_of(cache));
  run_small(kSuite + "label = \"other\"\n", options_of(cache));
  EXPECT_EQ(entries_of(cache), cold);
  // Different results.
  std::size_t before = cold.size();
  std::string larger = kSuite;
  larger.replace(larger.find("dimension = 3"), 13, "dimension = 4");
  for (const std::string& other :
       {larger, kSuite + "distribution = \"gaussian\"\n", "seed = 2\n" + kSuite}) {
    run_small(other, options_of(cache));
    EXPECT_GT(entries_of(cache).size(), before + cold.size() / 2) << other;
    before = entries_of(cache).size();
  }
  // One more length, whose search starts from the result of the previous one.
  std::string longer = kSuite;
  longer.replace(longer.find("[30, 60]"), 8, "[30, 60, 70]");
  run_small(longer, options_of(cache));
  EXPECT_GT(entries_of(cache).size(), before);
  EXPECT_LT(entries_of(cache).size(), before + cold.size());
}

TEST(Suite, CacheDistinguishesData) {
  const TemporaryDirectory directory;
  const std::string text =
      "steps = [5]\nruns = 1\ntuning_runs = 1\nbaselines = [\"sgd\"]\n[[task]]\n"
      "name = \"mlp\"\nlayers = [3]\nbatch_size = 4\nsplit = \"train\"\n";
  const std::string cache = directory.file("cache");
  SuiteOptions options = options_of(cache);
  const SmallMnist mnist;
  options.data_directory = mnist.path();
  run_small(text, options);
  const auto cold = entries_of(cache);
  run_small(text, options);
  EXPECT_EQ(entries_of(cache), cold);
  // The same keys, but different files of the same names.
  for (const char* part : {"images-idx3", "labels-idx1"}) {
    const std::string name = std::string(part) + "-ubyte";
    std::filesystem::copy_file(mnist.path() + "/t10k-" + name, mnist.path() + "/train-" + name,
                               std::filesystem::copy_options::overwrite_existing);
  }
  run_small(text, options);
  EXPECT_GT(entries_of(cache).size(), cold.size() + cold.size() / 2);
}

TEST(Suite, FinishedRunsSurviveAnError) {
  const TemporaryDirectory directory;
  const std::string cache = directory.file("cache");
  SuiteOptions options = options_of(cache);
  bool stop = false;
  options.progress = [&](const SuiteProgress& progress) { stop = stop || progress.finished; };
  options.before_step = [&] {
    if (stop) throw Error(Status::kInterrupted, "stop");
  };
  EXPECT_EQ(error_of([&] { run_small(kSuite, options); }).status, Status::kInterrupted);
  const auto kept = entries_of(cache);
  EXPECT_GT(kept.size(), 10U);
  run_small(kSuite, options_of(cache));
  auto all = entries_of(cache);
  EXPECT_GT(all.size(), kept.size());
  for (const auto& [path, written] : kept) EXPECT_EQ(all[path], written) << "not repeated";
}

TEST(Suite, InvalidMembersAreFoundFirst) {
  SuiteOptions options = options_of("");
  options.before_step = [] { FAIL() << "a run was started"; };
  const auto expect_usage_error = [&](const std::string& text, const std::string& part) {
    const ThrownError error = error_of([&] { run_small(text, options); });
    EXPECT_EQ(error.status, Status::kUsage);
    EXPECT_TRUE(error.says(part)) << error.message;
  };
  const std::string second = kSuite + kMember + "label = \"second\"\n";
  expect_usage_error(second + "dimensions = 4\n", "task[1].dimension");
  expect_usage_error("lengths = [7]\n" + second, "lengths");

  options.before_runs = [](const std::vector<std::string>&) {
    throw Error(Status::kUsage, "an output is an input");
  };
  expect_usage_error(second, "an output is an input");

  options.models.front().model.rules.front().group = {"weights", {"weight_*"}};
  expect_usage_error(second, "no rule matches the parameter");
}

}  // namespace
}  // namespace l2o
