// Matrix products by cuBLAS, except empty ones.
#include <cstdint>

#include "kernels/cuda/blas.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

constexpr int kThreads = 256;

/// C = 0: a sum of no products.
__global__ void __launch_bounds__(kThreads) zero_kernel(GemmArgs args) {
  const std::int64_t size = std::int64_t{args.m} * args.n;
  const std::int64_t step = std::int64_t{block_count()} * kThreads;
  for (std::int64_t i = std::int64_t{block_index()} * kThreads + thread_index();
       i < args.batch * size; i += step) {
    args.c[i / size * args.stride_c + i % size] = 0.0F;
  }
}

}  // namespace

void gemm(const GemmArgs& args, const Device& device) {
  if (args.batch == 0 || args.m == 0 || args.n == 0) return;
  if (args.k > 0) {
    device.blas->gemm(args);
    return;
  }
  const std::int64_t values = std::int64_t{args.batch} * args.m * args.n;
  launch("gemm", zero_kernel, device,
         {blocks_for(values, kThreads, device.resident_blocks(kThreads)), kThreads}, args);
}

}  // namespace l2o::cuda
