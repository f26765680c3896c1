// The device that launchers work on, and what goes wrong there.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/precision.h"

namespace l2o::cuda {

class Blas;  // kernels/cuda/blas.h

/// A call of CUDA that failed; the backend makes an l2o::Error of it.
class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

/// Throws CudaError, naming `what`, unless the call went well.
inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // or the next launch would be told of it
  throw CudaError(code, std::string(what) + ": " + cudaGetErrorString(code));
}

/// One GPU and the stream that its work is queued on. Launchers queue and do not wait.
struct Device {
  /// Doubles of `workspace`.
  static constexpr int kWorkspaceSize = 1 << 18;

  cudaStream_t stream = nullptr;
  Blas* blas = nullptr;
  int multiprocessors = 0;
  std::size_t shared_bytes = 0;  ///< that one block may have
  Precision precision = Precision::kMixed;
  double* workspace = nullptr;  ///< [kWorkspaceSize] for partial sums within one op

  /// Blocks of so many threads that run at once, at most: a kernel that continues with a stride
  /// needs no more of them.
  std::int64_t resident_blocks(int threads) const {
    constexpr int kThreadsOfMultiprocessor = 2048;
    return std::int64_t{multiprocessors} * (kThreadsOfMultiprocessor / threads);
  }
};

}  // namespace l2o::cuda
