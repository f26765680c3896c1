// The part of CUB used by kernels/cuda, on a CPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_runtime.h"
#include "tests/emulation/runtime.h"

namespace cub {

struct DeviceReduce {
  /// *output = init combined with transform(input[0]), ... by `reduce`. `memory` is null in the
  /// call that asks for the required size.
  template <class Input, class Output, class Reduce, class Transform, class Value>
  static cudaError_t TransformReduce(void* memory, std::size_t& bytes, Input input, Output output,
                                     std::int64_t count, Reduce reduce, Transform transform,
                                     Value init, cudaStream_t stream) {
    if (memory == nullptr) {
      bytes = 1;
      return cudaSuccess;
    }
    l2o::emulation::enqueue(stream, [=] {
      Value sum = init;
      for (std::int64_t i = 0; i < count; ++i) sum = reduce(sum, transform(input[i]));
      *output = sum;
    });
    return cudaSuccess;
  }
};

}  // namespace cub
