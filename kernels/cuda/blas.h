// Matrix products by cuBLAS, which is loaded when a device is opened: a program that was built for
// CUDA starts on machines without it. tests/emulation has another Blas.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <memory>

#include "kernels/op_args.h"

namespace l2o::cuda {

class Blas {
 public:
  /// Queues its work on `stream`; takes a workspace of its own, so that results repeat to the bit.
  /// Throws CudaError where the library cannot be loaded, saying which one.
  explicit Blas(cudaStream_t stream);
  ~Blas();

  /// As GemmArgs says; sizes of 0 are no-ops, k = 0 included where beta is 1.
  void gemm(const GemmArgs& args);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace l2o::cuda
