#include "host/engine/evaluator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <set>
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

/// An untrained rule that moves: its output layer is not zero.
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
  return evaluate(*backend, make_model(model), member_of(task_text), options,
                  [](const std::string&) {});
}

double searched_rate(const std::string& rule, const std::string& task_text, int steps) {
  const std::unique_ptr<Backend> backend = make_backend({DeviceKind::kCpu, 1});
  EvaluationOptions options = small_options();
  options.steps = steps;
  return search_learning_rate(*backend, rule, member_of(task_text), options);
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

TEST(Evaluator, ReportsEveryOptimizerTheLearnedFirst) {
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
        << "all of them start on the same tasks";
  }
}

TEST(Evaluator, MeanAndStandardErrorAreThoseOfTheTestTasks) {
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

TEST(Evaluator, StreamsOfTasksDiffer) {
  std::set<std::uint64_t> seeds;
  for (const std::uint64_t seed : {0U, 1U, 2U, 3U}) {
    for (const TaskStream stream :
         {TaskStream::kTraining, TaskStream::kValidation, TaskStream::kTuning, TaskStream::kTest}) {
      seeds.insert(stream_seed(seed, stream));
    }
  }
  EXPECT_EQ(seeds.size(), 16U);
}

TEST(Evaluator, SeedChoosesTheTasks) {
  EvaluationOptions options = small_options();
  const EvaluationReport first = evaluate_on(kSmallQuadratic, some_model(), options);
  options.seed = 2;
  const EvaluationReport second = evaluate_on(kSmallQuadratic, some_model(), options);
  EXPECT_NE(first.optimizers[0].final_loss_mean, second.optimizers[0].final_loss_mean);
}

TEST(Evaluator, ThreadsDoNotChangeABit) {
  expect_same_bits(evaluate_on(kSmallQuadratic, some_model(), small_options(), 1),
                   evaluate_on(kSmallQuadratic, some_model(), small_options(), 3));
}

TEST(Evaluator, BatchingDoesNotChangeABit) {
  const SmallMnist mnist;
  const std::string mlp = "name = \"mlp\"\nlayers = [3]\nbatch_size = 4\n";
  for (const std::string& task : {kSmallQuadratic, mlp}) {
    EvaluationOptions options = small_options();
    options.data_directory = mnist.path();
    const EvaluationReport all_at_once = evaluate_on(task, some_model(), options);
    // One task at a time, and batches that five runs do not divide into evenly.
    for (const int tasks_at_once : {1, 2, 3}) {
      options.coordinates_at_once = tasks_at_once * (task == mlp ? 118 : 6);
      expect_same_bits(all_at_once, evaluate_on(task, some_model(), options));
    }
  }
}

TEST(Evaluator, OneRunHasNoStandardError) {
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

TEST(Evaluator, WrongNamesAreUsageErrors) {
  EvaluationOptions options = small_options();
  const ThrownError key =
      error_of([&] { evaluate_on(kSmallQuadratic + "dimensions = 3\n", some_model(), options); });
  EXPECT_EQ(key.status, Status::kUsage);
  EXPECT_TRUE(key.says("the nearest known key is dimension")) << key.message;

  options.baselines = {"sgd", "lstm"};
  const ThrownError rule = error_of([&] { evaluate_on(kSmallQuadratic, some_model(), options); });
  EXPECT_EQ(rule.status, Status::kUsage);
  EXPECT_TRUE(rule.says("rmsprop")) << "the known rules are listed: " << rule.message;

  options.baselines = {"sgd", "adam", "sgd"};
  const ThrownError twice = error_of([&] { evaluate_on(kSmallQuadratic, some_model(), options); });
  EXPECT_EQ(twice.status, Status::kUsage);
  EXPECT_TRUE(twice.says("sgd twice")) << twice.message;
}

// On f(x) = x^2 from x = 1 the best rates are known: the searches below are exact.

TEST(LearningRateSearch, FindsTheOptimumOfAQuadratic) {
  // A step of SGD multiplies x by 1 - 2 rate. Of the powers of 10^(1/16), 10^(-5/16) = 0.487 is the
  // nearest to the perfect 0.5.
  EXPECT_NEAR(searched_rate("sgd", "name = \"simple\"", 3), std::pow(10.0, -5.0 / 16.0), 1e-6);
}

TEST(LearningRateSearch, GrowsTheGridUpwards) {
  // Adam's first step is the learning rate itself, whatever the gradient.
  EXPECT_NEAR(searched_rate("adam", "name = \"simple\"\ninitial = 1e4\n", 1), 1e4, 1e-2);
}

TEST(LearningRateSearch, GrowsTheGridDownwards) {
  EXPECT_NEAR(searched_rate("adam", "name = \"simple\"\ninitial = 1e-6\n", 1), 1e-6, 1e-8);
}

TEST(LearningRateSearch, StopsAtItsBounds) {
  // Adam does not move where the gradient is zero, so all rates are equal: the grid grows once
  // beyond its lowest rate, 1e-4, gains nothing and stops. Of equal rates the lowest is taken.
  EXPECT_NEAR(searched_rate("adam", "name = \"simple\"\ninitial = 0.0\n", 1), std::pow(10.0, -4.5),
              1e-11);
}

}  // namespace
}  // namespace l2o
