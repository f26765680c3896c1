#include "host/engine/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <deque>
#include <iterator>

#include "host/engine/task_runner.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

TaskRunner make_runner(Backend& backend, const MemberConfig& member,
                       const EvaluationOptions& options) {
  return TaskRunner(backend, member.options,
                    {.seed = options.seed,
                     .data_directory = options.data_directory,
                     .coordinates_at_once = options.coordinates_at_once,
                     .ranks = options.ranks});
}

/// Mean final loss of a rule on the tuning tasks.
RateTrial trial_of(TaskRunner& runner, const std::string& rule, UpdateSchedule schedule,
                   int steps) {
  return [&runner, rule, schedule, steps](double rate, int first, int runs) {
    double sum = 0.0;
    for (const std::vector<float>& curve :
         runner.run(baseline_model(rule, rate), {.stream = TaskStream::kTuning,
                                                .first = first,
                                                .runs = runs,
                                                .steps = steps,
                                                .scaling = {.schedule = schedule}})) {
      sum += static_cast<double>(curve.back());
    }
    return sum / runs;
  };
}

TunedBaseline tune_thoroughly(TaskRunner& runner, const Baseline& baseline,
                              const EvaluationOptions& options) {
  return tune_baseline(
      baseline, options.baseline_schedules, kThoroughRunsFactor * options.tuning_runs,
      [&](UpdateSchedule schedule) {
        return trial_of(runner, baseline.rule, schedule, options.steps);
      },
      [&](UpdateSchedule /*schedule*/, const RateTrial& trial) {
        return search_thoroughly(options.tuning_runs, trial);
      });
}

/// Mean and standard error of every step over the runs, summed in the order of the runs.
OptimizerResult summarize(const std::string& name, std::optional<double> learning_rate,
                          UpdateSchedule schedule, const Curves& curves) {
  OptimizerResult result;
  result.name = name;
  result.learning_rate = learning_rate;
  result.schedule = schedule;
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

EvaluationReport evaluate_member(Backend& backend, TaskRunner& runner, const Model& model,
                                 const std::string& label, const std::vector<Baseline>& baselines,
                                 const EvaluationOptions& options,
                                 const std::function<void(const std::string&)>& progress) {
  EvaluationReport report;
  report.task = label;
  report.steps = options.steps;
  report.runs = options.runs;
  report.tuning_runs = options.tuning_runs;
  report.seed = options.seed;
  report.device = backend.device().name;
  if (backend.device().kind == DeviceKind::kCuda) {
    report.precision = precision_name(backend.device().precision);
  }
  report.scales = options.scaling.scales;

  const auto judge = [&](const std::string& name, const Model& judged,
                         std::optional<double> learning_rate, const StepScaling& scaling) {
    report.optimizers.push_back(summarize(
        name, learning_rate, scaling.schedule,
        runner.run(judged, {.runs = options.runs, .steps = options.steps, .scaling = scaling})));
    const OptimizerResult& result = report.optimizers.back();
    progress(fmt::format("{}{}{}: final loss {:.4g} +- {:.2g}", result.name,
                         learning_rate ? fmt::format(", learning rate {:.4g}", *learning_rate) : "",
                         scaling.schedule == UpdateSchedule::kConstant
                             ? ""
                             : fmt::format(", {}", schedule_name(scaling.schedule)),
                         result.final_loss_mean, result.final_loss_se));
  };
  judge(std::string(cell_name(model.cells().front())), model, std::nullopt, options.scaling);
  for (const Baseline& baseline : baselines) {
    const TunedBaseline best = tune_thoroughly(runner, baseline, options);
    judge(baseline.name, baseline_model(baseline.rule, best.tuned.rate), best.tuned.rate,
          {.schedule = best.schedule});
  }
  return report;
}

}  // namespace

std::vector<EvaluationReport> evaluate(Backend& backend, const Model& model,
                                       const std::vector<MemberConfig>& members,
                                       const EvaluationOptions& options,
                                       const std::function<void(const std::string&)>& progress) {
  const std::vector<Baseline> baselines = parse_baselines(options.baselines);
  std::deque<TaskRunner> runners;
  std::vector<std::string> data_files;
  for (const MemberConfig& member : members) {
    runners.push_back(make_runner(backend, member, options));
    std::ranges::move(runners.back().data_files(), std::back_inserter(data_files));
  }
  if (options.before_runs) options.before_runs(data_files);

  std::vector<EvaluationReport> reports;
  for (const MemberConfig& member : members) {
    reports.push_back(evaluate_member(
        backend, runners.front(), model, member.label, baselines, options,
        [&](const std::string& line) {
          progress(members.size() == 1 ? line : fmt::format("{}: {}", member.label, line));
        }));
    runners.pop_front();  // frees its memory
  }
  return reports;
}

}  // namespace l2o
