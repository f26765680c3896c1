// Two sums over the rows, for every column of every task, in double, as needed by normalizations
// and their gradients. Two stages if there are many rows; chunk boundaries depend only on sizes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/launch.cuh"

namespace l2o::cuda {

struct TwoSums {
  double first = 0.0, second = 0.0;
};

/// A block processes a group of `width` columns, a power of two, and a chunk of rows; its threads
/// form rows of `width`.
struct ColumnSumsPlan {
  int batch = 0;
  std::int64_t rows = 0;
  int columns = 0;
  int width = 1;
  Chunks chunks;
  double* partials = nullptr;  // [sums per column, B, columns, chunks], if chunks are several

  L2O_HOST_DEVICE std::int64_t groups() const { return (columns - 1) / width + 1; }
  L2O_HOST_DEVICE std::int64_t sums() const { return std::int64_t{batch} * columns; }
  /// Number of pieces of work: a group of columns and a chunk of rows of a task.
  L2O_HOST_DEVICE std::int64_t pieces() const { return batch * groups() * chunks.count; }
};

inline constexpr int kColumnSumsThreads = 256;

/// Sizes must not be 0.
inline ColumnSumsPlan plan_column_sums(int batch, std::int64_t rows, int columns,
                                       int sums_per_column, const Device& device) {
  constexpr std::int64_t kMinRowsPerThread = 32;
  ColumnSumsPlan plan = {.batch = batch,
                         .rows = rows,
                         .columns = columns,
                         .width = 1,
                         .chunks = {},
                         .partials = device.workspace};
  while (plan.width < std::min(columns, kWarpSize)) plan.width *= 2;
  plan.chunks = chunks_of(rows, kMinRowsPerThread * kColumnSumsThreads / plan.width,
                          sums_per_column * plan.sums());
  return plan;
}

/// For kernels whose blocks process one piece at a time.
inline LaunchShape column_sums_shape(const ColumnSumsPlan& plan, const Device& device) {
  const int threads = threads_for(plan.chunks.size * plan.width, kColumnSumsThreads);
  return {blocks_for(plan.pieces(), 1, device.resident_blocks(threads)), threads,
          block_sum_bytes(threads)};
}

/// Work has add(task, row, column, TwoSums&), which adds the terms of a value, and finish(task,
/// column, const TwoSums&), which one thread calls with the result.
template <class Work>
__global__ void __launch_bounds__(kColumnSumsThreads)
    column_sums_kernel(Work work, ColumnSumsPlan plan) {
  const Chunks& chunks = plan.chunks;
  const int lane = thread_index() % plan.width;
  const std::int64_t step = block_threads() / plan.width;
  for (std::int64_t index = block_index(); index < plan.pieces(); index += block_count()) {
    const std::int64_t chunk = index % chunks.count;
    const std::int64_t task = index / chunks.count / plan.groups();
    const int column = static_cast<int>(index / chunks.count % plan.groups()) * plan.width + lane;
    const std::int64_t end = std::min((chunk + 1) * chunks.size, plan.rows);
    TwoSums sums;
    if (column < plan.columns) {
#pragma unroll 4
      for (std::int64_t row = chunk * chunks.size + thread_index() / plan.width; row < end;
           row += step) {
        work.add(task, row, column, sums);
      }
    }
    sums = {block_sum(sums.first, plan.width), block_sum(sums.second, plan.width)};
    if (thread_index() >= plan.width || column >= plan.columns) continue;
    if (chunks.count == 1) {
      work.finish(task, column, sums);
    } else {
      double* partial = plan.partials + (task * plan.columns + column) * chunks.count + chunk;
      partial[0] = sums.first;
      partial[plan.sums() * chunks.count] = sums.second;
    }
  }
}

/// A block adds the chunks of one column.
template <class Work>
__global__ void __launch_bounds__(kColumnSumsThreads)
    finish_column_sums_kernel(Work work, ColumnSumsPlan plan) {
  const std::int64_t chunks = plan.chunks.count;
  for (std::int64_t index = block_index(); index < plan.sums(); index += block_count()) {
    const double* first = plan.partials + index * chunks;
    const double* second = first + plan.sums() * chunks;
    TwoSums sums;
    for (std::int64_t chunk = thread_index(); chunk < chunks; chunk += block_threads()) {
      sums.first += first[chunk];
      sums.second += second[chunk];
    }
    sums = {block_sum(sums.first), block_sum(sums.second)};
    if (thread_index() == 0) {
      work.finish(index / plan.columns, static_cast<int>(index % plan.columns), sums);
    }
  }
}

/// Queues both stages; sizes must not be 0.
template <class Work>
void column_sums(const char* name, int batch, std::int64_t rows, int columns, const Work& work,
                 const Device& device) {
  const ColumnSumsPlan plan = plan_column_sums(batch, rows, columns, 2, device);
  launch(name, column_sums_kernel<Work>, device, column_sums_shape(plan, device), work, plan);
  if (plan.chunks.count == 1) return;
  const int finish_threads = threads_for(plan.chunks.count, kColumnSumsThreads);
  launch(name, finish_column_sums_kernel<Work>, device,
         {blocks_for(plan.sums(), 1, device.resident_blocks(finish_threads)), finish_threads,
          block_sum_bytes(finish_threads)},
         work, plan);
}

}  // namespace l2o::cuda
