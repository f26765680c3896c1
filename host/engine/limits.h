// The largest values that configurations accept, the same for training and for suites.
#pragma once

namespace l2o {

inline constexpr int kMaxSteps = 10'000'000;
inline constexpr int kMaxTasks = 1'000'000;

}  // namespace l2o
