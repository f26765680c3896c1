// The second stage of long sums: one block adds up the chunks of one sum.
#include "kernels/cuda/chunked_sums.h"

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/launch.cuh"

namespace l2o::cuda {
namespace {

constexpr int kMaxThreads = 1024;

__global__ void __launch_bounds__(kMaxThreads) sum_chunks_kernel(ChunkedSums sums) {
  for (std::int64_t index = block_index(); index < sums.rows * sums.columns;
       index += block_count()) {
    const double* partials = sums.partials + index * sums.chunks;
    double sum = 0.0;
    for (std::int64_t chunk = thread_index(); chunk < sums.chunks; chunk += block_threads()) {
      sum += partials[chunk];
    }
    sum = block_sum(sum);
    if (thread_index() == 0) {
      float& out = sums.out[index / sums.columns * sums.stride + index % sums.columns];
      const auto result = static_cast<float>(sums.scale * sum);
      out = sums.add ? out + result : result;
    }
  }
}

}  // namespace

void sum_chunks(const ChunkedSums& sums, const Device& device) {
  const int threads = threads_for(sums.chunks, kMaxThreads);
  const std::int64_t blocks =
      blocks_for(sums.rows * sums.columns, 1, device.resident_blocks(threads));
  launch("sum_chunks", sum_chunks_kernel, device, {blocks, threads, block_sum_bytes(threads)},
         sums);
}

}  // namespace l2o::cuda
