// A small number of long sums in two stages: kernels store the partial sum of every chunk in
// device.workspace, and sum_chunks() adds the chunks in double and in order. (For many sums of few
// partials each, see reduce_partials.h.)
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/device.h"

namespace l2o::cuda {

/// Divides the items of a sum into `count` chunks of `size` items; the last one may be shorter.
struct Chunks {
  std::int64_t count = 0;
  std::int64_t size = 0;
};

/// Chunks of at least `min_size` items for `sums` sums of `items` each: as many as the items and
/// the workspace allow. The result depends only on sizes, and so do all sums.
constexpr Chunks chunks_of(std::int64_t items, std::int64_t min_size, std::int64_t sums) {
  const std::int64_t max_count = std::max<std::int64_t>(Device::kWorkspaceSize / sums, 1);
  const std::int64_t target_count = std::max<std::int64_t>(items / min_size, 1);
  const std::int64_t size = (items - 1) / std::min(target_count, max_count) + 1;
  return {(items - 1) / size + 1, size};
}

/// out[row][column] = scale * the sum of partials[row][column], in double; += if `add` is set.
struct ChunkedSums {
  std::int64_t rows = 0, columns = 0, chunks = 0;
  const double* partials = nullptr;  // [rows, columns, chunks]
  double scale = 1.0;
  float* out = nullptr;     // [rows] blocks of [columns], `stride` apart
  std::int64_t stride = 0;  // in elements
  bool add = false;
};
void sum_chunks(const ChunkedSums& sums, const Device& device);

}  // namespace l2o::cuda
