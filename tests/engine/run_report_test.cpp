#include "host/engine/run_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/engine/small_run.h"
#include "tests/support/error_of.h"

namespace l2o {
namespace {

using test::SmallRun;

/// A run directory with the added records, planned for 40 episodes with one unroll each.
class Records {
 public:
  explicit Records(const std::string& meta_optimizer = "") {
    directory_.write("config.toml",
                     "[train]\nepisodes = 40\nsteps = 20\n[meta_optimizer]\n" + meta_optimizer);
  }
  Records& add(const nlohmann::ordered_json& line) {
    lines_ += line.dump() + "\n";
    return *this;
  }
  /// Adds 40 episodes whose losses fall from `first` to `last`.
  Records& episodes(double first, double last, double norm = 1.0, int skipped = 0) {
    for (int i = 1; i <= 40; ++i) {
      add({{"episode", i},
           {"meta_loss", first + (last - first) * (i - 1) / 39.0},
           {"gradient_norm", norm},
           {"skipped", i <= skipped ? 1 : 0}});
    }
    return *this;
  }
  Records& validation(int episode, double loss, bool best) {
    return add({{"episode", episode}, {"validation", loss}, {"best", best}});
  }
  RunReport report() {
    directory_.write("metrics.jsonl", lines_);
    return read_run_report(directory_.path());
  }
  bool advises(const std::string& words) {
    const std::vector<std::string> advice = report().advice;
    return std::any_of(advice.begin(), advice.end(), [&](const std::string& sentence) {
      return sentence.find(words) != std::string::npos;
    });
  }
  const TemporaryDirectory& directory() const { return directory_; }

 private:
  TemporaryDirectory directory_;
  std::string lines_;
};

TEST(RunReport, SummarizesRun) {
  Records records;
  records.episodes(40.0, 1.0, 2.5).validation(20, 9.0, true).validation(40, 8.0, true);
  const RunReport report = records.report();
  EXPECT_EQ(report.episodes, 40);
  EXPECT_EQ(report.planned, 40);
  EXPECT_EQ(report.first_loss, 39.0);  // median of 40, 39, 38 and 37
  EXPECT_EQ(report.last_loss, 3.0);
  EXPECT_EQ(report.median_norm, 2.5);
  EXPECT_EQ(report.best_episode, 40);
  EXPECT_EQ(report.best_validation, 8.0);
  EXPECT_TRUE(report.advice.empty()) << report.advice.front();
  EXPECT_NE(run_report_text(report).find("No problems found."), std::string::npos);
}

TEST(RunReport, AdvisesOnSymptoms) {
  EXPECT_TRUE(Records().episodes(2.0, 1.0, 1.0, 3).advises("3 meta-updates were skipped"));
  EXPECT_TRUE(Records().episodes(1.0, 2.0).advises("the meta-loss rose from 1.051 to 1.974"));
  EXPECT_TRUE(Records().episodes(2.0, 1.0, 1e-12).advises("all but zero"));
  const auto with_a_large_norm = [](const std::string& meta_optimizer) {
    Records records(meta_optimizer);
    records.episodes(2.0, 1.0).add(
        {{"episode", 41}, {"meta_loss", 1.0}, {"gradient_norm", 500.0}, {"skipped", 0}});
    return records.advises("meta_optimizer.clip_norm = 2");
  };
  EXPECT_TRUE(with_a_large_norm(""));
  EXPECT_FALSE(with_a_large_norm("clip_norm = 1.0"));
  Records early;
  early.episodes(2.0, 1.0).validation(10, 1.0, true);
  for (const int episode : {20, 30, 40}) early.validation(episode, 2.0, false);
  EXPECT_TRUE(early.advises("after episode 10 of 40"));
  Records late;
  late.episodes(2.0, 1.0);
  for (const int episode : {10, 20, 30, 40}) late.validation(episode, 2.0 - 0.01 * episode, true);
  EXPECT_TRUE(late.advises("--extend"));
}

TEST(RunReport, NamesFailingMembersAndTensors) {
  Records records;
  records.episodes(2.0, 1.0);
  records.add({{"episode", 41},
               {"meta_loss", 1.0},
               {"gradient_norm", 1.0},
               {"skipped", 0},
               {"members", {{"good", 0.5}, {"bad", nullptr}}},
               {"member_gradient_norms", {{"good", 0.25}, {"bad", nullptr}}},
               {"member_failures", {{"good", 0}, {"bad", 7}}}});
  records.add({{"episode", 41},
               {"validation", 1.0},
               {"best", true},
               {"movement", {{"good", {{"dense0.weight", 0.1}, {"dense0.bias", 0.0}}}}}});
  const RunReport report = records.report();
  ASSERT_EQ(report.members.size(), 2U);
  EXPECT_EQ(report.members[1].failures, 7);
  EXPECT_EQ(report.members[1].first_non_finite_loss, 1);
  EXPECT_EQ(report.members[0].gradient_norm, 0.25);
  ASSERT_EQ(report.movements.size(), 2U);
  EXPECT_TRUE(records.advises("member bad was left out of 17 %"));
  EXPECT_TRUE(records.advises("dense0.bias of member good does not move"));
  const auto json = nlohmann::json::parse(run_report_json(report));
  EXPECT_EQ(json["members"][1]["left_out"], 7);
  EXPECT_EQ(json["movements"][0]["tensor"], "dense0.weight");
}

TEST(RunReport, OfRealRunHasEveryPart) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  run.overrides = {"train.steps=6", "meta_optimizer.member_clip_norm=1"};
  run.train();
  const RunReport report = read_run_report(run.directory);
  EXPECT_EQ(report.episodes, 12);
  EXPECT_EQ(report.validations.size(), 3U);
  ASSERT_EQ(report.members.size(), 1U);
  EXPECT_GT(report.members[0].gradient_norm, 0.0);
  ASSERT_EQ(report.movements.size(), 1U);
  EXPECT_EQ(report.movements[0].tensor, "theta");
  EXPECT_GT(report.movements[0].distance, 0.0);
}

TEST(RunReport, RejectsInvalidRunDirectories) {
  const TemporaryDirectory empty;
  expect_error(Status::kInputOutput, {"config.toml"}, [&] { read_run_report(empty.path()); });
  Records none;
  expect_error(Status::kBadData, {"has no episodes yet"}, [&] { none.report(); });
  Records damaged;
  damaged.episodes(2.0, 1.0).add({{"episode", 41}});
  expect_error(Status::kBadData, {"metrics.jsonl:41"}, [&] { damaged.report(); });
  Records cut;
  cut.add({{"episode", 1},
           {"meta_loss", 1.0},
           {"gradient_norm", 1.0},
           {"skipped", 0},
           {"member_gradient_norms", {{"a", 1.0}}}});
  expect_error(Status::kBadData, {"metrics.jsonl:1", "member_failures"}, [&] { cut.report(); });
}

TEST(Trainer, WithoutImprovementEndsAsDiverged) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  run.overrides = {"optimizer.output_init=truncated_normal", "optimizer.output_scale=100",
                   "meta_optimizer.learning_rate=1e-9"};
  expect_error(Status::kDiverged,
               {"the best validation loss is", "without any steps", "l2o report"},
               [&] { run.train(); });
  run.resume = true;  // resuming the complete run gives the same error
  expect_error(Status::kDiverged, {"the best validation loss is"}, [&] { run.train(); });
  EXPECT_TRUE(std::filesystem::exists(run.directory + "/final.safetensors"));
}

}  // namespace
}  // namespace l2o
