// The hand-designed rules that a learned one is compared with, and the search for their rates.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/core/config.h"
#include "host/meta/update_schedule.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

/// A hand-designed rule, as "adam", whose rate is searched, or "adam@1e-3", whose rate is that.
struct Baseline {
  std::string name;  ///< as it was written
  std::string rule;
  std::optional<double> fixed_rate;
};

/// Throws kUsage for a rule that nobody knows or a rate that is not above 0.
Baseline parse_baseline(const std::string& name);
/// The same of a list, where two of one name are an error too.
std::vector<Baseline> parse_baselines(const std::vector<std::string>& names);

/// Throws kUsage for an unknown name, which `what` is the value of.
UpdateSchedule parse_schedule(const std::string& name, const std::string& what);
/// The key `schedule` of a table; constant where it is absent.
UpdateSchedule read_schedule(ConfigReader& table);
/// At least one, each once.
std::vector<UpdateSchedule> parse_schedules(const std::vector<std::string>& names,
                                            const std::string& what);
inline const char* schedule_name(UpdateSchedule schedule) {
  return kUpdateScheduleNames[static_cast<int>(schedule)];
}

/// The hand-designed rule with its rate.
Model baseline_model(const std::string& rule, double rate);

/// Learning rates are powers of 10^(1/16), named by their exponent in 16ths, so that every rate is
/// the same number however a search came to it.
double rate_of(int exponent);

/// Mean loss of a rule at a rate over the tuning tasks first .. first + runs - 1; what is not
/// finite counts as the worst.
using RateTrial = std::function<double(double rate, int first, int runs)>;

struct TunedRate {
  double rate = 0.0;
  int exponent = 0;
  double loss = 0.0;  ///< over all tasks of the tuning stream that it was judged on
};

/// The thorough search, of `l2o eval`: a coarse grid in factors of 10^(1/2), grown while the best
/// lies on its edge, then finer ones around the best, down to 10^(1/16), on tuning_runs tasks; the
/// best four are judged again on eight times as many. Throws kFailure where no rate gives a finite
/// loss, naming `rule`.
TunedRate search_thoroughly(const std::string& rule, int tuning_runs, const RateTrial& trial);

/// The frugal search, of suites: the same coarse grid, or where `start` says where the best was
/// before, of a shorter run or another schedule, that rate and one a factor of 10^(1/2) to either
/// side; grown while the best lies on its edge; then a factor of 10^(1/4) to either side of the
/// best, so that it stands in a grid of five such factors; all on tuning_runs tasks. The best two
/// run on as many further tasks, and the mean over all of them decides.
TunedRate search_frugally(const std::string& rule, int tuning_runs, std::optional<int> start,
                          const RateTrial& trial);

}  // namespace l2o
