// Matrix products, block of rows by block of rows.
#include <algorithm>

#include "kernels/cpu/launchers.h"
#include "kernels/cpu/product.h"

namespace l2o::cpu {
namespace {

/// Rows of C per call: about 1 MFLOP, so that handing it to another thread is cheap, in complete
/// register blocks.
int rows_per_block(const GemmArgs& args) {
  constexpr std::int64_t kFlopsPerBlock = 1 << 20;
  constexpr std::int64_t kRegisterRows = 24;  // a multiple of 6 and 8
  const std::int64_t flops_per_row = std::int64_t{2} * args.n * std::max(args.k, 1);
  const std::int64_t rows =
      (kFlopsPerBlock / flops_per_row + kRegisterRows) / kRegisterRows * kRegisterRows;
  return static_cast<int>(std::min<std::int64_t>(rows, args.m));
}

}  // namespace

void gemm(const GemmArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.m == 0 || args.n == 0) return;
  const int block_rows = rows_per_block(args);
  const std::int64_t blocks = (args.m - 1) / block_rows + 1;
  pool.parallel_for(args.batch * blocks, [&](std::int64_t index, int) {
    const std::int64_t matrix = index / blocks;
    const std::int64_t first = index % blocks * block_rows;
    Product block = dense_product(args.transpose_a, args.transpose_b, args.m, args.n, args.k);
    block.m = static_cast<int>(std::min<std::int64_t>(block_rows, args.m - first));
    block.a = args.a + matrix * args.stride_a + (args.transpose_a ? first : first * block.stride_a);
    block.b = args.b + matrix * args.stride_b;
    block.c = args.c + matrix * args.stride_c + first * args.n;
    multiply(block);
  });
}

}  // namespace l2o::cpu
