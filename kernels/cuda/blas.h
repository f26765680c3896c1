// Matrix products by cuBLAS, which is loaded when the first Blas is created: a program built for
// CUDA also starts on machines without it. tests/emulation has another Blas.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/op_args.h"

namespace l2o::cuda {

class Blas {
 public:
  /// The size that cuBLAS itself would allocate on the largest GPUs.
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

  /// Queues its work on `stream`. With its own workspace [kWorkspaceBytes], results are repeatable
  /// bit for bit. Throws CudaError, naming the library, if it cannot be loaded.
  Blas(cudaStream_t stream, void* workspace);
  ~Blas();

  /// Queues subsequent work on `stream`.
  void set_stream(cudaStream_t stream);

  /// As described at GemmArgs, with k >= 1; if m, n or the batch is 0, a no-op.
  void gemm(const GemmArgs& args);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace l2o::cuda
