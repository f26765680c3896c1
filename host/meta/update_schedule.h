// The schedule that scales the updates of a run from its first step to its last.
#pragma once

#include <cmath>
#include <numbers>

namespace l2o {

enum class UpdateSchedule : int {
  kConstant,  ///< 1
  kCosine,    ///< (1 + cos(pi s)) / 2
  kLinear,    ///< 1 - s
};

/// Indexed by UpdateSchedule.
inline constexpr const char* kUpdateScheduleNames[] = {"constant", "cosine", "linear"};

/// The scale of step t, 0 .. steps - 1, with s = t / steps.
inline double update_scale(UpdateSchedule schedule, int t, int steps) {
  const double s = static_cast<double>(t) / steps;
  switch (schedule) {
    case UpdateSchedule::kConstant:
      break;
    case UpdateSchedule::kCosine:
      return 0.5 * (1.0 + std::cos(std::numbers::pi * s));
    case UpdateSchedule::kLinear:
      return 1.0 - s;
  }
  return 1.0;
}

}  // namespace l2o
