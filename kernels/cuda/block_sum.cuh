// Sums over the threads of a block, in an order that depends on nothing but their number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace l2o::cuda {

/// Threads of a block with `items` pieces of work: a power of two that covers them, from a warp up
/// to `most`.
constexpr int threads_for(std::int64_t items, int most) {
  int threads = kWarp;
  while (threads < most && threads < items) threads *= 2;
  return threads;
}

/// Shared memory that block_sum() works in: the first bytes of the block's.
constexpr std::size_t block_sum_bytes(int threads) {
  return static_cast<std::size_t>(threads) * sizeof(double);
}

/// The sum of `value` over the threads with the same thread_index() % columns, given to each of
/// them. All threads of the block call it; their number and `columns` are powers of two.
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
  synchronize_block();  // before the memory is written again
  return sum;
}

}  // namespace l2o::cuda
