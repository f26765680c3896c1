// Sums over the threads of a block or a warp, in an order that depends only on their number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace l2o::cuda {

/// Threads per block for `items` work items: a power of two that covers them, from one warp up to
/// `max_threads`.
constexpr int threads_for(std::int64_t items, int max_threads) {
  int threads = kWarpSize;
  while (threads < max_threads && threads < items) threads *= 2;
  return threads;
}

/// Returns, to each lane, the sum of `value` over its group of `lanes` adjacent lanes: a power of
/// two up to a warp. All lanes of the warp call it.
template <class Number>
L2O_DEVICE Number sum_over_lanes(Number value, int lanes) {
  for (int mask = lanes / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

/// Shared memory used by block_sum(), at the start of the block's.
constexpr std::size_t block_sum_bytes(int threads) {
  return static_cast<std::size_t>(threads) * sizeof(double);
}

/// Returns, to each thread, the sum of `value` over the threads with the same thread_index() %
/// columns. All threads of the block call it; their number and `columns` are powers of two.
L2O_DEVICE double block_sum(double value, int columns = 1) {
  auto* const sums = reinterpret_cast<double*>(shared_memory());
  const int thread = thread_index();
  sums[thread] = value;
  synchronize_block();
  for (int half = block_threads() / 2; half >= columns; half /= 2) {
    if (thread < half) sums[thread] += sums[thread + half];
    synchronize_block();
  }
  const double sum = sums[thread % columns];
  synchronize_block();  // before the memory is reused
  return sum;
}

}  // namespace l2o::cuda
