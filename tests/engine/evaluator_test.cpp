#include "host/engine/evaluator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
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

TEST(Evaluator, TaskStreamsDiffer) {
  std::set<std::uint64_t> seeds;
  for (const std::uint64_t seed : {0U, 1U, 2U, 3U}) {
    for (const TaskStream stream :
         {TaskStream::kTraining, TaskStream::kValidation, TaskStream::kTuning, TaskStream::kTest}) {
      seeds.insert(stream_seed(seed, stream));
    }
  }
  EXPECT_EQ(seeds.size(), 16U);
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
      options.coordinates_at_once = tasks_at_once * (task == mlp ? 118 : 6);
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
  EXPECT_TRUE(twice.says("sgd is listed twice")) << twice.message;
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

// On f(x) = x^2 from x = 1 the best rates are known: the searches below are exact.

TEST(LearningRateSearch, FindsOptimumOfQuadratic) {
  // A step of SGD multiplies x by 1 - 2 rate. Of the powers of 10^(1/16), 10^(-5/16) = 0.487 is the
  // closest to the optimal 0.5.
  EXPECT_NEAR(searched_rate("sgd", "name = \"simple\"", 3), std::pow(10.0, -5.0 / 16.0), 1e-6);
}

TEST(LearningRateSearch, ExtendsGridUpwards) {
  // Adam's first step is the learning rate itself, whatever the gradient.
  EXPECT_NEAR(searched_rate("adam", "name = \"simple\"\ninitial = 1e4\n", 1), 1e4, 1e-2);
}

TEST(LearningRateSearch, ExtendsGridDownwards) {
  EXPECT_NEAR(searched_rate("adam", "name = \"simple\"\ninitial = 1e-6\n", 1), 1e-6, 1e-8);
}

/// Result of a frugal search for the minimum of (log10(rate) - best)^2, and its number of trials.
std::pair<double, int> frugal_search(double best, std::optional<int> start) {
  int trials = 0;
  const TunedRate tuned = search_frugally(2, start, [&](double rate, int, int) {
    ++trials;
    return 1.0 + std::pow(std::log10(rate) - best, 2.0);
  });
  return {std::log10(tuned.rate), trials};
}

TEST(FrugalSearch, TriesFullGridOnceThenNeighborsOfBest) {
  const auto [fresh, fresh_trials] = frugal_search(-2.2, std::nullopt);
  EXPECT_NEAR(fresh, -2.25, 1e-6) << "powers of 10^(1/4)";
  EXPECT_EQ(fresh_trials, 11 + 2 + 2) << "coarse, finer, the best two again";
  const auto [near, near_trials] = frugal_search(-2.2, -2 * 16);
  EXPECT_NEAR(near, -2.25, 1e-6);
  EXPECT_EQ(near_trials, 3 + 2 + 2);
}

TEST(FrugalSearch, FollowsMovedOptimum) {
  EXPECT_NEAR(frugal_search(-0.3, -3 * 16).first, -0.25, 1e-6);
  EXPECT_NEAR(frugal_search(-4.8, -3 * 16).first, -4.75, 1e-6);
}

TEST(FrugalSearch, MoreTasksDecideBetweenBestTwo) {
  // On the first two tasks 0.1 looks slightly better; the next two show that it is not.
  const TunedRate tuned = search_frugally(2, -16, [](double rate, int first, int) {
    const double distance = std::abs(std::log10(rate) + 1.0);
    return distance < 0.1 && first == 2 ? 5.0 : 1.0 + distance;
  });
  EXPECT_NEAR(std::abs(std::log10(tuned.rate) + 1.0), 0.25, 1e-6);
  EXPECT_NEAR(tuned.loss, 1.25, 1e-6) << "the mean over all its tasks";
}

TEST(LearningRateSearch, OfARuleThatAlwaysDivergesHasAnInfiniteLoss) {
  const RateTrial diverging = [](double, int, int) { return std::nan(""); };
  for (const TunedRate& tuned :
       {search_frugally(1, std::nullopt, diverging), search_thoroughly(1, diverging)}) {
    EXPECT_TRUE(std::isinf(tuned.loss));
    EXPECT_GT(tuned.rate, 0.0);
  }
}

TEST(Baselines, InvalidNamesAreUsageErrors) {
  for (const char* name :
       {"adam@", "adam@x", "adam@0", "adam@-1", "adam@1e-3x", "adam@inf", "@1", "lstm@1", ""}) {
    EXPECT_EQ(error_of([&] { parse_baseline(name); }).status, Status::kUsage) << name;
  }
  EXPECT_EQ(parse_baseline("adam@1e-3").fixed_rate, 1e-3);
  EXPECT_FALSE(parse_baseline("adam").fixed_rate.has_value());
  EXPECT_EQ(error_of([&] { parse_schedules({"cosine", "cosine"}, "x"); }).status, Status::kUsage);
}

TEST(LearningRateSearch, StopsAtItsBounds) {
  // Adam does not move if the gradient is zero, so all rates are equal: the grid is extended once
  // beyond its lowest rate, 1e-4, without gain, and the search stops. Ties go to the lowest rate.
  EXPECT_NEAR(searched_rate("adam", "name = \"simple\"\ninitial = 0.0\n", 1), std::pow(10.0, -4.5),
              1e-11);
}

}  // namespace
}  // namespace l2o
