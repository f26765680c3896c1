// Computes a product of convolution_products.cuh, tile by tile through shared memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/convolution_products.cuh"
#include "kernels/cuda/launch.cuh"

namespace l2o::cuda::patches {

constexpr int kRows = 64;       // of a tile
constexpr int kSlice = 16;      // terms in shared memory at a time
constexpr int kThreadTile = 4;  // rows and columns per thread

/// The partition of a product: blocks compute a tile over a chunk of the terms of a task.
struct ProductPlan {
  int batch = 0;
  std::int64_t rows = 0, terms = 0;
  int columns = 0;
  Chunks chunks;  // of the terms
};

struct alignas(kThreadTile * sizeof(float)) ThreadVector {
  float values[kThreadTile];
};

/// Shared memory of a block: the positions of its rows and of the slice's terms, and the slices of
/// both matrices, [term][row] and [term][column]; finally the tile, [row][column]. Padded, so that
/// neither consecutive terms nor consecutive rows fall into the same few banks.
template <int kColumns>
struct TileMemory {
  static constexpr int kLeftStride = kRows + kThreadTile, kRightStride = kColumns + kThreadTile;
  struct Slices {
    Position rows[kRows];
    Position terms[kSlice];
    float left[kSlice * kLeftStride];
    float right[kSlice * kRightStride];
  };
  union {
    Slices slices;
    float tile[kRows * kColumns];
  };
};

template <int kColumns, class Product>
class ProductTile {
 public:
  static constexpr int kThreads = kRows / kThreadTile * (kColumns / kThreadTile);

  L2O_DEVICE ProductTile(const Product& product, const ProductPlan& plan, std::int64_t index)
      : product_(product),
        plan_(plan),
        memory_(*reinterpret_cast<Memory*>(shared_memory())),
        thread_(thread_index()),
        row_(thread_ / (kColumns / kThreadTile) * kThreadTile),
        column_(thread_ % (kColumns / kThreadTile) * kThreadTile) {
    const std::int64_t row_tiles = (plan.rows - 1) / kRows + 1;
    const std::int64_t column_tiles = (plan.columns - 1) / kColumns + 1;
    first_column_ = static_cast<int>(index % column_tiles) * kColumns;
    index /= column_tiles;
    first_row_ = index % row_tiles * kRows;
    index /= row_tiles;
    chunk_ = index % plan.chunks.count;
    task_ = index / plan.chunks.count;
  }

  L2O_DEVICE void run() {
    const std::int64_t end = std::min((chunk_ + 1) * plan_.chunks.size, plan_.terms);
    const std::int64_t first = chunk_ * plan_.chunks.size;
    locate_rows();
    locate_terms(first, end);
    for (std::int64_t slice = first; slice < end; slice += kSlice) {
      synchronize_block();
      load_left();
      load_right(slice, end);
      synchronize_block();
      multiply();
      locate_terms(slice + kSlice, end);
    }
    synchronize_block();
    store();
    synchronize_block();  // before the next tile reuses the memory
  }

 private:
  using Memory = TileMemory<kColumns>;
  static constexpr int kLeftStride = Memory::kLeftStride, kRightStride = Memory::kRightStride;
  static_assert(kThreads >= kRows && kThreads % kRows == 0 && kThreads % kColumns == 0);

  L2O_DEVICE void locate_rows() {
    if (thread_ >= kRows) return;
    const std::int64_t row = first_row_ + thread_;
    memory_.slices.rows[thread_] = row < plan_.rows ? product_.row(task_, row) : nowhere();
  }
  L2O_DEVICE void locate_terms(std::int64_t slice, std::int64_t end) {
    if (thread_ >= kSlice) return;
    const std::int64_t term = slice + thread_;
    memory_.slices.terms[thread_] = term < end ? product_.term(task_, term) : nowhere();
  }

  /// Calls load(term, i) for this thread's share of a slice [kSlice][size].
  template <int size, bool kTermsContiguous, class Load>
  L2O_DEVICE void for_each_in_share(const Load& load) const {
    if constexpr (kTermsContiguous) {
#pragma unroll
      for (int k = 0; k < size * kSlice / kThreads; ++k) {
        load(thread_ % kSlice, thread_ / kSlice + k * (kThreads / kSlice));
      }
    } else {
#pragma unroll
      for (int k = 0; k < size * kSlice / kThreads; ++k) {
        load(thread_ / size + k * (kThreads / size), thread_ % size);
      }
    }
  }
  L2O_DEVICE void load_left() {
    for_each_in_share<kRows, Product::kLeftTermsContiguous>([&](int term, int row) {
      memory_.slices.left[term * kLeftStride + row] =
          product_.left(memory_.slices.rows[row] + memory_.slices.terms[term]);
    });
  }
  L2O_DEVICE void load_right(std::int64_t slice, std::int64_t end) {
    for_each_in_share<kColumns, Product::kRightTermsContiguous>([&](int term, int column) {
      const bool in_range = slice + term < end && first_column_ + column < plan_.columns;
      memory_.slices.right[term * kRightStride + column] =
          in_range ? product_.right(task_, slice + term, first_column_ + column) : 0.0F;
    });
  }

  L2O_DEVICE void multiply() {
#pragma unroll
    for (int term = 0; term < kSlice; ++term) {
      const auto left = load_vector<ThreadVector>(memory_.slices.left + term * kLeftStride + row_);
      const auto right =
          load_vector<ThreadVector>(memory_.slices.right + term * kRightStride + column_);
#pragma unroll
      for (int i = 0; i < kThreadTile; ++i) {
#pragma unroll
        for (int j = 0; j < kThreadTile; ++j) {
          sums_[i].values[j] = fused(left.values[i], right.values[j], sums_[i].values[j]);
        }
      }
    }
  }

  /// Stores through shared memory, so that adjacent threads write adjacent values.
  L2O_DEVICE void store() {
#pragma unroll
    for (int i = 0; i < kThreadTile; ++i) {
      store_vector(memory_.tile + (row_ + i) * kColumns + column_, sums_[i]);
    }
    synchronize_block();
#pragma unroll 1
    for (int i = thread_; i < kRows * kColumns; i += kThreads) {
      const std::int64_t row = first_row_ + i / kColumns;
      const int column = first_column_ + i % kColumns;
      if (row < plan_.rows && column < plan_.columns) {
        product_.store(task_, chunk_, row, column, memory_.tile[i]);
      }
    }
  }

  const Product& product_;
  const ProductPlan& plan_;
  Memory& memory_;
  const int thread_;
  const int row_, column_;  // the thread's first in the tile
  std::int64_t task_, chunk_, first_row_;
  int first_column_;
  ThreadVector sums_[kThreadTile] = {};
};

template <int kColumns, class Product>
__global__ void __launch_bounds__(ProductTile<kColumns, Product>::kThreads)
    convolution_kernel(Product product, ProductPlan plan, std::int64_t tiles) {
  for (std::int64_t index = block_index(); index < tiles; index += block_count()) {
    ProductTile<kColumns, Product>(product, plan, index).run();
  }
}

template <int kColumns, class Product>
void multiply_tiled(const char* name, const Product& product, const ProductPlan& plan,
                    const Device& device) {
  constexpr int kThreads = ProductTile<kColumns, Product>::kThreads;
  const std::int64_t tiles = plan.batch * plan.chunks.count * ceil_div(plan.rows, kRows) *
                             ceil_div(plan.columns, kColumns);
  launch(name, convolution_kernel<kColumns, Product>, device,
         {blocks_for(tiles, 1, device.resident_blocks(kThreads)), kThreads,
          sizeof(TileMemory<kColumns>)},
         product, plan, tiles);
}

/// The numbers of rows and columns must not be 0; without terms, sums are 0.
template <class Product>
void multiply(const char* name, const Product& product, const ProductPlan& plan,
              const Device& device) {
  if (plan.columns <= 16) {
    multiply_tiled<16>(name, product, plan, device);
  } else if (plan.columns <= 32) {
    multiply_tiled<32>(name, product, plan, device);
  } else {
    multiply_tiled<64>(name, product, plan, device);
  }
}

}  // namespace l2o::cuda::patches
