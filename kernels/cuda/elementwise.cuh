// Elementwise kernels.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.cuh"

namespace l2o::cuda {

inline constexpr int kElementThreads = 256;

// ------------------------------------------------------------------------------ one-dimensional

template <class Work>
__global__ void __launch_bounds__(kElementThreads) for_each_kernel(std::int64_t n, Work work) {
  const std::int64_t stride = std::int64_t{block_count()} * kElementThreads;
  for (std::int64_t i = std::int64_t{block_index()} * kElementThreads + thread_index(); i < n;
       i += stride) {
    work(i);
  }
}

/// Queues work(i) for all i in [0, n).
template <class Work>
void for_each(const char* name, std::int64_t n, const Work& work, const Device& device) {
  const std::int64_t blocks =
      blocks_for(n, kElementThreads, device.resident_blocks(kElementThreads));
  launch(name, for_each_kernel<Work>, device, {blocks, kElementThreads}, n, work);
}

// ---------------------------------------------------------------------------- rows of all tasks

/// A block processes `chunk_rows` rows of one task at a time.
struct RowChunks {
  int batch = 0;
  std::int64_t rows = 0;
  int columns = 0;
  int chunk_rows = 0;
  std::int64_t chunks = 0;  // per task
};

template <class Work>
__global__ void __launch_bounds__(kElementThreads) for_each_in_rows_kernel(RowChunks p, Work work) {
  for (std::int64_t index = block_index(); index < p.batch * p.chunks; index += block_count()) {
    const std::int64_t task = index / p.chunks, first = index % p.chunks * p.chunk_rows;
    const auto rows =
        static_cast<std::uint32_t>(std::min<std::int64_t>(p.chunk_rows, p.rows - first));
    const auto columns = static_cast<std::uint32_t>(p.columns);
    const std::int64_t at = (task * p.rows + first) * p.columns;
    for (auto i = static_cast<std::uint32_t>(thread_index()); i < rows * columns;
         i += kElementThreads) {
      work(task, static_cast<int>(i % columns), at + i);
    }
  }
}

/// Each chunk has as many whole rows as fit into four values per thread, but at least one row.
/// No size may be 0.
inline RowChunks row_chunks(int batch, std::int64_t rows, int columns) {
  constexpr int kChunkValues = 4 * kElementThreads;
  RowChunks p = {.batch = batch, .rows = rows, .columns = columns};
  p.chunk_rows =
      static_cast<int>(std::min<std::int64_t>(std::max(kChunkValues / columns, 1), rows));
  p.chunks = (rows - 1) / p.chunk_rows + 1;
  return p;
}

/// Queues work(task, column, index) for every element of an array [B, rows, columns]. No size may
/// be 0.
template <class Work>
void for_each_in_rows(const char* name, int batch, std::int64_t rows, int columns, const Work& work,
                      const Device& device) {
  const RowChunks p = row_chunks(batch, rows, columns);
  const std::int64_t blocks =
      blocks_for(batch * p.chunks, 1, device.resident_blocks(kElementThreads));
  launch(name, for_each_in_rows_kernel<Work>, device, {blocks, kElementThreads}, p, work);
}

}  // namespace l2o::cuda
