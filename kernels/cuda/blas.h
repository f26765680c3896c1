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

  /// C [m, n] = A B^T + beta C of float32 matrices whose rows are `stride` numbers apart: A [m, k],
  /// B [n, k]; k in 64 bits.
  struct RowProduct {
    int m = 0, n = 0;
    std::int64_t k = 0;
    const float* a = nullptr;
    std::int64_t stride_a = 0;
    const float* b = nullptr;
    std::int64_t stride_b = 0;
    float beta = 0.0F;
    float* c = nullptr;
    std::int64_t stride_c = 0;
  };
  void multiply_rows(const RowProduct& product);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace l2o::cuda
