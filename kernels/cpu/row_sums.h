// Column sums over many rows, in chunks of rows whose boundaries depend on sizes alone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/thread_pool.h"

namespace l2o::cpu {

/// Adds up `sums` values over the rows of each of `batch` tasks. add(task, first row, end, sums
/// [sums]) adds rows to zeroed doubles; chunks are then added in order, and finish(task, sums)
/// receives the result. Uses the pool's workspace.
template <class Add, class Finish>
void sum_rows(ThreadPool& pool, int batch, std::int64_t rows, int sums, const Add& add,
              const Finish& finish) {
  constexpr std::int64_t kMinRows = 512;
  constexpr std::int64_t kMaxChunks = 64;
  const std::int64_t size = std::max(kMinRows, (rows + kMaxChunks - 1) / kMaxChunks);
  const std::int64_t chunks = std::max<std::int64_t>((rows + size - 1) / size, 1);
  const auto width = static_cast<std::size_t>(sums);
  auto* const partial = reinterpret_cast<double*>(
      pool.workspace(sizeof(double) * static_cast<std::size_t>(batch * chunks) * width));
  pool.parallel_for(batch * chunks, [&](std::int64_t item, int) {
    double* const own = partial + static_cast<std::size_t>(item) * width;
    std::fill_n(own, width, 0.0);
    const std::int64_t first = item % chunks * size;
    add(item / chunks, first, std::min(first + size, rows), own);
  });
  pool.parallel_for(batch, [&](std::int64_t task, int) {
    double* const total = partial + static_cast<std::size_t>(task * chunks) * width;
    for (std::int64_t chunk = 1; chunk < chunks; ++chunk) {
      for (std::size_t i = 0; i < width; ++i) {
        total[i] += total[static_cast<std::size_t>(chunk) * width + i];
      }
    }
    finish(task, total);
  });
}

/// Rows per work item when rows are independent.
inline constexpr std::int64_t kRowsPerItem = 256;

/// Calls work(task, first row, end) for all rows of all tasks, in pieces.
template <class Work>
void for_rows(ThreadPool& pool, int batch, std::int64_t rows, const Work& work) {
  const std::int64_t pieces = (rows + kRowsPerItem - 1) / kRowsPerItem;
  pool.parallel_for(batch * pieces, [&](std::int64_t item, int) {
    const std::int64_t first = item % pieces * kRowsPerItem;
    work(item / pieces, first, std::min(first + kRowsPerItem, rows));
  });
}

}  // namespace l2o::cpu
