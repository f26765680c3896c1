// Translates CUDA errors to engine errors, and selects the current GPU.
#pragma once

#include <cuda_runtime.h>

#include "host/core/error.h"
#include "kernels/cuda/device.h"

namespace l2o {

inline Status status_of(cudaError_t code) {
  switch (code) {
    case cudaErrorMemoryAllocation:
      return Status::kOutOfMemory;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInvalidDevice:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorDevicesUnavailable:
    case cudaErrorSharedObjectInitFailed:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorJitCompilerNotFound:
      return Status::kDeviceUnavailable;
    default:
      return Status::kFailure;
  }
}

/// Runs `work` and translates its CUDA errors to engine errors.
template <class Work>
auto translated(const Work& work) {
  try {
    return work();
  } catch (const cuda::CudaError& error) {
    throw Error(status_of(error.code()), error.what());
  }
}

/// Makes a GPU the thread's current one during its lifetime: the caller may be using another.
class CurrentDevice {
 public:
  explicit CurrentDevice(int number) {
    status_ = cudaGetDevice(&before_);
    if (status_ == cudaSuccess && before_ != number) {
      status_ = cudaSetDevice(number);
      is_changed_ = status_ == cudaSuccess;
    }
  }
  ~CurrentDevice() {
    if (is_changed_) cudaSetDevice(before_);
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

  cudaError_t status() const { return status_; }

 private:
  int before_ = 0;
  bool is_changed_ = false;
  cudaError_t status_;
};

}  // namespace l2o
