// The hand-designed rules that a learned rule is compared with, and the search for their learning
// rates.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/core/config.h"
#include "host/meta/update_schedule.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

/// A hand-designed rule: "adam", whose learning rate is tuned, or "adam@1e-3", whose rate is fixed.
struct Baseline {
  std::string name;  ///< as given by the user
  std::string rule;
  std::optional<double> fixed_rate;
};

/// Throws kUsage for an unknown rule or a rate that is not positive.
Baseline parse_baseline(const std::string& name);
/// Parses a list of baselines. Duplicate names are an error as well.
std::vector<Baseline> parse_baselines(const std::vector<std::string>& names);

/// Throws kUsage for an unknown name; `what` is the setting that has this value.
UpdateSchedule parse_schedule(const std::string& name, const std::string& what);
/// Reads the key `schedule` of a table; constant if absent.
UpdateSchedule read_schedule(ConfigReader& table);
/// Requires at least one name and no duplicates.
std::vector<UpdateSchedule> parse_schedules(const std::vector<std::string>& names,
                                            const std::string& what);
inline const char* schedule_name(UpdateSchedule schedule) {
  return kUpdateScheduleNames[static_cast<int>(schedule)];
}

/// Returns the hand-designed rule with the given learning rate.
Model baseline_model(const std::string& rule, double rate);

/// Learning rates are powers of 10^(1/16), identified by their exponent in 16ths, so that a rate is
/// the same number however a search reaches it.
double rate_of(int exponent);

/// Returns the mean loss of a rule at a rate over the tuning tasks first .. first + runs - 1; a
/// non-finite loss counts as the worst.
using RateTrial = std::function<double(double rate, int first, int runs)>;

struct TunedRate {
  double rate = 0.0;
  int exponent = 0;
  /// Mean over all tuning tasks that it was evaluated on; infinite if it diverges at every rate.
  double loss = 0.0;
};

/// Tasks that the best rates of each search are compared on in the end, in multiples of
/// tuning_runs.
inline constexpr int kThoroughRunsFactor = 8;
inline constexpr int kFrugalRunsFactor = 2;

/// The thorough search, used by `l2o eval`: a coarse grid in factors of 10^(1/2), extended while
/// the best rate is on its edge, then finer grids around the best, down to 10^(1/16), on
/// tuning_runs tasks; the best four are evaluated again on kThoroughRunsFactor times as many.
TunedRate search_thoroughly(int tuning_runs, const RateTrial& trial);

/// The frugal search, used by suites: the same coarse grid or, if `start` is the best rate of a
/// shorter run or of another schedule, that rate and one a factor of 10^(1/2) to either side;
/// extended while the best is on the edge; then a factor of 10^(1/4) to either side of the best, so
/// that it lies in a grid of five such factors; all on tuning_runs tasks. The best two run on as
/// many further tasks, and the mean over all of them decides.
TunedRate search_frugally(int tuning_runs, std::optional<int> start, const RateTrial& trial);
/// About how many times as many runs as tuning_runs this search makes, with or without `start`.
double frugal_trials(bool has_start);

struct TunedBaseline {
  TunedRate tuned;
  UpdateSchedule schedule = UpdateSchedule::kConstant;
};

/// Returns the schedule, of at least one, under which the baseline has the lowest loss on the
/// tuning tasks (the first of equals), with its rate there. `trial_under` returns the trial under a
/// schedule, from which `search` finds the rate. A fixed rate is only tried if there are several
/// schedules to choose from, on fixed_rate_runs tasks; otherwise its loss is 0.
TunedBaseline tune_baseline(
    const Baseline& baseline, const std::vector<UpdateSchedule>& schedules, int fixed_rate_runs,
    const std::function<RateTrial(UpdateSchedule)>& trial_under,
    const std::function<TunedRate(UpdateSchedule, const RateTrial&)>& search);

}  // namespace l2o
