// Runs kernels on a CPU: replaces kernels/cuda/launch.cuh.
#pragma once

#include <string>
#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device.h"
#include "kernels/cuda/launch_shape.h"
#include "tests/emulation/device_memory.h"
#include "tests/emulation/emulation.h"
#include "tests/emulation/grid.h"
#include "tests/emulation/injected_failure.h"
#include "tests/emulation/runtime.h"

namespace l2o::cuda {

/// Queues a kernel; `name` is used in error messages.
template <class... Parameters>
void launch(const char* name, void (*kernel)(Parameters...), const Device& device,
            const LaunchShape& shape, const std::type_identity_t<Parameters>&... parameters) {
  if (shape.blocks == 0) return;
  require_grid(name, shape);
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

}  // namespace l2o::cuda
