// Placement of recompute checkpoints in an unroll's backward pass. Pure arithmetic, the same for
// every backend; the sizes in bytes come from the kernels.
#pragma once

#include <cstddef>

#include "kernels/op_args.h"

namespace l2o {

/// Replay memory for segments of `segment_length` steps. The first segment starts from the unroll's
/// start state, which is kept anyway. Both lengths are at least 1.
std::size_t recompute_bytes(int unroll_length, int segment_length, const ReplayBytes& bytes);

/// Splits the unroll into the smallest number k of balanced segments whose memory fits into
/// `budget` bytes, and returns the length of the longest, ceil(unroll_length / k). If none fits,
/// returns the length that needs the least memory. Longer segments are better: every step outside
/// the last segment is run forward a second time. Throws kInternal if unroll_length < 1.
int plan_recompute_segment(int unroll_length, const ReplayBytes& bytes, std::size_t budget);

}  // namespace l2o
