// The second stage of the meta-gradients in lstm_unroll_backward.cuh and lstm_segments.cu: partial
// sums, each over a fixed set of coordinates, are added in double and in an order that depends only
// on their number. (All other sums in two stages: chunked_sums.h.)
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

namespace l2o::cuda {

/// sums[i] = sum over partials of partials[partial][i]; 0 if count is 0.
struct ReducePartialsArgs {
  std::int64_t count = 0;           // partials
  std::int64_t size = 0;            // values per partial
  const float* partials = nullptr;  // [count, size]
  float* sums = nullptr;            // [size], overwritten; must not overlap the partials
};

void reduce_partials(const ReducePartialsArgs& args, const Device& device);

}  // namespace l2o::cuda
