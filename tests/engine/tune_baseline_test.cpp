// The choice of a baseline's schedule, and the work of the search for its rate, with losses that
// are functions of the rate.
#include "host/engine/baseline.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace l2o {
namespace {

constexpr UpdateSchedule kConstant = UpdateSchedule::kConstant;
constexpr UpdateSchedule kLinear = UpdateSchedule::kLinear;
constexpr UpdateSchedule kCosine = UpdateSchedule::kCosine;

/// Tunes under three schedules whose losses are constants; counts the runs of each trial.
TunedBaseline tuned_with(const std::string& name, std::map<UpdateSchedule, double> losses,
                         std::vector<int>& runs_of_trials) {
  return tune_baseline(
      parse_baseline(name), {kConstant, kLinear, kCosine}, 7,
      [&](UpdateSchedule schedule) -> RateTrial {
        return [&, schedule](double rate, int first, int runs) {
          EXPECT_EQ(rate, name == "sgd" ? 2.0 : 0.25);
          EXPECT_EQ(first, 0);
          runs_of_trials.push_back(runs);
          return losses[schedule];
        };
      },
      [&](UpdateSchedule schedule, const RateTrial& trial) -> TunedRate {
        const double loss = trial(2.0, 0, 3);
        return {.rate = 2.0,
                .exponent = static_cast<int>(schedule),
                .loss = std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity()};
      });
}

TEST(TuneBaseline, TakesTheBestSchedule) {
  for (const std::string name : {"sgd", "sgd@0.25"}) {
    std::vector<int> runs;
    const TunedBaseline best =
        tuned_with(name, {{kConstant, 5.0}, {kLinear, 3.0}, {kCosine, 4.0}}, runs);
    EXPECT_EQ(best.schedule, kLinear);
    EXPECT_EQ(best.tuned.rate, name == "sgd" ? 2.0 : 0.25);
    EXPECT_EQ(best.tuned.loss, 3.0);
    EXPECT_EQ(runs, std::vector<int>(3, name == "sgd" ? 3 : 7)) << "a fixed rate is not searched";
  }
}

TEST(TuneBaseline, TakesTheFirstOfEquals) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<int> runs;
  for (const std::string name : {"sgd", "sgd@0.25"}) {
    EXPECT_EQ(tuned_with(name, {{kConstant, 4.0}, {kLinear, 3.0}, {kCosine, 3.0}}, runs).schedule,
              kLinear);
    // Non-finite losses are equal.
    const TunedBaseline diverged = tuned_with(
        name, {{kConstant, std::nan("")}, {kLinear, -infinity}, {kCosine, infinity}}, runs);
    EXPECT_EQ(diverged.schedule, kConstant);
    EXPECT_EQ(diverged.tuned.loss, infinity);
    EXPECT_EQ(
        tuned_with(name, {{kConstant, std::nan("")}, {kLinear, infinity}, {kCosine, 1e30}}, runs)
            .schedule,
        kCosine);
  }
}

TEST(TuneBaseline, AFixedRateWithoutAChoiceIsNotTried) {
  const TunedBaseline only = tune_baseline(
      parse_baseline("adam@1e-3"), {kCosine}, 7,
      [](UpdateSchedule) -> RateTrial {
        return [](double, int, int) -> double {
          ADD_FAILURE() << "a trial";
          return 0.0;
        };
      },
      [](UpdateSchedule, const RateTrial&) -> TunedRate {
        ADD_FAILURE() << "a search";
        return {};
      });
  EXPECT_EQ(only.schedule, kCosine);
  EXPECT_EQ(only.tuned.rate, 1e-3);
}

/// Runs of a frugal search on a loss that is least at 10^(exponent / 16), in tuning_runs.
double trials_of(std::optional<int> start, int exponent) {
  int all_runs = 0;
  search_frugally(4, start, [&](double rate, int /*first*/, int runs) {
    all_runs += runs;
    return std::abs(16.0 * std::log10(rate) - exponent);
  });
  return all_runs / 4.0;
}

TEST(FrugalTrials, AreThoseOfASearch) {
  EXPECT_EQ(frugal_trials(false), trials_of(std::nullopt, -32)) << "within the grid";
  // From a start, one more rate is tried if the best is at the edge.
  EXPECT_EQ(frugal_trials(true), 0.5 * (trials_of(-32, -32) + trials_of(-32, -41)));
}

}  // namespace
}  // namespace l2o
