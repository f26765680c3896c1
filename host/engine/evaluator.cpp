#include "host/engine/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <compare>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <set>

#include "host/core/error.h"
#include "host/meta/rollout.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

// Learning rates are powers of 10^(1/16), named by their exponent in 16ths, so that every rate is
// the same number however the search came to it.
constexpr int kCoarseStep = 8;  // 10^(1/2)
constexpr int kFineStep = 2;    // 10^(1/8)
constexpr int kFinestStep = 1;
constexpr int kCoarseLow = -4 * 16;
constexpr int kCoarseHigh = 1 * 16;
constexpr int kLowest = -8 * 16;
constexpr int kHighest = 6 * 16;

/// Many rules do best right below the rate at which they diverge, and on a few tasks too high a
/// rate can pass for good. So the best rates meet again on more tasks.
constexpr std::size_t kFinalists = 4;
constexpr int kFinalRunsFactor = 8;

double rate_of(int exponent) { return std::pow(10.0, exponent / 16.0); }

using Curves = std::vector<std::vector<float>>;  // [run][steps + 1]

/// Runs optimizers on numbered tasks of a stream, as many at a time as memory allows.
class TaskRunner {
 public:
  TaskRunner(Backend& backend, const ConfigReader& task, const EvaluationOptions& options)
      : backend_(backend), task_(task), options_(options) {
    Optimizee& one = batch_of(1);
    coordinates_ = one.coordinates();
    task_.finish();
  }

  /// Tasks 0 .. runs - 1 of the stream.
  Curves run(const Model& model, TaskStream stream, int runs) {
    const std::vector<CellConfig> cells = model.cells();
    const int batch_size = rollout_tasks(cells, coordinates_, runs, options_.coordinates_at_once);
    DeviceOptimizer device_optimizer(backend_, model);
    Optimizee& optimizee = batch_of(batch_size);
    optimizee.assign_groups(model.groups());
    Rollout rollout(backend_, cells, optimizee, options_.steps);
    Curves curves;
    for (int first = 0; first < runs; first += batch_size) {
      const TaskRange range = {stream_seed(options_.seed, stream),
                               static_cast<std::uint32_t>(first)};
      for (std::vector<float>& curve : rollout.run(device_optimizer, range)) {
        if (curves.size() < static_cast<std::size_t>(runs)) curves.push_back(std::move(curve));
      }
    }
    return curves;
  }

 private:
  Optimizee& batch_of(int tasks) {
    std::unique_ptr<Optimizee>& batch = batches_[tasks];
    if (!batch) batch = make_optimizee({backend_, tasks, options_.data_directory, true}, task_);
    return *batch;
  }

  Backend& backend_;
  ConfigReader task_;
  const EvaluationOptions& options_;
  std::int64_t coordinates_ = 0;                       // of one task
  std::map<int, std::unique_ptr<Optimizee>> batches_;  // by number of tasks
};

/// The search for one rule's learning rate.
class LearningRateSearch {
 public:
  LearningRateSearch(TaskRunner& runner, const std::string& rule, int tuning_runs)
      : runner_(runner), rule_(rule), tuning_runs_(tuning_runs) {}

  double run() {
    search_coarsely();
    search_between(kCoarseStep, kFineStep);
    search_between(kFineStep, kFinestStep);
    return static_cast<double>(static_cast<float>(rate_of(best_finalist())));
  }

 private:
  struct Trial {
    double loss;
    int exponent;
    auto operator<=>(const Trial&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy's
  };

  /// Mean final loss; infinity where it is not finite.
  double loss_at(int exponent, int runs) {
    const Model model =
        make_model(make_hand_designed_optimizer(rule_, static_cast<float>(rate_of(exponent))));
    double sum = 0.0;
    for (const std::vector<float>& curve : runner_.run(model, TaskStream::kTuning, runs)) {
      sum += static_cast<double>(curve.back());
    }
    return std::isfinite(sum) ? sum / runs : std::numeric_limits<double>::infinity();
  }

  void consider(int exponent) { trials_.push_back({loss_at(exponent, tuning_runs_), exponent}); }

  /// The first of equals, so that a search grows only where it gains.
  const Trial& best() const {
    return *std::min_element(trials_.begin(), trials_.end(),
                             [](const Trial& a, const Trial& b) { return a.loss < b.loss; });
  }

  void search_coarsely() {
    int low = kCoarseLow;
    int high = kCoarseHigh;
    for (int exponent = low; exponent <= high; exponent += kCoarseStep) consider(exponent);
    for (;;) {
      if ((best().exponent == low || !std::isfinite(best().loss)) && low > kLowest) {
        consider(low -= kCoarseStep);
      } else if (best().exponent == high && high < kHighest) {
        consider(high += kCoarseStep);
      } else {
        break;
      }
    }
    if (!std::isfinite(best().loss)) {
      throw Error(Status::kFailure,
                  fmt::format("{}: no learning rate from {:g} to {:g} gives a finite loss", rule_,
                              rate_of(low), rate_of(high)));
    }
  }

  /// A finer grid between the neighbours of the best rate.
  void search_between(int spacing, int finer) {
    const int center = best().exponent;
    for (int offset = finer; offset < spacing; offset += finer) {
      consider(center - offset);
      consider(center + offset);
    }
  }

  int best_finalist() {
    std::sort(trials_.begin(), trials_.end());
    trials_.resize(std::min(trials_.size(), kFinalists));
    for (Trial& trial : trials_) {
      trial.loss = loss_at(trial.exponent, kFinalRunsFactor * tuning_runs_);
    }
    return best().exponent;
  }

  TaskRunner& runner_;
  std::string rule_;
  int tuning_runs_;
  std::vector<Trial> trials_;
};

/// Mean and standard error of every step over the runs, summed in the order of the runs.
OptimizerResult summarize(const std::string& name, std::optional<double> learning_rate,
                          const Curves& curves) {
  OptimizerResult result;
  result.name = name;
  result.learning_rate = learning_rate;
  const auto runs = static_cast<double>(curves.size());
  for (std::size_t t = 0; t < curves.front().size(); ++t) {
    double sum = 0.0;
    for (const std::vector<float>& curve : curves) sum += static_cast<double>(curve[t]);
    const double mean = sum / runs;
    double squares = 0.0;
    for (const std::vector<float>& curve : curves) {
      const double deviation = static_cast<double>(curve[t]) - mean;
      squares += deviation * deviation;
    }
    result.curve_mean.push_back(mean);
    result.curve_se.push_back(runs > 1.0 ? std::sqrt(squares / (runs - 1.0) / runs) : 0.0);
  }
  result.final_loss_mean = result.curve_mean.back();
  result.final_loss_se = result.curve_se.back();
  return result;
}

}  // namespace

EvaluationReport evaluate(Backend& backend, const Model& model, const MemberConfig& member,
                          const EvaluationOptions& options,
                          const std::function<void(const std::string&)>& progress) {
  // Names are checked before any time is spent on them.
  std::set<std::string> once;
  for (const std::string& rule : options.baselines) {
    make_hand_designed_optimizer(rule, 1.0F);
    if (!once.insert(rule).second) {
      throw Error(Status::kUsage, "the baselines name " + rule + " twice; expected each rule once");
    }
  }
  TaskRunner runner(backend, member.options, options);

  EvaluationReport report;
  report.task = member.label;
  report.steps = options.steps;
  report.runs = options.runs;
  report.tuning_runs = options.tuning_runs;
  report.seed = options.seed;
  report.device = backend.device().name;
  if (backend.device().kind == DeviceKind::kCuda) {
    report.precision = precision_name(backend.device().precision);
  }

  const auto judge = [&](const Model& judged, std::optional<double> learning_rate) {
    report.optimizers.push_back(summarize(std::string(cell_name(judged.cells().front())),
                                          learning_rate,
                                          runner.run(judged, TaskStream::kTest, options.runs)));
    const OptimizerResult& result = report.optimizers.back();
    progress(fmt::format("{}{}: final loss {:.4g} +- {:.2g}", result.name,
                         learning_rate ? fmt::format(", learning rate {:.4g}", *learning_rate) : "",
                         result.final_loss_mean, result.final_loss_se));
  };
  judge(model, std::nullopt);
  for (const std::string& rule : options.baselines) {
    const double learning_rate = LearningRateSearch(runner, rule, options.tuning_runs).run();
    judge(make_model(make_hand_designed_optimizer(rule, static_cast<float>(learning_rate))),
          learning_rate);
  }
  return report;
}

double search_learning_rate(Backend& backend, const std::string& rule, const MemberConfig& member,
                            const EvaluationOptions& options) {
  TaskRunner runner(backend, member.options, options);
  return LearningRateSearch(runner, rule, options.tuning_runs).run();
}

}  // namespace l2o
