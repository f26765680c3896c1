// Matrix products by OpenBLAS, block of rows by block of rows.
#include <algorithm>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/launchers.h"

namespace l2o::cpu {
namespace {

/// Rows of C per call: about 1 MFLOP, so that handing it to another thread costs little, in whole
/// register blocks of OpenBLAS's kernels. It depends on the shape alone: OpenBLAS may sum in
/// another order for another number of rows, and results may depend neither on threads nor on the
/// batch.
int rows_per_block(const GemmArgs& args) {
  constexpr std::int64_t kFlopsPerBlock = 1 << 20;
  constexpr std::int64_t kRegisterRows = 32;
  const std::int64_t flops_per_row = std::int64_t{2} * args.n * std::max(args.k, 1);
  const std::int64_t rows =
      (kFlopsPerBlock / flops_per_row + 1 + kRegisterRows - 1) / kRegisterRows * kRegisterRows;
  return static_cast<int>(std::min<std::int64_t>(rows, args.m));
}

}  // namespace

void gemm(const GemmArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.m == 0 || args.n == 0) return;
  const int block_rows = rows_per_block(args);
  const std::int64_t blocks = (args.m - 1) / block_rows + 1;
  const int columns_of_a = args.transpose_a ? args.m : args.k;
  const int columns_of_b = args.transpose_b ? args.k : args.n;
  const auto multiply_block = [&](std::int64_t index, int) {
    const std::int64_t matrix = index / blocks;
    const std::int64_t first = index % blocks * block_rows;
    const int rows = static_cast<int>(std::min<std::int64_t>(block_rows, args.m - first));
    const float* a = args.a + matrix * args.stride_a;
    a += args.transpose_a ? first : first * args.k;
    cblas_sgemm(CblasRowMajor, args.transpose_a ? CblasTrans : CblasNoTrans,
                args.transpose_b ? CblasTrans : CblasNoTrans, rows, args.n, args.k, args.alpha, a,
                std::max(columns_of_a, 1), args.b + matrix * args.stride_b,
                std::max(columns_of_b, 1), args.beta,
                args.c + matrix * args.stride_c + first * args.n, args.n);
  };
  parallel_products(pool, args.batch * blocks, multiply_block);
}

}  // namespace l2o::cpu
