// Launches kernels. tests/emulation has another file of this name, which runs them on a CPU.
#pragma once

#include <type_traits>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/device.h"
#include "kernels/cuda/launch_shape.h"

namespace l2o::cuda {

/// Queues a kernel; `name` is used in error messages.
template <class... Parameters>
void launch(const char* name, void (*kernel)(Parameters...), const Device& device,
            const LaunchShape& shape, const std::type_identity_t<Parameters>&... parameters) {
  if (shape.blocks == 0) return;
  require_grid(name, shape);
  allow_shared_memory(reinterpret_cast<const void*>(kernel), shape.shared_bytes, device, name);
  kernel<<<static_cast<unsigned>(shape.blocks), static_cast<unsigned>(shape.threads),
           shape.shared_bytes, device.stream>>>(parameters...);
  check(cudaGetLastError(), name);
}

}  // namespace l2o::cuda
