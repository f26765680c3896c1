// Runs kernels on a CPU: replaces kernels/cuda/launch.cuh.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device.h"
#include "tests/emulation/device_memory.h"
#include "tests/emulation/emulation.h"
#include "tests/emulation/grid.h"
#include "tests/emulation/injected_failure.h"

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
  if (shape.blocks < 0 || shape.blocks > std::numeric_limits<int>::max()) {
    throw CudaError(cudaErrorInvalidConfiguration, std::string(name) + ": too many blocks");
  }
  const auto* const function = reinterpret_cast<const void*>(kernel);
  allow_shared_memory(function, shape.shared_bytes, device, name);
  if (shape.shared_bytes > emulation::allowed_shared_bytes(function)) {
    throw CudaError(cudaErrorInvalidValue, std::string(name) + ": too much shared memory");
  }
  emulation::inject_failure(name);
  (emulation::refuse_host_addresses(name, parameters), ...);
  emulation::enqueue(device.stream, [=] {
    emulation::run_grid(name, {shape.blocks, shape.threads, shape.shared_bytes},
                        [&] { kernel(parameters...); });
  });
  check(cudaGetLastError(), name);  // as on a GPU: reports an error that was not cleared
}

/// Number of blocks that cover n items with `per_block` each, at most `most`: kernels use a
/// grid-stride loop.
constexpr std::int64_t blocks_for(std::int64_t n, std::int64_t per_block,
                                  std::int64_t most = std::numeric_limits<int>::max()) {
  const std::int64_t blocks = n / per_block + (n % per_block != 0 ? 1 : 0);
  return blocks < most ? blocks : most;
}

}  // namespace l2o::cuda
