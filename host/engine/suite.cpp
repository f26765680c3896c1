#include "host/engine/suite.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "host/engine/agreement.h"
#include "host/engine/run_cache.h"
#include "host/engine/suite_clock.h"
#include "host/engine/task_runner.h"

namespace l2o {
namespace {

/// Part of the cache's keys: incremented when the same key would give a different result because
/// the rules, the tasks or the evaluation have changed.
constexpr int kRunVersion = 1;

/// The mean over the runs, for every evaluation.
std::vector<double> mean_curve(const Curves& curves) {
  std::vector<double> mean(curves.front().size(), 0.0);
  for (const std::vector<float>& curve : curves) {
    for (std::size_t t = 0; t < mean.size(); ++t) mean[t] += static_cast<double>(curve[t]);
  }
  for (double& value : mean) value /= static_cast<double>(curves.size());
  return mean;
}

/// The result as a cache returns it, so that a report does not depend on what was cached.
RunResult result_of(const Curves& curves, bool with_curve) {
  RunResult result;
  for (const std::vector<float>& curve : curves) result.final_losses.push_back(final_loss(curve));
  if (with_curve) result.curve = thinned_curve(mean_curve(curves));
  for (std::vector<double>* const values : {&result.final_losses, &result.curve}) {
    for (double& value : *values) {
      if (!std::isfinite(value)) value = std::numeric_limits<double>::quiet_NaN();
    }
  }
  return result;
}

/// The resolved keys of the member that determine its tasks.
std::string task_keys(const ConfigReader& options) {
  std::istringstream lines(options.resolved_table());
  std::string keys;
  for (std::string line; std::getline(lines, line);) {
    const std::string key = line.substr(0, line.find(' '));
    if (std::ranges::find(kMemberKeys, key) == std::end(kMemberKeys)) keys += line + "\n";
  }
  return keys;
}

Contestant contestant_of(const std::string& name, std::optional<double> learning_rate,
                         UpdateSchedule schedule, RunResult result) {
  Contestant contestant;
  contestant.name = name;
  contestant.learning_rate = learning_rate;
  contestant.schedule = schedule;
  contestant.final_losses = std::move(result.final_losses);
  contestant.final_loss = mean_of(contestant.final_losses);
  contestant.final_loss_se = standard_error(contestant.final_losses);
  contestant.final_loss_iqm = interquartile_mean(contestant.final_losses);
  contestant.curve = std::move(result.curve);
  return contestant;
}

std::optional<std::size_t> best_of(const std::vector<Contestant>& baselines) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < baselines.size(); ++i) {
    if (!std::isfinite(baselines[i].final_loss)) continue;
    if (!best || baselines[i].final_loss < baselines[*best].final_loss) best = i;
  }
  return best;
}

/// Hash of everything that determines the order of the runs, besides the tasks' own keys.
std::uint64_t settings_hash(const SuiteConfig& suite, const SuiteOptions& options) {
  std::string text = fmt::format("{}\n{} {} {}", suite.file.resolved(), options.scales.gradient,
                                 options.scales.update, options.scales.weight_decay);
  for (const SuiteModel& model : options.models) {
    text += fmt::format("\n{} {:x}", model.name, model_hash(model.model));
  }
  return XXH64(text.data(), text.size(), 0);
}

/// Rank 0's value. Collective.
double of_root(Communicator& ranks, double value) {
  return all_gathered(ranks, {&value, 1}).front();
}

class SuiteRun {
 public:
  SuiteRun(Backend& backend, const SuiteConfig& suite, const SuiteOptions& options)
      : backend_(backend),
        suite_(suite),
        options_(options),
        cache_(options.cache_directory, options.notice, *options.ranks),
        clock_(options.progress) {
    require_same(*options_.ranks, {{"the suite or the models", settings_hash(suite_, options_)}});
    for (const SuiteMember& member : suite_.members) entrants_.push_back(entrant_of(member));
    suite_.file.finish();
    if (options_.before_runs) {
      std::vector<std::string> files;
      for (const Entrant& entrant : entrants_) {
        std::ranges::move(entrant.runner->data_files(), std::back_inserter(files));
      }
      options_.before_runs(files);
    }
    for (Entrant& entrant : entrants_) measure(entrant);
    plan();
  }

  SuiteReport run() {
    SuiteReport report;
    report.name = options_.name;
    report.seed = suite_.seed;
    report.device = backend_.device().name;
    if (backend_.device().kind == DeviceKind::kCuda) {
      report.precision = precision_name(backend_.device().precision);
    }
    report.scaling = {.scales = options_.scales, .schedule = suite_.schedule};
    report.baseline_schedules = suite_.baseline_schedules;
    for (const SuiteModel& model : options_.models) report.models.push_back(model.name);
    if (suite_.reference) report.reference = suite_.reference->name;

    for (Entrant& entrant : entrants_) {
      for (const int steps : entrant.member->steps) {
        report.contests.push_back(run_baselines(entrant, steps));
      }
    }
    auto contest = report.contests.begin();
    for (Entrant& entrant : entrants_) {
      for (std::size_t i = 0; i < entrant.member->steps.size(); ++i) {
        run_learned(entrant, *contest++);
      }
    }
    return report;
  }

 private:
  /// A member with its runner and estimates.
  struct Entrant {
    const SuiteMember* member;
    std::unique_ptr<TaskRunner> runner;
    std::string keys;  // part of the cache's keys
    std::uint64_t data;
    double baseline_seconds = 0.0;             // estimate for a step of one task
    std::vector<double> learned_seconds = {};  // the same for each model
    /// The exponent of the best rate of each rule under each schedule, at the last length at which
    /// it was found.
    std::map<std::pair<std::string, UpdateSchedule>, int> best_exponents = {};
  };

  /// Reads the member's keys and data, but runs nothing.
  Entrant entrant_of(const SuiteMember& member) {
    TaskRunnerOptions options{
        .seed = suite_.seed, .data_directory = options_.data_directory, .ranks = options_.ranks};
    options.before_step = [this](int tasks) {
      if (options_.before_step) options_.before_step();
      clock_.count_step(tasks);
    };
    auto runner = std::make_unique<TaskRunner>(backend_, member.member.options, std::move(options));
    for (const SuiteModel& model : options_.models) runner->require_groups(model.model);
    const std::uint64_t data = runner->data_fingerprint();
    return {.member = &member,
            .runner = std::move(runner),
            .keys = task_keys(member.member.options),
            .data = data};
  }

  void measure(Entrant& entrant) {
    entrant.baseline_seconds =
        seconds_of_step(entrant, baseline_model(suite_.baselines.front().rule, 1e-3));
    for (const SuiteModel& model : options_.models) {
      entrant.learned_seconds.push_back(seconds_of_step(entrant, model.model));
    }
  }

  /// Estimates the time of a step of one task; the same on all ranks.
  double seconds_of_step(Entrant& entrant, const Model& model) {
    constexpr double kEnoughSeconds = 0.01;
    constexpr int kEnoughSteps = 256;
    RunRequest request = {.stream = TaskStream::kTuning,
                          .runs = entrant.member->tuning_runs,
                          .steps = 1,
                          .scaling = {}};
    entrant.runner->run(model, request);  // warm-up: does the one-time setup
    for (request.steps = 4;; request.steps *= 4) {
      const auto start = std::chrono::steady_clock::now();
      entrant.runner->run(model, request);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      const double seconds = of_root(*options_.ranks, taken.count());
      if (seconds < kEnoughSeconds && request.steps < kEnoughSteps) continue;
      return seconds / (request.runs * (request.steps + 1.0));
    }
  }

  /// Tells the clock about all work to come, so that it knows how much is left.
  void plan() {
    for (const Entrant& entrant : entrants_) {
      const SuiteMember& member = *entrant.member;
      for (const int steps : member.steps) {
        const bool is_first = steps == member.steps.front();
        double runs = suite_.reference ? planned_runs(member, *suite_.reference, is_first) : 0.0;
        for (const Baseline& baseline : suite_.baselines) {
          runs += planned_runs(member, baseline, is_first);
        }
        clock_.plan(runs * entrant.baseline_seconds * (steps + 1));
      }
    }
    for (const Entrant& entrant : entrants_) {
      for (const int steps : entrant.member->steps) {
        for (const double seconds : entrant.learned_seconds) {
          clock_.plan(entrant.member->runs * seconds * (steps + 1));
        }
      }
    }
  }

  /// Expected runs of a baseline at one length of the member, its first or a later one.
  double planned_runs(const SuiteMember& member, const Baseline& baseline, bool is_first) const {
    const auto schedules = static_cast<double>(suite_.baseline_schedules.size());
    double trials = 0.0;  // of tuning_runs tasks
    if (!baseline.fixed_rate) {
      trials = frugal_trials(!is_first) + (schedules - 1.0) * frugal_trials(true);
    } else if (schedules > 1.0) {
      trials = schedules * kFrugalRunsFactor;
    }
    return member.runs + trials * member.tuning_runs;
  }

  Contest run_baselines(Entrant& entrant, int steps) {
    Contest contest;
    contest.member = entrant.member->member.label;
    contest.steps = steps;
    contest.runs = entrant.member->runs;
    contest.tuning_runs = entrant.member->tuning_runs;
    clock_.start(fmt::format("{}, {} steps: tuning", contest.member, steps),
                 entrant.baseline_seconds);
    for (const Baseline& baseline : suite_.baselines) {
      contest.baselines.push_back(run_baseline(entrant, baseline, steps));
    }
    if (suite_.reference) contest.reference = run_baseline(entrant, *suite_.reference, steps);
    contest.best = best_of(contest.baselines);
    clock_.finish(contest.best
                      ? fmt::format("{}, {} steps: best {} {:.4g}", contest.member, steps,
                                    contest.baselines[*contest.best].name,
                                    contest.baselines[*contest.best].final_loss)
                      : fmt::format("{}, {} steps: every rule diverged", contest.member, steps));
    return contest;
  }

  /// Runs the baseline at the rate and under the schedule that do best on the tuning tasks.
  Contestant run_baseline(Entrant& entrant, const Baseline& baseline, int steps) {
    const auto trial_under = [&](UpdateSchedule schedule) -> RateTrial {
      return [&, schedule](double rate, int first, int runs) {
        return mean_of(cached_run(entrant, baseline.rule, rate,
                                  {.stream = TaskStream::kTuning,
                                   .first = first,
                                   .runs = runs,
                                   .steps = steps,
                                   .scaling = {.schedule = schedule}})
                           .final_losses);
      };
    };
    const auto [tuned, schedule] = tune_baseline(
        baseline, suite_.baseline_schedules, kFrugalRunsFactor * entrant.member->tuning_runs,
        trial_under, [&](UpdateSchedule searched, const RateTrial& trial) {
          return search_near_last(entrant, baseline.rule, searched, trial);
        });
    return contestant_of(
        baseline.name, tuned.rate, schedule,
        cached_run(
            entrant, baseline.rule, tuned.rate,
            {.runs = entrant.member->runs, .steps = steps, .scaling = {.schedule = schedule}}));
  }

  /// Searches from the best rate of a shorter run, or of the first schedule.
  TunedRate search_near_last(Entrant& entrant, const std::string& rule, UpdateSchedule schedule,
                             const RateTrial& trial) {
    std::map<std::pair<std::string, UpdateSchedule>, int>& best = entrant.best_exponents;
    std::optional<int> start;
    for (const UpdateSchedule known : {schedule, suite_.baseline_schedules.front()}) {
      const auto found = best.find({rule, known});
      if (!start && found != best.end()) start = found->second;
    }
    const TunedRate tuned = search_frugally(entrant.member->tuning_runs, start, trial);
    if (std::isfinite(tuned.loss)) best[{rule, schedule}] = tuned.exponent;
    return tuned;
  }

  /// Runs a hand-designed rule, or finds the result in the cache.
  RunResult cached_run(Entrant& entrant, const std::string& rule, double rate,
                       const RunRequest& request) {
    nlohmann::ordered_json key;
    key["version"] = kRunVersion;
    key["task"] = entrant.keys;
    key["data"] = entrant.data;
    key["rule"] = rule;
    // As the rule uses it, so that a rate that was found has the key of the same fixed rate.
    key["rate"] = static_cast<double>(static_cast<float>(rate));
    key["schedule"] = schedule_name(request.scaling.schedule);
    key["steps"] = request.steps;
    key["seed"] = suite_.seed;
    key["stream"] = static_cast<int>(request.stream);
    key["first"] = request.first;
    key["runs"] = request.runs;
    key["device"] = backend_.device().kind == DeviceKind::kCuda ? "cuda" : "cpu";
    const std::string text = key.dump();
    if (std::optional<RunResult> known = cache_.find(text);
        known && known->final_losses.size() == static_cast<std::size_t>(request.runs)) {
      return *std::move(known);
    }
    // The curves of the search are not used.
    RunResult result = result_of(entrant.runner->run(baseline_model(rule, rate), request),
                                 request.stream == TaskStream::kTest);
    cache_.store(text, result);
    return result;
  }

  void run_learned(Entrant& entrant, Contest& contest) {
    for (std::size_t m = 0; m < options_.models.size(); ++m) {
      const SuiteModel& model = options_.models[m];
      clock_.start(fmt::format("{}, {} steps: {}", contest.member, contest.steps, model.name),
                   entrant.learned_seconds[m]);
      const Curves curves = entrant.runner->run(
          model.model, {.runs = contest.runs,
                        .steps = contest.steps,
                        .scaling = {.scales = options_.scales, .schedule = suite_.schedule}});
      Contestant learned =
          contestant_of(model.name, std::nullopt, suite_.schedule, result_of(curves, true));
      if (contest.best) {
        const Contestant& best = contest.baselines[*contest.best];
        learned.ratio = ratio_of(learned.final_losses, best.final_losses);
        learned.steps_to_best = steps_to_reach(mean_curve(curves), best.final_loss);
      }
      if (contest.reference) {
        learned.reference_ratio = ratio_of(learned.final_losses, contest.reference->final_losses);
      }
      clock_.finish(fmt::format(
          "{}, {} steps: {} {:.4g}{}", contest.member, contest.steps, model.name,
          learned.final_loss,
          learned.ratio ? fmt::format(", {:.3f} of the best baseline's", learned.ratio->value)
                        : ""));
      contest.learned.push_back(std::move(learned));
    }
  }

  Backend& backend_;
  const SuiteConfig& suite_;
  const SuiteOptions& options_;
  RunCache cache_;
  SuiteClock clock_;
  std::vector<Entrant> entrants_;
};

}  // namespace

SuiteReport run_suite(Backend& backend, const SuiteConfig& suite, const SuiteOptions& options) {
  return SuiteRun(backend, suite, options).run();
}

}  // namespace l2o
