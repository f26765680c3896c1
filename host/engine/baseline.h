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

/// Mean loss of a rule at a rate over the tuning tasks first .. first + runs - 1; a non-finite loss
/// counts as the worst.
using RateTrial = std::function<double(double rate, int first, int runs)>;

struct TunedRate {
  double rate = 0.0;
  int exponent = 0;
  /// Mean over all tuning tasks that it was evaluated on; infinite if it diverges at every rate.
  double loss = 0.0;
};

/// The thorough search, used by `l2o eval`: a coarse grid in factors of 10^(1/2), extended while
/// the best rate is on its edge, then finer grids around the best, down to 10^(1/16), on
/// tuning_runs tasks; the best four are evaluated again on eight times as many.
TunedRate search_thoroughly(int tuning_runs, const RateTrial& trial);

/// The frugal search, used by suites: the same coarse grid or, if `start` is the best rate of a
/// shorter run or of another schedule, that rate and one a factor of 10^(1/2) to either side;
/// extended while the best is on the edge; then a factor of 10^(1/4) to either side of the best, so
/// that it lies in a grid of five such factors; all on tuning_runs tasks. The best two run on as
/// many further tasks, and the mean over all of them decides.
TunedRate search_frugally(int tuning_runs, std::optional<int> start, const RateTrial& trial);

}  // namespace l2o
