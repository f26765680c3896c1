// Truncation: how an episode of num_steps steps is cut into unrolls of at most unroll_length steps.
#pragma once

#include <algorithm>
#include <cstdint>

namespace l2o {

struct Truncation {
  int num_steps = 100;
  int unroll_length = 20;  ///< T of every unroll but the last, which has the remaining steps

  int unrolls() const { return (num_steps - 1) / unroll_length + 1; }
  /// Steps of unroll k.
  int length(int k) const { return std::min(unroll_length, num_steps - k * unroll_length); }
  /// Steps of the longest unroll.
  int longest() const { return length(0); }
  /// Evaluations of the longest unroll, T + 1: the capacity of a trace.
  std::int64_t slots() const { return std::int64_t{longest()} + 1; }
  /// Number of the first evaluation of unroll k. Unroll k evaluates length(k) + 1 times: theta at a
  /// boundary counts in both adjacent unrolls, on a separate minibatch in each.
  std::uint32_t first_evaluation(int k) const {
    return static_cast<std::uint32_t>(k) * (static_cast<std::uint32_t>(unroll_length) + 1U);
  }
};

}  // namespace l2o
