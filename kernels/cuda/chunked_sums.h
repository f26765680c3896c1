// Few long sums in two stages: kernels leave the partial sum of every chunk in device.workspace,
// and sum_chunks() adds the chunks up, in double and in order. (Many sums of few partials each are
// reduce_partials.h's.)
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/device.h"

namespace l2o::cuda {

/// How the items of a sum are cut: into `count` chunks of `size` items, the last one shorter.
struct Chunks {
  std::int64_t count = 0;
  std::int64_t size = 0;
};

/// Chunks of `least` items or more for `sums` sums of `items` each: as many as there are items for
/// and as the workspace has room for. It depends on sizes alone, and so does every result.
constexpr Chunks chunks_of(std::int64_t items, std::int64_t least, std::int64_t sums) {
  const std::int64_t most = std::max<std::int64_t>(Device::kWorkspaceSize / sums, 1);
  const std::int64_t wanted = std::max<std::int64_t>(items / least, 1);
  const std::int64_t size = (items - 1) / std::min(wanted, most) + 1;
  return {(items - 1) / size + 1, size};
}

/// out[row][column] = scale * the sum of partials[row][column], in double; with `add`, += it.
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
