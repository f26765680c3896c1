// Bounds on configurations, flags and arguments of the C API (docs/config.md).
#pragma once

#include <cstdint>

namespace l2o {

/// Steps of an episode, an unroll or an evaluation.
inline constexpr int kMaxSteps = 10'000'000;
/// Tasks of a batch, runs of an evaluation.
inline constexpr int kMaxTasks = 1'000'000;
/// Tensors of a step: a network has a few thousand.
inline constexpr int kMaxTensors = 1 << 24;
/// Tasks of a stream: their numbers have 32 bits and must not wrap around.
inline constexpr std::int64_t kTaskNumbers = std::int64_t{1} << 32;

}  // namespace l2o
