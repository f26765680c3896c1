// Suites: their arithmetic by hand, what is read, what is run, what is kept.
#include "host/engine/suite.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/engine/run_cache.h"
#include "host/engine/suite_arithmetic.h"
#include "host/engine/suite_config.h"
#include "host/optimizee/optimizee.h"
#include "tests/support/error_of.h"
#include "tests/support/small_mnist.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(SuiteArithmetic, TheFinalLossIsTheMeanOfTheLastTwentyEvaluations) {
  std::vector<float> curve(80, 100.0F);
  for (int i = 1; i <= 20; ++i) curve.push_back(static_cast<float>(i));
  EXPECT_EQ(final_loss(curve), 10.5);
  EXPECT_EQ(final_loss({1.0F, 2.0F, 6.0F}), 3.0) << "all of a shorter curve";
}

TEST(SuiteArithmetic, MeansAndStandardErrors) {
  EXPECT_EQ(mean_of({1.0, 2.0, 6.0}), 3.0);
  // Deviations -2, -1, 3: variance 14 / 2, standard error sqrt(7 / 3).
  EXPECT_NEAR(standard_error({1.0, 2.0, 6.0}), std::sqrt(7.0 / 3.0), 1e-12);
  EXPECT_EQ(standard_error({5.0}), 0.0);
}

TEST(SuiteArithmetic, TheInterquartileMeanLeavesOutAQuarterAtEitherEnd) {
  EXPECT_EQ(interquartile_mean({8.0, 1.0, 2.0, 100.0, 3.0, 4.0, -50.0, 7.0}), 4.0);  // 2, 3, 4, 7
  EXPECT_EQ(interquartile_mean({1.0, 2.0, 6.0}), 3.0) << "a quarter of three is none";
  EXPECT_EQ(interquartile_mean({1.0, std::nan(""), 3.0, 2.0}), 2.5) << "one run of four diverged";
  EXPECT_EQ(interquartile_mean({1.0, kInfinity, std::nan(""), 2.0}), kInfinity);
}

TEST(SuiteArithmetic, ARatioIsOfMeansAndItsErrorOfPairs) {
  const auto ratio = ratio_of({1.0, 3.0}, {2.0, 6.0});
  ASSERT_TRUE(ratio);
  EXPECT_EQ(ratio->value, 0.5);
  EXPECT_EQ(ratio->se, 0.0) << "the runs differ, their ratio does not";
  const auto other = ratio_of({2.0, 2.0}, {3.0, 5.0});
  // Differences 2 - 0.5 * 3 = 0.5 and -0.5: standard error 0.5, over a mean of 4.
  EXPECT_NEAR(other->se, 0.125, 1e-12);
}

TEST(SuiteArithmetic, ARatioToNothingIsNone) {
  EXPECT_FALSE(ratio_of({1.0}, {0.0}));
  EXPECT_FALSE(ratio_of({1.0}, {kInfinity}));
  EXPECT_FALSE(ratio_of({1.0}, {std::nan("")}));
  EXPECT_EQ(ratio_of({std::nan("")}, {1.0})->value, kInfinity) << "a rule that diverged has lost";
}

TEST(SuiteArithmetic, StepsToReachLookAtTwentyEvaluations) {
  // One lucky minibatch is not enough: the mean over 20 comes down to 1 when 20 ones are behind.
  std::vector<double> curve(30, 3.0);
  curve[5] = 0.0;
  curve.insert(curve.end(), 30, 1.0);
  EXPECT_EQ(steps_to_reach(curve, 1.0), 49);
  EXPECT_EQ(steps_to_reach(curve, 2.0), 39);
  EXPECT_EQ(steps_to_reach(curve, 3.0), 0);
  EXPECT_FALSE(steps_to_reach(curve, 0.9));
  curve[2] = std::nan("");
  EXPECT_EQ(steps_to_reach(curve, 1.0), 49) << "what is not finite is forgotten";
}

TEST(SuiteArithmetic, ThinnedCurvesKeepShortOnesAndMeans) {
  EXPECT_EQ(thinned_curve({3.0, 2.0, 1.0}), (std::vector<double>{3.0, 2.0, 1.0}));
  EXPECT_EQ(thinned_steps(2), (std::vector<double>{0.0, 1.0, 2.0}));
  std::vector<double> curve;
  for (int i = 0; i < 1000; ++i) curve.push_back(i);
  const std::vector<double> points = thinned_curve(curve);
  ASSERT_EQ(points.size(), 100U);
  EXPECT_EQ(points[0], 4.5);
  EXPECT_EQ(points[99], 994.5);
  EXPECT_EQ(thinned_steps(999), points) << "of the curve f(t) = t";
}

TEST(SuiteArithmetic, GeometricMean) {
  EXPECT_NEAR(geometric_mean({0.5, 2.0, 8.0}), 2.0, 1e-12);
  EXPECT_EQ(geometric_mean({0.5, kInfinity}), kInfinity);
  EXPECT_EQ(geometric_mean({0.5, 0.0}), 0.0);
}

Contest contest_of(const std::string& member, int steps, std::optional<double> ratio,
                   double reference_ratio) {
  Contest contest;
  contest.member = member;
  contest.steps = steps;
  contest.learned.resize(1);
  if (ratio) contest.learned[0].ratio = Ratio{*ratio, 0.0};
  contest.learned[0].reference_ratio = Ratio{reference_ratio, 0.0};
  return contest;
}

TEST(SuiteSummary, CountsByLengthAndOverAll) {
  SuiteReport report;
  report.models = {"m"};
  report.contests = {contest_of("a", 100, 0.5, 0.25), contest_of("a", 1000, 1.0, 0.5),
                     contest_of("b", 100, 2.0, 4.0), contest_of("c", 100, std::nullopt, 1.0)};
  const std::vector<Summary> summaries = report.summaries();
  ASSERT_EQ(summaries.size(), 3U);
  EXPECT_EQ(summaries[0].steps, 100);
  EXPECT_EQ(summaries[0].contests, 2) << "one has no ratio";
  EXPECT_NEAR(summaries[0].geometric_mean, 1.0, 1e-12);
  EXPECT_EQ(summaries[0].worst, 2.0);
  EXPECT_EQ(summaries[0].worst_member, "b");
  EXPECT_EQ(summaries[0].wins, 1);
  EXPECT_NEAR(summaries[0].reference_geometric_mean, 1.0, 1e-12);
  EXPECT_EQ(summaries[0].reference_worst_member, "b");
  EXPECT_EQ(summaries[0].reference_wins, 1);
  EXPECT_EQ(summaries[1].steps, 1000);
  EXPECT_EQ(summaries[1].wins, 0) << "a draw is none";
  EXPECT_FALSE(summaries[2].steps);
  EXPECT_EQ(summaries[2].contests, 3);
  EXPECT_EQ(summaries[2].worst_steps, 100);
}

const std::string kMember = "[[task]]\nname = \"quadratic\"\nfunctions = 2\ndimension = 3\n";
const std::string kSuite =
    "steps = [30, 60]\nruns = 3\ntuning_runs = 2\nbaselines = [\"sgd\", \"adam\"]\n" + kMember;

SuiteConfig suite_of(const std::string& text) {
  ConfigReader config = ConfigReader::from_text(text, "suite");
  SuiteConfig suite = read_suite(config);
  return suite;
}

TEST(SuiteConfig, MembersHaveTheirOwnLengthsAndRuns) {
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

TEST(SuiteConfig, WhatIsWrongIsAUsageError) {
  const struct {
    std::string text, part;
  } rows[] = {
      {"steps = [100]\n", "[[task]]"},
      {"steps = []\n" + kMember, "the shortest first"},
      {"steps = [100, 10]\n" + kMember, "the shortest first"},
      {"steps = [10, 10]\n" + kMember, "the shortest first"},
      {"steps = [0]\n" + kMember, "steps"},
      {"runs = 0\n" + kMember, "runs"},
      {"baselines = []\n" + kMember, "at least one"},
      {"baselines = [\"sgd\", \"sgd\"]\n" + kMember, "sgd twice"},
      {"baselines = [\"adm\"]\n" + kMember, "adm"},
      {"baseline_schedules = []\n" + kMember, "at least one"},
      {"baseline_schedules = [\"cosin\"]\n" + kMember, "cosin"},
      {"reference = \"adam\"\n" + kMember, "adam@1e-3"},
      {"schedule = \"cosin\"\n" + kMember, "schedule"},
      {kMember + "tasks = 3\n", "a key of training"},
      {kMember + "weight = 3.0\n", "a key of training"},
      {kMember + "scale = \"initial\"\n", "a key of training"},
      {kMember + "steps = [5, 4]\n", "the shortest first"},
      {kMember + "label = \"a\"\n" + kMember + "label = \"a\"\n", "label"},
  };
  for (const auto& row : rows) {
    const ThrownError error = error_of([&] { suite_of(row.text); });
    EXPECT_EQ(error.status, Status::kUsage) << row.text;
    EXPECT_TRUE(error.says(row.part)) << row.text << error.message;
  }
}

TEST(SuiteConfig, TheSuitesThatShipCanBeRead) {
  const auto backend = make_backend({DeviceKind::kCpu, 1});
  for (const char* name : {"general", "quick", "demo"}) {
    ConfigReader config =
        ConfigReader::from_file(std::string(L2O_SOURCE_DIR "/examples/suites/") + name + ".toml");
    const SuiteConfig suite = read_suite(config);
    int longest = 0;
    for (const SuiteMember& member : suite.members) {
      longest += member.steps.back() == 10000 ? 1 : 0;
      // Where its data is missing, an optimizee has read its keys nevertheless.
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
  EXPECT_EQ(finished.size(), 4U) << "of either contest the baselines, then the rule";
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

TEST(Suite, TheRateIsTheBestOfItsNeighbours) {
  // No coarser search of the same tasks finds better: SGD on x^2 with the perfect rate of a
  // constant schedule, 0.5, in reach.
  const SuiteReport report = run_small(
      "steps = [30, 60]\nruns = 1\ntuning_runs = 1\nbaselines = [\"sgd\"]\n"
      "baseline_schedules = [\"constant\"]\n[[task]]\nname = \"simple\"\n",
      options_of(""));
  for (const Contest& contest : report.contests) {
    EXPECT_NEAR(*contest.baselines[0].learning_rate, std::pow(10.0, -0.25), 1e-6);
  }
}

TEST(Suite, ThreadsAndTheCacheChangeNothing) {
  const TemporaryDirectory directory;
  const SuiteReport fresh = run_small(kSuite, options_of(""));
  expect_same(fresh, run_small(kSuite, options_of(directory.file("cache")), 3));
  expect_same(fresh, run_small(kSuite, options_of(directory.file("cache"))));
}

/// When the entries of a cache were written.
std::map<std::string, std::filesystem::file_time_type> entries_of(const std::string& cache) {
  std::map<std::string, std::filesystem::file_time_type> entries;
  for (const auto& entry : std::filesystem::directory_iterator(cache)) {
    entries[entry.path().string()] = entry.last_write_time();
  }
  return entries;
}

TEST(Suite, WhatTheCacheHasIsNotRunAgain) {
  const TemporaryDirectory directory;
  const std::string cache = directory.file("cache");
  run_small(kSuite, options_of(cache));
  const auto cold = entries_of(cache);
  EXPECT_GT(cold.size(), 20U);
  // What decides nothing: the same again, and a label.
  run_small(kSuite, options_of(cache));
  run_small(kSuite + "label = \"other\"\n", options_of(cache));
  EXPECT_EQ(entries_of(cache), cold);
  // What decides everything.
  std::size_t before = cold.size();
  std::string larger = kSuite;
  larger.replace(larger.find("dimension = 3"), 13, "dimension = 4");
  for (const std::string& other :
       {larger, kSuite + "distribution = \"gaussian\"\n", "seed = 2\n" + kSuite}) {
    run_small(other, options_of(cache));
    EXPECT_GT(entries_of(cache).size(), before + cold.size() / 2) << other;
    before = entries_of(cache).size();
  }
  // One more length, whose search starts where the last one ended.
  std::string longer = kSuite;
  longer.replace(longer.find("[30, 60]"), 8, "[30, 60, 70]");
  run_small(longer, options_of(cache));
  EXPECT_GT(entries_of(cache).size(), before);
  EXPECT_LT(entries_of(cache).size(), before + cold.size());
}

TEST(Suite, OtherDataIsAnotherTask) {
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
  // The same keys, and another file of that name.
  for (const char* part : {"images-idx3", "labels-idx1"}) {
    const std::string name = std::string(part) + "-ubyte";
    std::filesystem::copy_file(mnist.path() + "/t10k-" + name, mnist.path() + "/train-" + name,
                               std::filesystem::copy_options::overwrite_existing);
  }
  run_small(text, options);
  EXPECT_GT(entries_of(cache).size(), cold.size() + cold.size() / 2);
}

TEST(Suite, WhatStopsItLosesNoFinishedRuns) {
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
  for (const auto& [path, written] : kept) EXPECT_EQ(all[path], written) << "not made again";
}

TEST(Suite, WhatIsWrongWithAMemberIsFoundFirst) {
  SuiteOptions options = options_of("");
  options.progress = [](const SuiteProgress&) { FAIL() << "something was run"; };
  const ThrownError key =
      error_of([&] { run_small(kSuite + kMember + "dimensions = 4\n", options); });
  EXPECT_EQ(key.status, Status::kUsage);
  EXPECT_TRUE(key.says("task[1].dimension")) << key.message;
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class Cache : public testing::Test {
 protected:
  const TemporaryDirectory directory_;
  std::vector<std::string> notices_;
  RunCache cache_{directory_.file("a/b"),
                  [this](const std::string& line) { notices_.push_back(line); }};
  const RunResult result_{.final_losses = {0.1, std::nan(""), 3e-300}, .curve = {1.0, 2.0}};
};

TEST_F(Cache, GivesBackTheSameBits) {
  EXPECT_FALSE(cache_.find("key"));
  cache_.store("key", result_);
  const auto found = cache_.find("key");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->final_losses[0], 0.1);
  EXPECT_TRUE(std::isnan(found->final_losses[1]));
  EXPECT_EQ(found->final_losses[2], 3e-300);
  EXPECT_EQ(found->curve, result_.curve);
  EXPECT_FALSE(cache_.find("another key"));
  EXPECT_TRUE(notices_.empty());
}

TEST_F(Cache, DamagedEntriesAreNone) {
  cache_.store("key", result_);
  const std::string path = cache_.path_of("key");
  const std::string whole = contents(path);
  std::string digit = whole, other_key = whole;
  digit.replace(digit.find("0.1"), 3, "0.2");
  other_key.replace(other_key.find("key\":\"key"), 9, "key\":\"kex");
  for (const std::string& damaged :
       {std::string(), std::string("{}"), std::string("[1]"), whole.substr(0, whole.size() / 2),
        digit, other_key, std::string("null"), std::string(1000, '[')}) {
    std::ofstream(path, std::ios::binary) << damaged;
    notices_.clear();
    EXPECT_FALSE(cache_.find("key")) << damaged;
    ASSERT_EQ(notices_.size(), 1U) << damaged;
    EXPECT_NE(notices_[0].find("damaged"), std::string::npos) << notices_[0];
  }
  cache_.store("key", result_);
  EXPECT_TRUE(cache_.find("key")) << "and can be written again";
}

TEST_F(Cache, AnEntryThatCannotBeWrittenIsANotice) {
  std::filesystem::create_directories(cache_.path_of("key"));
  cache_.store("key", result_);
  EXPECT_EQ(notices_.size(), 1U);
}

TEST_F(Cache, ADirectoryThatCannotBeMadeIsAnError) {
  const std::string file = directory_.write("file", std::string("x"));
  for (const std::string& path : {file, file + "/below"}) {
    const ThrownError error = error_of([&] { RunCache(path, {}); });
    EXPECT_EQ(error.status, Status::kInputOutput) << path;
    EXPECT_TRUE(error.says(path)) << error.message;
  }
}

TEST_F(Cache, WithoutADirectoryNothingIsKept) {
  RunCache none("", {});
  none.store("key", result_);
  EXPECT_FALSE(none.find("key"));
}

}  // namespace
}  // namespace l2o
