#include "host/engine/evaluator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/meta/rollout.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"
#include "tests/support/error_of.h"
#include "tests/support/small_mnist.h"

namespace l2o {
namespace {

const std::string kSmallQuadratic = "name = \"quadratic\"\nfunctions = 2\ndimension = 3\n";

ConfigReader task_of(const std::string& text) { return ConfigReader::from_text(text, "task"); }

/// The only member of a mixture.
MemberConfig member_of(const std::string& text) {
  ConfigReader task = task_of(text);
  return {.options = task, .label = task.text("name", "")};
}

/// An untrained rule with non-zero updates: its output layer is not zero.
Optimizer some_model() {
  LstmConfig lstm;
  lstm.layers = 1;
  lstm.hidden = 4;
  return make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 3);
}

EvaluationOptions small_options() {
  EvaluationOptions options;
  options.steps = 6;
  options.runs = 5;
  options.tuning_runs = 3;
  options.baselines = {"sgd", "adam"};
  return options;
}

EvaluationReport evaluate_on(const std::string& task_text, const Optimizer& model,
                             const EvaluationOptions& options, int threads = 1) {
  const std::unique_ptr<Backend> backend = make_backend({DeviceKind::kCpu, threads});
  return evaluate(*backend, make_model(model), {member_of(task_text)}, options,
                  [](const std::string&) {})
      .front();
}

/// The tuned rate of a baseline.
double searched_rate(const std::string& rule, const std::string& task_text, int steps) {
  EvaluationOptions options = small_options();
  options.steps = steps;
  options.baselines = {rule};
  return evaluate_on(task_text, some_model(), options).optimizers[1].learning_rate.value();
}

/// The coordinates of one task.
std::int64_t coordinates_of(const std::string& task_text, const std::string& data_directory) {
  const std::unique_ptr<Backend> backend = make_backend({DeviceKind::kCpu, 1});
  ConfigReader task = task_of(task_text);
  return make_optimizee({*backend, 1, data_directory}, task)->coordinates();
}

void expect_same_bits(const EvaluationReport& a, const EvaluationReport& b) {
  ASSERT_EQ(a.optimizers.size(), b.optimizers.size());
  for (std::size_t i = 0; i < a.optimizers.size(); ++i) {
    EXPECT_EQ(a.optimizers[i].name, b.optimizers[i].name);
    EXPECT_EQ(a.optimizers[i].learning_rate, b.optimizers[i].learning_rate);
    EXPECT_EQ(a.optimizers[i].curve_mean, b.optimizers[i].curve_mean);
    EXPECT_EQ(a.optimizers[i].curve_se, b.optimizers[i].curve_se);
  }
}

TEST(Evaluator, ReportsAllOptimizersLearnedOneFirst) {
  const EvaluationReport report = evaluate_on(kSmallQuadratic, some_model(), small_options());
  EXPECT_EQ(report.task, "quadratic");
  EXPECT_EQ(report.device, "cpu");
  ASSERT_EQ(report.optimizers.size(), 3U);
  EXPECT_EQ(report.optimizers[0].name, "lstm");
  EXPECT_FALSE(report.optimizers[0].learning_rate.has_value());
  EXPECT_EQ(report.optimizers[1].name, "sgd");
  EXPECT_TRUE(report.optimizers[1].learning_rate.has_value());
  EXPECT_EQ(report.optimizers[2].name, "adam");
  for (const OptimizerResult& result : report.optimizers) {
    EXPECT_EQ(result.curve_mean.size(), 7U);
    EXPECT_EQ(result.curve_se.size(), 7U);
    EXPECT_EQ(result.final_loss_mean, result.curve_mean.back());
    EXPECT_EQ(result.final_loss_se, result.curve_se.back());
    EXPECT_EQ(result.curve_mean.front(), report.optimizers[0].curve_mean.front())
        << "all start on the same tasks";
  }
}

TEST(Evaluator, ReportsProgressOfEveryOptimizerOfEveryMember) {
  const std::unique_ptr<Backend> backend = make_backend({DeviceKind::kCpu, 1});
  const auto progress_on = [&](const std::vector<MemberConfig>& members) {
    std::vector<std::string> lines;
    evaluate(*backend, make_model(some_model()), members, small_options(),
             [&](const std::string& line) { lines.push_back(line); });
    return lines;
  };
  const MemberConfig quadratic = member_of(kSmallQuadratic), simple = member_of("name = 'simple'");
  const std::vector<std::string> expected = {"lstm: final loss ", "sgd, learning rate ",
                                             "adam, learning rate "};
  const std::vector<std::string> alone = progress_on({quadratic});
  const std::vector<std::string> both = progress_on({quadratic, simple});
  ASSERT_EQ(alone.size(), 3U);
  ASSERT_EQ(both.size(), 6U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(alone[i].starts_with(expected[i])) << alone[i];
    EXPECT_EQ(both[i], "quadratic: " + alone[i]);
    EXPECT_TRUE(both[3 + i].starts_with("simple: " + expected[i])) << both[3 + i];
  }
}

TEST(Evaluator, MeanAndStandardErrorComeFromTestTasks) {
  const EvaluationOptions options = small_options();
  const EvaluationReport report = evaluate_on(kSmallQuadratic, some_model(), options);

  const std::unique_ptr<Backend> backend = make_backend({DeviceKind::kCpu, 1});
  ConfigReader task = task_of(kSmallQuadratic);
  const auto optimizee = make_optimizee({*backend, options.runs, ""}, task);
  DeviceOptimizer optimizer(*backend, some_model());
  const auto curves = rollout(optimizer, *optimizee,
                              {stream_seed(options.seed, TaskStream::kTest), 0}, options.steps);
  double sum = 0.0;
  double squares = 0.0;
  for (const auto& curve : curves) {
    sum += static_cast<double>(curve.back());
    squares += static_cast<double>(curve.back()) * static_cast<double>(curve.back());
  }
  const double runs = options.runs;
  const double variance = (squares - sum * sum / runs) / (runs - 1.0);
  EXPECT_NEAR(report.optimizers[0].final_loss_mean, sum / runs, 1e-12);
  EXPECT_NEAR(report.optimizers[0].final_loss_se, std::sqrt(variance / runs), 1e-9);
}

TEST(Evaluator, SeedSelectsTasks) {
  EvaluationOptions options = small_options();
  const EvaluationReport first = evaluate_on(kSmallQuadratic, some_model(), options);
  options.seed = 2;
  const EvaluationReport second = evaluate_on(kSmallQuadratic, some_model(), options);
  EXPECT_NE(first.optimizers[0].final_loss_mean, second.optimizers[0].final_loss_mean);
}

TEST(Evaluator, ResultIsIndependentOfThreads) {
  expect_same_bits(evaluate_on(kSmallQuadratic, some_model(), small_options(), 1),
                   evaluate_on(kSmallQuadratic, some_model(), small_options(), 3));
}

TEST(Evaluator, ResultIsIndependentOfBatching) {
  const SmallMnist mnist;
  const std::string mlp = "name = \"mlp\"\nlayers = [3]\nbatch_size = 4\n";
  for (const std::string& task : {kSmallQuadratic, mlp}) {
    EvaluationOptions options = small_options();
    options.data_directory = mnist.path();
    const EvaluationReport all_at_once = evaluate_on(task, some_model(), options);
    // One task at a time, and batches that five runs do not divide into evenly.
    for (const int tasks_at_once : {1, 2, 3}) {
      options.coordinates_at_once = tasks_at_once * coordinates_of(task, mnist.path());
      expect_same_bits(all_at_once, evaluate_on(task, some_model(), options));
    }
  }
}

TEST(Evaluator, SingleRunHasZeroStandardError) {
  EvaluationOptions options = small_options();
  options.runs = 1;
  const EvaluationReport report = evaluate_on(kSmallQuadratic, some_model(), options);
  for (const OptimizerResult& result : report.optimizers) EXPECT_EQ(result.final_loss_se, 0.0);
}

TEST(Evaluator, DivergedRunsAreNotHidden) {
  Optimizer model = some_model();
  model.meta_parameters.back() = 3e38F;  // linear.bias: every update overflows the loss
  const EvaluationReport report = evaluate_on(kSmallQuadratic, model, small_options());
  EXPECT_FALSE(std::isfinite(report.optimizers[0].final_loss_mean));
  EXPECT_TRUE(std::isfinite(report.optimizers[1].final_loss_mean));
}

TEST(Evaluator, InvalidNamesAreUsageErrors) {
  EvaluationOptions options = small_options();
  const auto expect_usage_error = [&](const std::string& part, const std::string& task) {
    expect_error(Status::kUsage, {part}, [&] { evaluate_on(task, some_model(), options); });
  };
  expect_usage_error("the nearest known key is dimension", kSmallQuadratic + "dimensions = 3\n");
  options.baselines = {"sgd", "lstm"};
  expect_usage_error("rmsprop", kSmallQuadratic);  // the known rules are listed
  options.baselines = {"sgd", "adam", "sgd"};
  expect_usage_error("sgd is listed twice", kSmallQuadratic);
}

// Steps of SGD at rate 0.1 on f(x) = x^2 from x = 1 multiply x by 1 - 0.2 scale.

TEST(Evaluator, ScalesStepsOfLearnedRule) {
  EvaluationOptions options = small_options();
  options.steps = 4;
  options.baselines = {};
  options.scaling = {.scales = {.gradient = 2.0F, .update = 0.5F, .weight_decay = 0.1F},
                     .schedule = UpdateSchedule::kLinear};
  const EvaluationReport report =
      evaluate_on("name = \"simple\"", make_hand_designed_optimizer("sgd", 0.1F), options);
  double x = 1.0;
  for (int t = 0; t < 4; ++t) {
    const double update_scale = 0.5 * (1.0 - t / 4.0);
    x += update_scale * (-0.1 * 2.0 * 2.0 * x - 0.1 * x);
    EXPECT_NEAR(report.optimizers[0].curve_mean[static_cast<std::size_t>(t) + 1], x * x, 1e-6);
  }
  EXPECT_EQ(report.optimizers[0].schedule, UpdateSchedule::kLinear);
}

TEST(Evaluator, FixedRateIsNotTuned) {
  EvaluationOptions options = small_options();
  options.steps = 2;
  options.baselines = {"sgd@0.1"};
  const EvaluationReport report = evaluate_on("name = \"simple\"", some_model(), options);
  EXPECT_EQ(report.optimizers[1].name, "sgd@0.1");
  EXPECT_EQ(report.optimizers[1].learning_rate, 0.1);
  EXPECT_NEAR(report.optimizers[1].final_loss_mean, std::pow(0.8, 4.0), 1e-6);
}

TEST(Evaluator, UsesBetterScheduleOfBaseline) {
  EvaluationOptions options = small_options();
  options.steps = 2;
  options.baselines = {"sgd@0.1", "sgd@0.8", "sgd"};
  options.baseline_schedules = {UpdateSchedule::kConstant, UpdateSchedule::kLinear};
  const EvaluationReport report = evaluate_on("name = \"simple\"", some_model(), options);
  // 0.8 and 0.8, or 0.8 and 0.9.
  EXPECT_EQ(report.optimizers[1].schedule, UpdateSchedule::kConstant);
  // -0.6 and -0.6, or -0.6 and 0.2.
  EXPECT_EQ(report.optimizers[2].schedule, UpdateSchedule::kLinear);
  EXPECT_NEAR(report.optimizers[2].final_loss_mean, std::pow(0.12, 2.0), 1e-6);
  // One step is optimal under either schedule, up to the grid; the second improves on that.
  EXPECT_LT(report.optimizers[3].final_loss_mean, 1e-4);
}

TEST(Evaluator, UsesTheOnlySchedule) {
  EvaluationOptions options = small_options();
  const EvaluationReport constant = evaluate_on(kSmallQuadratic, some_model(), options);
  EXPECT_EQ(constant.optimizers[1].schedule, UpdateSchedule::kConstant);
  options.baseline_schedules = {UpdateSchedule::kCosine};
  const EvaluationReport cosine = evaluate_on(kSmallQuadratic, some_model(), options);
  EXPECT_EQ(cosine.optimizers[1].schedule, UpdateSchedule::kCosine);
  EXPECT_NE(constant.optimizers[1].final_loss_mean, cosine.optimizers[1].final_loss_mean);
  EXPECT_EQ(constant.optimizers[0].final_loss_mean, cosine.optimizers[0].final_loss_mean);
}

// On f(x) = x^2 the best rates are known.

TEST(Evaluator, TunesTheRateOfABaseline) {
  // A step of SGD multiplies x by 1 - 2 rate. Of the powers of 10^(1/16), 10^(-5/16) = 0.487 is the
  // closest to the optimal 0.5.
  EXPECT_NEAR(searched_rate("sgd", "name = \"simple\"", 3), std::pow(10.0, -5.0 / 16.0), 1e-6);
  // Adam's first step is the learning rate itself, whatever the gradient.
  EXPECT_NEAR(searched_rate("adam", "name = \"simple\"\ninitial = 1e4\n", 1), 1e4, 1e-2);
  EXPECT_NEAR(searched_rate("adam", "name = \"simple\"\ninitial = 1e-6\n", 1), 1e-6, 1e-8);
}

}  // namespace
}  // namespace l2o
