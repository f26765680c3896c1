#include "host/engine/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "host/optimizer/model_file.h"
#include "tests/engine/small_run.h"
#include "tests/support/error_of.h"

namespace l2o {
namespace {

using test::run_bytes;
using test::SmallRun;

TEST(Trainer, LearnsToMinimizeQuadratics) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  run.overrides = {"task.functions=4",  "task.dimension=4",       "train.episodes=60",
                   "train.steps=20",    "train.unroll_length=10", "evaluation.every=10",
                   "optimizer.hidden=8"};
  std::vector<double> validations;
  run.progress = [&](const TrainProgress& progress) {
    if (progress.evaluated) validations.push_back(progress.validation);
  };
  const TrainResult result = run.train();

  ASSERT_EQ(validations.size(), 6U);
  // The rule starts with zero updates, so its final loss must fall below f(theta_0).
  EXPECT_LT(validations.back(),
            0.5 * test::metrics_of(run.directory).front()["meta_loss"].get<double>());
  EXPECT_LT(result.best_validation, 0.8 * validations.front());
  EXPECT_EQ(result.episodes, 60);
  EXPECT_EQ(result.skipped_updates, 0);
  EXPECT_EQ(result.stopped_by_signal, 0);
}

TEST(Trainer, RunDirectoryRecordsTheRun) {
  const TemporaryDirectory root;
  SmallRun run{root.file("deep/run")};
  std::vector<TrainProgress> progress;
  run.progress = [&](const TrainProgress& report) { progress.push_back(report); };
  const TrainResult result = run.train();

  // 12 episodes, with evaluations after 5, after 10 and at the end.
  const std::vector<nlohmann::json> metrics = test::metrics_of(run.directory);
  ASSERT_EQ(metrics.size(), 15U);
  ASSERT_EQ(progress.size(), 12U);
  EXPECT_EQ(metrics[5]["episode"], 5);
  EXPECT_EQ(metrics[5]["validation"], progress[4].validation);
  EXPECT_EQ(metrics[5]["best"], true);
  EXPECT_EQ(metrics[0]["final_loss"], progress[0].final_loss);
  EXPECT_GT(metrics[0]["gradient_norm"].get<double>(), 0.0);
  EXPECT_TRUE(std::isnan(progress[3].best_validation));
  EXPECT_EQ(progress[11].best_validation, result.best_validation);

  const Optimizer best = load_model(result.best_model).only_rule();
  EXPECT_EQ(best.cell.lstm.hidden, 4);
  EXPECT_EQ(best.trained_on, test::contents(run.directory + "/config.toml"));
  EXPECT_EQ(test::checkpoint_files(run.directory).size(), 2U);

  // The resolved configuration is itself a valid configuration that gives the same run.
  SmallRun again{root.file("again")};
  again.config = best.trained_on;
  again.train();
  EXPECT_EQ(run_bytes(again.directory), run_bytes(run.directory));
}

TEST(Trainer, KeepsModelWithLowestValidationLoss) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  // The rate is so high that the validation loss fluctuates.
  run.overrides = {"evaluation.every=1", "meta_optimizer.learning_rate=0.3"};
  const TrainResult result = run.train();
  double lowest = std::numeric_limits<double>::infinity();
  for (const nlohmann::json& line : test::metrics_of(run.directory)) {
    if (!line.contains("validation")) continue;
    EXPECT_EQ(line["best"].get<bool>(), line["validation"].get<double>() < lowest);
    lowest = std::min(lowest, line["validation"].get<double>());
  }
  EXPECT_EQ(result.best_validation, lowest);
  EXPECT_LT(result.best_episode, 12);

  // A run that ends at the best episode has that model as its final one. The rate is constant, so
  // that it does not depend on the planned length.
  SmallRun until_best{root.file("until_best")};
  run.directory = root.file("constant");
  run.overrides.push_back("meta_optimizer.schedule=constant");
  until_best.overrides = run.overrides;
  const TrainResult constant = run.train();
  until_best.overrides.push_back("train.episodes=" + std::to_string(constant.best_episode));
  until_best.train();
  EXPECT_EQ(load_model(until_best.directory + "/final.safetensors").only_rule().meta_parameters,
            load_model(constant.best_model).only_rule().meta_parameters);
}

TEST(TrainerThreads, DoNotChangeResult) {
  const TemporaryDirectory root;
  // 160 coordinates: more tiles than threads.
  const std::vector<std::string> larger = {"task.functions=10", "task.dimension=8"};
  SmallRun one{root.file("1")};
  one.overrides = larger;
  one.train();
  for (const int threads : {2, 3}) {
    SmallRun many{root.file(std::to_string(threads))};
    many.overrides = larger;
    many.threads = threads;
    many.train();
    EXPECT_EQ(run_bytes(many.directory), run_bytes(one.directory)) << threads << " threads";
  }
}

TEST(Trainer, EndsAsDivergedWithAdvice) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  run.overrides = {"meta_optimizer.learning_rate=1000",
                   "optimizer.output_scale=1000",
                   "optimizer.preprocessing=identity",
                   "optimizer.layers=0",
                   "train.max_skipped_updates=4",
                   "train.steps=60",
                   "train.unroll_length=20"};
  expect_error(Status::kDiverged, {"the last 4 meta-updates", "meta_optimizer.learning_rate"},
               [&] { run.train(); });

  const std::vector<nlohmann::json> metrics = test::metrics_of(run.directory);
  std::int64_t skipped = 0;
  for (const nlohmann::json& line : metrics) skipped += line.value("skipped", 0);
  EXPECT_GE(skipped, 4);
  // A skipped update ends its episode, whose losses are not hidden: null means non-finite.
  const auto last_episode = std::find_if(metrics.rbegin(), metrics.rend(),
                                         [](const auto& line) { return line.contains("skipped"); });
  EXPECT_EQ((*last_episode)["skipped"], 1);
  EXPECT_TRUE((*last_episode)["meta_loss"].is_null());
  // Its final state can be inspected.
  EXPECT_FALSE(test::checkpoint_files(run.directory).empty());
}

TEST(Trainer, NamesInvalidConfigurationKey) {
  const TemporaryDirectory root;
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"train.unrol_length=5", {"train.unrol_length", "unroll_length"}},
      {"train.steps=0", {"train.steps", "0"}},
      {"train.steps=[60]", {"train.steps", "[60, 1000]"}},
      {"train.steps=[1000, 60]", {"train.steps", "[60, 1000]"}},
      {"train.steps=[3, 7]", {"train.steps = 7", "train.unroll_length = 3"}},
      {"meta_optimizer.member_clip_norm=1", {"train.steps = 7", "member_clip_norm"}},
      {"train.schedule=linear", {"train.schedule", "mixed"}},
      {"train.loss=square", {"train.loss", "log"}},
      {"optimizer.output=modulated", {"optimizer.output", "adam_moments"}},
      {"optimizer.preprocessing=momentum", {"optimizer.preprocessing", "adam_moments"}},
      {"evaluation.average=0", {"evaluation.average"}},
      {"train.loss_weights=[1.0, 2.0]", {"train.loss_weights", "unroll_length + 1 = 4"}},
      {"train.loss_weights=[1.0, 2.0, 0.0, 0.0]", {"train.loss_weights", "two zeros"}},
      {"train.loss_weights=[1.0, -2.0, 0.0, 1.0]", {"train.loss_weights"}},
      {"train.loss_weights=late", {"train.loss_weights", "final"}},
      {"train.episodes=4294967295", {"train.episodes", "2^32"}},
      {"meta_optimizer.learning_rate=-1", {"meta_optimizer.learning_rate"}},
      {"optimizer.cell=adam", {"optimizer.cell", "lstm"}},
      {"optimizer.layers=4", {"optimizer.layers"}},
      {"task.name=cubic", {"cubic", "quadratic"}},
      {"task.dimensions=3", {"task.dimensions", "task.dimension"}},
  };
  for (const auto& [assignment, parts] : cases) {
    SCOPED_TRACE(assignment);
    SmallRun run{root.file("run")};
    run.overrides = {assignment};
    expect_error(Status::kUsage, parts, [&] { run.train(); });
    EXPECT_FALSE(std::filesystem::exists(run.directory)) << "nothing is created for an invalid key";
  }
}

// It is stored in every model, so it is rejected before hours of training and not afterwards.
TEST(Trainer, RejectsConfigurationTooLongForModel) {
  const TemporaryDirectory root;
  SmallRun run{root.file("run")};
  std::string weights = "1";
  for (int i = 0; i < 300'000; ++i) weights += ",1";  // "1.0, " each once it is resolved
  run.overrides = {"train.steps=300000", "train.unroll_length=300000", "evaluation.steps=1",
                   "train.loss_weights=[" + weights + "]"};
  expect_error(Status::kUsage, {"header"}, [&] { run.train(); });
  EXPECT_FALSE(std::filesystem::exists(run.directory));
}

}  // namespace
}  // namespace l2o
