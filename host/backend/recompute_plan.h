// Placement of recompute checkpoints in an unroll's backward pass. Pure arithmetic, the same for
// every backend; the sizes in bytes come from the backend.
#pragma once

#include <cstddef>

namespace l2o {

/// The backward pass visits the unroll's segments from the last to the first. For the current
/// segment it holds the replayed values of every step, for the others only the state at their
/// start.
struct RecomputeCost {
  std::size_t bytes_per_step = 0;        ///< what one replayed step stores for the backward pass
  std::size_t bytes_per_checkpoint = 0;  ///< the state at the start of a segment
};

/// Replay memory for segments of `segment_length` steps. The first segment starts from the unroll's
/// start state, which is kept anyway.
std::size_t recompute_bytes(int unroll_length, int segment_length, const RecomputeCost& cost);

/// The length of the longest of k balanced segments, ceil(unroll_length / k), for the smallest k
/// whose memory fits into `budget` bytes; if none fits, the length that needs the least memory.
/// Longer is better: segments cost an extra forward pass over all steps except the last segment's.
int plan_recompute_segment(int unroll_length, const RecomputeCost& cost, std::size_t budget);

}  // namespace l2o
