// Where an unroll's backward pass keeps recompute checkpoints. Pure arithmetic, the same for every
// backend; the bytes are the backend's own.
#pragma once

#include <cstddef>

namespace l2o {

/// The backward pass walks the unroll's segments from the last to the first. Of the segment that it
/// is in it holds what the replay computed in every step; of the others only the state at their
/// start.
struct RecomputeCost {
  std::size_t bytes_per_step = 0;        ///< what one replayed step leaves for the backward pass
  std::size_t bytes_per_checkpoint = 0;  ///< the state at the start of a segment
};

/// Replay memory of segments of `segment_length` steps. The first segment starts from the unroll's
/// start state, which is kept anyway.
std::size_t recompute_bytes(int unroll_length, int segment_length, const RecomputeCost& cost);

/// The length of the longest of k balanced segments, ceil(unroll_length / k), for the smallest k
/// whose memory fits into `budget` bytes; where none fits, the length that needs the least memory.
/// Longer is better: segments cost one extra forward pass over all steps but the last segment's.
int plan_recompute_segment(int unroll_length, const RecomputeCost& cost, std::size_t budget);

}  // namespace l2o
