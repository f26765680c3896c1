// Placement of recompute checkpoints in an unroll's backward pass. Pure arithmetic, the same for
// every backend; the sizes in bytes come from the backend.
#pragma once

#include <cstddef>

namespace l2o {

/// The backward pass visits the unroll's segments from the last to the first. For the current
/// segment it holds the replayed values of every step, for the others only the state at their
/// start.
struct RecomputeCost {
  std::size_t bytes_per_step = 0;        ///< stored by one replayed step for the backward pass
  std::size_t bytes_per_checkpoint = 0;  ///< the state at the start of a segment
};

/// Replay memory for segments of `segment_length` steps. The first segment starts from the unroll's
/// start state, which is kept anyway.
std::size_t recompute_bytes(int unroll_length, int segment_length, const RecomputeCost& cost);

/// Splits the unroll into the smallest number k of balanced segments whose memory fits into
/// `budget` bytes, and returns the length of the longest, ceil(unroll_length / k). If none fits,
/// returns the length that needs the least memory. Longer segments are better: every step outside
/// the last segment is run forward a second time.
int plan_recompute_segment(int unroll_length, const RecomputeCost& cost, std::size_t budget);

}  // namespace l2o
