// Bounds on configurations, flags and arguments of the C API (docs/config.md).
#pragma once

namespace l2o {

/// Steps of an episode, an unroll or an evaluation.
inline constexpr int kMaxSteps = 10'000'000;
/// Tasks of a batch, runs of an evaluation.
inline constexpr int kMaxTasks = 1'000'000;

}  // namespace l2o
