// Launches kernels. tests/emulation has another file of this name, which runs them on a CPU.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device.h"

namespace l2o::cuda {

struct LaunchShape {
  std::int64_t blocks = 0;  ///< 0: nothing runs
  int threads = 0;          ///< per block, whole warps
  std::size_t shared_bytes = 0;
};

/// Queues a kernel; `name` is used in error messages.
template <class... Parameters>
void launch(const char* name, void (*kernel)(Parameters...), const Device& device,
            const LaunchShape& shape, const std::type_identity_t<Parameters>&... parameters) {
  if (shape.blocks == 0) return;
  if (shape.blocks > std::numeric_limits<int>::max()) {
    throw CudaError(cudaErrorInvalidConfiguration, std::string(name) + ": too many blocks");
  }
  allow_shared_memory(reinterpret_cast<const void*>(kernel), shape.shared_bytes, device, name);
  kernel<<<static_cast<unsigned>(shape.blocks), static_cast<unsigned>(shape.threads),
           shape.shared_bytes, device.stream>>>(parameters...);
  check(cudaGetLastError(), name);
}

/// Number of blocks that cover n items with `per_block` each, at most `most`: kernels use a
/// grid-stride loop.
constexpr std::int64_t blocks_for(std::int64_t n, std::int64_t per_block,
                                  std::int64_t most = std::numeric_limits<int>::max()) {
  const std::int64_t blocks = n / per_block + (n % per_block != 0 ? 1 : 0);
  return blocks < most ? blocks : most;
}

}  // namespace l2o::cuda
