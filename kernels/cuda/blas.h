// Matrix products by cuBLAS, which is loaded when the first Blas is made: a program that was built
// for CUDA starts on machines without it. tests/emulation has another Blas.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/op_args.h"

namespace l2o::cuda {

class Blas {
 public:
  /// What cuBLAS itself would take on the largest GPUs.
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

  /// Queues its work on `stream`. With a workspace [kWorkspaceBytes] of its own results repeat to
  /// the bit. Throws CudaError where the library cannot be loaded, saying which one.
  Blas(cudaStream_t stream, void* workspace);
  ~Blas();

  /// Where work is queued from here on.
  void set_stream(cudaStream_t stream);

  /// As GemmArgs says; sizes m, n or batch of 0 are no-ops; k is at least 1.
  void gemm(const GemmArgs& args);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace l2o::cuda
