// Matrix products, following Goto & van de Geijn (2008), "Anatomy of high-performance matrix
// multiplication": a block of B is packed into panels of two vectors of columns, and a register
// block of C, a few rows by one panel, runs down the panel, which stays in the first-level cache. A
// is read in place: networks have few columns, so a copy would not pay off.
//
// OpenBLAS is not used: Debian's version starts its own threads and selects its kernels by the
// CPU's model number, falling back to SSE3 on unknown models. On known models it is not
// faster for the narrow matrices of small networks (docs/performance.md).
#include "kernels/cpu/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/product.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After the headers that select the target.
#include <algorithm>
#include <cstddef>

#include "kernels/cpu/product.h"
#include "kernels/cpu/simd_activations-inl.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

/// A register block: its sums occupy 16 of 32 vector registers, or 12 of 16.
constexpr int kRows = kManyRegisters ? 8 : 6;
constexpr int kPanel = 2 * kLanes;  // columns

/// Maximum number of rows (so that a panel fits into the first-level cache) and columns of a packed
/// block of B.
constexpr int kDepth = 256;
constexpr int kColumns = std::max(64, kPanel);

/// Copies at most kPanel floats.
HWY_INLINE void copy_row(const float* from, int count, float* to) {
  int j = 0;
  for (; j + kLanes <= count; j += kLanes) hn::StoreU(hn::LoadU(Tag(), from + j), Tag(), to + j);
  for (; j < count; ++j) to[j] = from[j];
}

/// Packs op(B) [depth, columns], starting at row p0 and column j0, into panels [depth][kPanel],
/// padded with 0.
void pack_b(const Product& product, int p0, int depth, int j0, int columns, float* panels) {
  for (int j = 0; j < columns; j += kPanel) {
    const int width = std::min(kPanel, columns - j);
    if (width < kPanel) std::fill_n(panels, depth * kPanel, 0.0F);
    if (product.transpose_b) {
      for (int column = 0; column < width; ++column) {
        const float* b = product.b + std::ptrdiff_t{j0 + j + column} * product.stride_b + p0;
        for (int p = 0; p < depth; ++p) panels[p * kPanel + column] = b[p];
      }
    } else {
      for (int p = 0; p < depth; ++p) {
        copy_row(product.b + std::ptrdiff_t{p0 + p} * product.stride_b + j0 + j, width,
                 panels + p * kPanel);
      }
    }
    panels += depth * kPanel;
  }
}

/// Destination of a register block's sums.
struct Destination {
  bool accumulate;
  float* c;
  std::ptrdiff_t stride;
  int columns;  // at most the number of columns of the block

  Destination at_row(int row) const { return {accumulate, c + row * stride, stride, columns}; }
};

/// Stores one vector of sums at c in a row of C, of which `columns` columns remain.
HWY_INLINE void store_sums(const Destination& to, Vec sums, float* c, int columns) {
  const Tag d;
  if (columns >= kLanes) {
    if (to.accumulate) sums = hn::Add(hn::LoadU(d, c), sums);
    hn::StoreU(sums, d, c);
    return;
  }
  HWY_ALIGN float values[kLanes];
  hn::Store(sums, d, values);
  for (int j = 0; j < columns; ++j) c[j] = to.accumulate ? c[j] + values[j] : values[j];
}

/// kRowCount rows by kVectors vectors of C; `a` points to the first value of op(A); stride_a is the
/// distance between rows, or between terms if A is transposed.
template <int kRowCount, int kVectors, bool kTransposeA>
HWY_NOINLINE void register_block(const float* a, std::ptrdiff_t stride_a, const float* panel,
                                 int depth, const Destination& to) {
  const Tag d;
  Vec sums[kRowCount][kVectors];
  L2O_UNROLL
  for (int i = 0; i < kRowCount; ++i) {
    L2O_UNROLL
    for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::Zero(d);
  }
  for (int p = 0; p < depth; ++p) {
    Vec b[kVectors];
    L2O_UNROLL
    for (int v = 0; v < kVectors; ++v) b[v] = hn::Load(d, panel + p * kPanel + v * kLanes);
    L2O_UNROLL
    for (int i = 0; i < kRowCount; ++i) {
      const Vec x = broadcast(kTransposeA ? a[p * stride_a + i] : a[i * stride_a + p]);
      L2O_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[i][v] = hn::MulAdd(x, b[v], sums[i][v]);
    }
  }
  L2O_UNROLL
  for (int i = 0; i < kRowCount; ++i) {
    L2O_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int column = v * kLanes;
      if (column < to.columns) {
        store_sums(to, sums[i][v], to.c + i * to.stride + column, to.columns - column);
      }
    }
  }
}

/// All rows of C by one panel, in register blocks of kRowCount rows and then of fewer rows.
template <int kRowCount, int kVectors, bool kTransposeA>
void panel_rows(const float* a, std::ptrdiff_t stride_a, int rows, const float* panel, int depth,
                const Destination& to) {
  const std::ptrdiff_t row_a = kTransposeA ? 1 : stride_a;  // from one row of op(A) to the next
  int row = 0;
  for (; row + kRowCount <= rows; row += kRowCount) {
    register_block<kRowCount, kVectors, kTransposeA>(a + row * row_a, stride_a, panel, depth,
                                                     to.at_row(row));
  }
  if constexpr (kRowCount > 1) {
    if (row < rows) {
      panel_rows<kRowCount / 2, kVectors, kTransposeA>(a + row * row_a, stride_a, rows - row, panel,
                                                       depth, to.at_row(row));
    }
  }
}

template <bool kTransposeA>
void multiply_blocks(const Product& product) {
  alignas(64) float panels[kDepth * kColumns];
  for (int j0 = 0; j0 < product.n; j0 += kColumns) {
    const int columns = std::min(kColumns, product.n - j0);
    int p0 = 0;
    do {  // at least once: with k = 0, the sums are 0
      const int depth = std::min(kDepth, product.k - p0);
      pack_b(product, p0, depth, j0, columns, panels);
      const std::ptrdiff_t stride_a = product.stride_a;
      const float* a = product.a + (kTransposeA ? p0 * stride_a : p0);
      for (int j = 0; j < columns; j += kPanel) {
        const Destination to = {.accumulate = product.accumulate || p0 > 0,
                                .c = product.c + j0 + j,
                                .stride = product.stride_c,
                                .columns = std::min(kPanel, columns - j)};
        const float* panel = panels + std::ptrdiff_t{j} * depth;
        if (to.columns > kLanes) {
          panel_rows<kRows, 2, kTransposeA>(a, stride_a, product.m, panel, depth, to);
        } else {
          panel_rows<kRows, 1, kTransposeA>(a, stride_a, product.m, panel, depth, to);
        }
      }
      p0 += depth;
    } while (p0 < product.k);
  }
}

void multiply_target(const Product& product) {
  if (product.transpose_a) {
    multiply_blocks<true>(product);
  } else {
    multiply_blocks<false>(product);
  }
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace l2o::cpu {

HWY_EXPORT(multiply_target);

void multiply(const Product& product) { HWY_DYNAMIC_DISPATCH(multiply_target)(product); }

}  // namespace l2o::cpu
#endif
