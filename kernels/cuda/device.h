// The device that launchers work on, and its errors.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/precision.h"

namespace l2o::cuda {

class Blas;  // kernels/cuda/blas.h

/// A failed CUDA call; the backend converts it to an l2o::Error.
class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

/// Throws CudaError, naming `what`, unless the call succeeded.
inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // clears the error, or the next launch would report it
  throw CudaError(code, std::string(what) + ": " + cudaGetErrorString(code));
}

/// One GPU, its limits, and the stream for its work. Launchers queue work and do not wait.
struct Device {
  /// Size of `workspace` in doubles.
  static constexpr int kWorkspaceSize = 1 << 18;

  int number = 0;  ///< CUDA device number
  int multiprocessors = 0;
  int threads_per_multiprocessor = 0;  ///< maximum resident
  std::size_t shared_bytes = 0;        ///< maximum per block
  cudaStream_t stream = nullptr;
  Blas* blas = nullptr;
  Precision precision = Precision::kMixed;
  double* workspace = nullptr;  ///< [kWorkspaceSize] for partial sums within one op

  /// Maximum number of resident blocks with this many threads: a grid-stride kernel needs no more
  /// than these.
  std::int64_t resident_blocks(int threads) const {
    return std::int64_t{multiprocessors} * (threads_per_multiprocessor / threads);
  }
};

/// Returns the limits reported by a GPU; without a stream or memory.
Device describe_device(int number);

/// Allows blocks of `kernel` to use this much shared memory, if the GPU has it: CUDA rejects
/// launches with more than 48 KB without opt-in. Opts in once per kernel and GPU, for the maximum,
/// since other threads launch the same kernel with other sizes. `name` is used in error messages.
void allow_shared_memory(const void* kernel, std::size_t bytes, const Device& device,
                         const char* name);

}  // namespace l2o::cuda
