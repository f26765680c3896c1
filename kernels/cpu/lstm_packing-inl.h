// Register blocking of the tuned LSTM, and the weights in the order in which its blocks read them.
#if defined(L2O_KERNELS_CPU_LSTM_PACKING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef L2O_KERNELS_CPU_LSTM_PACKING_INL_H_
#undef L2O_KERNELS_CPU_LSTM_PACKING_INL_H_
#else
#define L2O_KERNELS_CPU_LSTM_PACKING_INL_H_
#endif

#include "kernels/cpu/lstm_layout.h"
#include "kernels/cpu/simd_preprocessing-inl.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

// Shapes of blocks, by the number of vector registers.
//
// A product's block is kBlockRows rows of weights by kBlockVectors vectors of coordinates. Its sums
// stay in registers; a step of the product loads a vector of each and multiplies all pairs. With 16
// registers, 12 hold sums, 2 coordinates and 1 a weight: 8 loads for 12 multiply-adds. With 32
// registers, 24 hold sums: 14 loads for 24. Both keep two pipes with a latency of 5 cycles busy.
// With a single vector, every multiply-add would load a weight, which two load ports can barely
// sustain.
inline constexpr int kBlockVectors = 2;
inline constexpr int kBlockRows = kManyRegisters ? 12 : 6;
/// Units whose products are computed before their activations; 4 rows each.
inline constexpr int kUnitBlock = 3;
/// Rows of the products' blocks of kUnits units: all of them, or equal parts.
template <int kUnits>
inline constexpr int kGateRows = 4 * kUnits / ((4 * kUnits + kBlockRows - 1) / kBlockRows);
/// Columns of a block of the weights' gradient, by the 4 gates of a unit.
inline constexpr int kColumnBlock = kManyRegisters ? 5 : 3;
/// Rows whose sums over steps are computed together.
inline constexpr int kRowBlock = kManyRegisters ? 20 : 10;
static_assert(kTile % (kBlockVectors * kLanes) == 0);

/// Calls visit(std::integral_constant<int, size>()) for a size from 1 to kMaxSize.
template <int kMaxSize, class Visit>
HWY_INLINE void with_constant(int size, const Visit& visit) {
  if constexpr (kMaxSize > 1) {
    if (size < kMaxSize) {
      with_constant<kMaxSize - 1>(size, visit);
      return;
    }
  }
  visit(std::integral_constant<int, kMaxSize>());
}

/// Covers [0, count) with as few blocks of at most kMaxSize as possible, whose sizes differ by at
/// most 1: calls visit(std::integral_constant<int, size>, first).
template <int kMaxSize, class Visit>
HWY_INLINE void for_blocks(int count, const Visit& visit) {
  int first = 0;
  for (int left = (count + kMaxSize - 1) / kMaxSize; left > 0; --left) {
    const int size = (count - first + left - 1) / left;
    with_constant<kMaxSize>(size, [&](auto constant) HWY_ATTR { visit(constant, first); });
    first += size;
  }
}

/// The sums of a product's block.
template <int kRows>
using Sums = Vec[kRows][kBlockVectors];

/// sums += weights [kDepth][kRows] times kDepth rows; advances both pointers.
template <int kDepth, int kRows>
HWY_INLINE void multiply(Vec (&sums)[kRows][kBlockVectors], const float*& weights,
                         const float*& rows) {
  L2O_UNROLL
  for (int k = 0; k < kDepth; ++k) {
    Vec x[kBlockVectors];
    L2O_UNROLL
    for (int v = 0; v < kBlockVectors; ++v) x[v] = hn::Load(Tag(), rows + k * kTile + v * kLanes);
    L2O_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const Vec weight = broadcast(weights[k * kRows + r]);
      L2O_UNROLL
      for (int v = 0; v < kBlockVectors; ++v) sums[r][v] = hn::MulAdd(weight, x[v], sums[r][v]);
    }
  }
  weights += kDepth * kRows;
  rows += kDepth * kTile;
}

/// Stores the sums as kRows rows.
template <int kRows>
HWY_INLINE void store(const Vec (&sums)[kRows][kBlockVectors], float* rows) {
  L2O_UNROLL
  for (int r = 0; r < kRows; ++r) {
    L2O_UNROLL
    for (int v = 0; v < kBlockVectors; ++v) {
      hn::Store(sums[r][v], Tag(), rows + r * kTile + v * kLanes);
    }
  }
}

/// The activations take z as an exponent of 2: -x log2(e) for the sigmoids, 2 x log2(e) for tanh.
inline constexpr float kGateScale[4] = {-kLog2E, -kLog2E, 2.0F * kLog2E, -kLog2E};

inline void pack(const LstmConfig& lstm, const float* meta, float* packed) {
  const LstmLayout layout(lstm);
  const int hidden = layout.hidden;
  for (int l = 0; l < layout.layers; ++l) {
    const int below = layout.below(l);
    const float* w_ih = meta + layout.phi[l].weight_ih;  // [4H, below]
    const float* w_hh = meta + layout.phi[l].weight_hh;  // [4H, H]
    const float* b = meta + layout.phi[l].bias;          // [4H]
    float* out = packed + layout.forward[l];
    float* bias = packed + layout.bias[l];
    for_blocks<kUnitBlock>(hidden, [&](auto units, int first_unit) {
      constexpr int kUnits = decltype(units)::value, kRows = kGateRows<kUnits>;
      for (int first_row = 0; first_row < 4 * kUnits; first_row += kRows) {
        for (int k = 0; k < hidden + below; ++k) {
          for (int i = first_row; i < first_row + kRows; ++i) {
            const int gate = i % 4, row = gate * hidden + first_unit + i / 4;
            const float w = k < hidden ? w_hh[row * hidden + k] : w_ih[row * below + k - hidden];
            *out++ = kGateScale[gate] * w;
          }
        }
      }
    });
    for (int unit = 0; unit < hidden; ++unit) {
      for (int gate = 0; gate < 4; ++gate) *bias++ = kGateScale[gate] * b[gate * hidden + unit];
    }

    const auto pack_backward = [&](const float* weights, float* destination) {  // [4H, H]
      for_blocks<kBlockRows>(hidden, [&](auto size, int first) {
        for (int unit = 0; unit < hidden; ++unit) {
          for (int gate = 0; gate < 4; ++gate) {
            for (int column = first; column < first + decltype(size)::value; ++column) {
              *destination++ = weights[(gate * hidden + unit) * hidden + column];
            }
          }
        }
      });
    };
    pack_backward(w_hh, packed + layout.backward_own[l]);
    if (l > 0) pack_backward(w_ih, packed + layout.backward_below[l]);
  }
  std::copy_n(meta + layout.phi_output, layout.outputs * (hidden + 1), packed + layout.output);
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
