// How many blocks and threads a kernel is launched with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "kernels/cuda/device.h"

namespace l2o::cuda {

struct LaunchShape {
  std::int64_t blocks = 0;  ///< 0: nothing runs
  int threads = 0;          ///< per block, whole warps
  std::size_t shared_bytes = 0;
};

/// Throws CudaError if a grid cannot have this many blocks; `name` is the kernel's.
inline void require_grid(const char* name, const LaunchShape& shape) {
  if (shape.blocks < 0 || shape.blocks > std::numeric_limits<int>::max()) {
    throw CudaError(cudaErrorInvalidConfiguration, std::string(name) + ": too many blocks");
  }
}

/// n / d rounded up; n >= 0, d > 0.
constexpr std::int64_t ceil_div(std::int64_t n, std::int64_t d) {
  return n / d + (n % d != 0 ? 1 : 0);
}

/// Number of blocks that cover n items with `per_block` each, at most `max_blocks`: for kernels
/// with a grid-stride loop.
constexpr std::int64_t blocks_for(std::int64_t n, std::int64_t per_block, std::int64_t max_blocks) {
  return std::min(ceil_div(n, per_block), max_blocks);
}

}  // namespace l2o::cuda
