#include "host/engine/baseline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <set>
#include <system_error>

#include "host/core/error.h"

namespace l2o {
namespace {

constexpr int kCoarseStep = 8;  // 10^(1/2)
constexpr int kMiddleStep = 4;  // 10^(1/4)
constexpr int kFineStep = 2;    // 10^(1/8)
constexpr int kFinestStep = 1;
constexpr int kCoarseLow = -4 * 16;
constexpr int kCoarseHigh = 1 * 16;
constexpr int kLowest = -8 * 16;
constexpr int kHighest = 6 * 16;

/// Many rules do best just below the rate at which they diverge, and on a few tasks too high a rate
/// can appear good. So the best rates are compared again on more tasks.
constexpr std::size_t kFinalists = 4;
constexpr std::size_t kFrugalFinalists = 2;

/// A loss in whose order a non-finite one is the worst.
double comparable(double loss) {
  return std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity();
}

class Search {
 public:
  Search(int tuning_runs, const RateTrial& trial) : tuning_runs_(tuning_runs), trial_(trial) {}

  TunedRate thorough() {
    search_coarsely(kCoarseLow, kCoarseHigh);
    if (!std::isfinite(best().loss)) return tuned();
    search_between(kCoarseStep, kFineStep);
    search_between(kFineStep, kFinestStep);
    keep_finalists(kFinalists);
    for (Trial& trial : trials_) {
      trial.loss = loss_at(trial.exponent, 0, kThoroughRunsFactor * tuning_runs_);
    }
    return tuned();
  }

  TunedRate frugal(std::optional<int> start) {
    search_coarsely(start ? std::max(*start - kCoarseStep, kLowest) : kCoarseLow,
                    start ? std::min(*start + kCoarseStep, kHighest) : kCoarseHigh);
    if (!std::isfinite(best().loss)) return tuned();
    search_between(kCoarseStep, kMiddleStep);
    keep_finalists(kFrugalFinalists);
    static_assert(kFrugalRunsFactor == 2);  // as many tasks as before
    for (Trial& trial : trials_) {
      trial.loss = 0.5 * (trial.loss + loss_at(trial.exponent, tuning_runs_, tuning_runs_));
    }
    return tuned();
  }

 private:
  struct Trial {
    double loss;
    int exponent;
    auto operator<=>(const Trial&) const = default;  // NOLINT(modernize-use-nullptr): clang-tidy's
  };

  double loss_at(int exponent, int first, int runs) {
    return comparable(trial_(rate_of(exponent), first, runs));
  }

  void consider(int exponent) { trials_.push_back({loss_at(exponent, 0, tuning_runs_), exponent}); }

  /// The first of equals, so that a search is extended only if that helps.
  const Trial& best() const {
    return *std::min_element(trials_.begin(), trials_.end(),
                             [](const Trial& a, const Trial& b) { return a.loss < b.loss; });
  }

  void search_coarsely(int low, int high) {
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
  }

  /// A finer grid between the neighbors of the best rate.
  void search_between(int spacing, int finer) {
    const int center = best().exponent;
    for (int offset = finer; offset < spacing; offset += finer) {
      consider(center - offset);
      consider(center + offset);
    }
  }

  void keep_finalists(std::size_t count) {
    std::sort(trials_.begin(), trials_.end());
    while (trials_.size() > count) trials_.pop_back();
  }

  TunedRate tuned() const {
    const Trial& trial = best();
    // The rounded rate that the rule actually uses, so that reports show that.
    return {.rate = static_cast<double>(static_cast<float>(rate_of(trial.exponent))),
            .exponent = trial.exponent,
            .loss = trial.loss};
  }

  int tuning_runs_;
  const RateTrial& trial_;
  std::vector<Trial> trials_;
};

}  // namespace

Baseline parse_baseline(const std::string& name) {
  Baseline baseline{.name = name, .rule = name.substr(0, name.find('@')), .fixed_rate = {}};
  if (baseline.rule.size() < name.size()) {
    const char* const begin = name.data() + baseline.rule.size() + 1;
    const char* const end = name.data() + name.size();
    double rate = 0.0;
    const auto [stop, error] = std::from_chars(begin, end, rate);
    if (error != std::errc() || stop != end || !(rate >= 1e-30 && rate <= 1e30)) {
      throw Error(Status::kUsage, fmt::format("baseline {}: expected a learning rate above 0 after "
                                              "the @, as in adam@1e-3",
                                              name));
    }
    baseline.fixed_rate = rate;
  }
  make_hand_designed_optimizer(baseline.rule, 1.0F);
  return baseline;
}

std::vector<Baseline> parse_baselines(const std::vector<std::string>& names) {
  std::vector<Baseline> baselines;
  std::set<std::string> once;
  for (const std::string& name : names) {
    baselines.push_back(parse_baseline(name));
    if (!once.insert(name).second) {
      throw Error(Status::kUsage, "baseline " + name + " is listed twice; expected each rule once");
    }
  }
  return baselines;
}

UpdateSchedule parse_schedule(const std::string& name, const std::string& what) {
  for (std::size_t i = 0; i < std::size(kUpdateScheduleNames); ++i) {
    if (name == kUpdateScheduleNames[i]) return static_cast<UpdateSchedule>(i);
  }
  throw Error(Status::kUsage, fmt::format("{}: unknown schedule \"{}\"; expected one of {}", what,
                                          name, fmt::join(kUpdateScheduleNames, ", ")));
}

UpdateSchedule read_schedule(ConfigReader& table) {
  return parse_schedule(
      table.choice("schedule", kUpdateScheduleNames[0],
                   {std::begin(kUpdateScheduleNames), std::end(kUpdateScheduleNames)}),
      table.place("schedule"));
}

std::vector<UpdateSchedule> parse_schedules(const std::vector<std::string>& names,
                                            const std::string& what) {
  std::vector<UpdateSchedule> schedules;
  for (const std::string& name : names) {
    const UpdateSchedule schedule = parse_schedule(name, what);
    if (std::find(schedules.begin(), schedules.end(), schedule) != schedules.end()) {
      throw Error(Status::kUsage,
                  fmt::format("{}: {} is listed twice; expected each once", what, name));
    }
    schedules.push_back(schedule);
  }
  if (schedules.empty()) {
    throw Error(Status::kUsage, fmt::format("{}: expected at least one of {}", what,
                                            fmt::join(kUpdateScheduleNames, ", ")));
  }
  return schedules;
}

Model baseline_model(const std::string& rule, double rate) {
  return make_model(make_hand_designed_optimizer(rule, static_cast<float>(rate)));
}

double rate_of(int exponent) { return std::pow(10.0, exponent / 16.0); }

TunedRate search_thoroughly(int tuning_runs, const RateTrial& trial) {
  return Search(tuning_runs, trial).thorough();
}

TunedRate search_frugally(int tuning_runs, std::optional<int> start, const RateTrial& trial) {
  return Search(tuning_runs, trial).frugal(start);
}

double frugal_trials(bool has_start) {
  constexpr int kGrid = (kCoarseHigh - kCoarseLow) / kCoarseStep + 1;
  constexpr double kAroundStart = 3 + 0.5;  // about every second search is extended
  constexpr int kBetween = 2 * (kCoarseStep / kMiddleStep - 1);
  constexpr int kAgain = kFrugalFinalists * (kFrugalRunsFactor - 1);
  return (has_start ? kAroundStart : kGrid) + kBetween + kAgain;
}

TunedBaseline tune_baseline(
    const Baseline& baseline, const std::vector<UpdateSchedule>& schedules, int fixed_rate_runs,
    const std::function<RateTrial(UpdateSchedule)>& trial_under,
    const std::function<TunedRate(UpdateSchedule, const RateTrial&)>& search) {
  std::optional<TunedBaseline> best;
  for (const UpdateSchedule schedule : schedules) {
    const RateTrial trial = trial_under(schedule);
    TunedRate tuned;
    if (!baseline.fixed_rate) {
      tuned = search(schedule, trial);
    } else {
      tuned.rate = *baseline.fixed_rate;
      if (schedules.size() > 1) tuned.loss = comparable(trial(tuned.rate, 0, fixed_rate_runs));
    }
    if (!best || tuned.loss < best->tuned.loss) best = {.tuned = tuned, .schedule = schedule};
  }
  return best.value();
}

}  // namespace l2o
