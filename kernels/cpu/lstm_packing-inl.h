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

static_assert(kTile % kLanes == 0);

// Accumulators per block: 20 of 32 vector registers, or 8 to 10 of 16.
inline constexpr int kUnitBlock = kManyRegisters ? 5 : 2;  // units of a forward block, 4 gates each
inline constexpr int kRowBlock = kManyRegisters ? 20 : 10;   // rows of a block of adjoints
inline constexpr int kColumnBlock = kManyRegisters ? 5 : 2;  // weight gradient: columns by 4 gates

/// Covers [0, count) with blocks of kBlock and then, for the rest, of half that, and so on down to
/// 1: visit(std::integral_constant<int, size>, first).
template <int kBlock, class Visit>
HWY_INLINE void for_blocks(int count, const Visit& visit, int first = 0) {
  for (; first + kBlock <= count; first += kBlock) {
    visit(std::integral_constant<int, kBlock>(), first);
  }
  if constexpr (kBlock > 1) {
    if (first < count) for_blocks<kBlock / 2>(count, visit, first);
  }
}

/// z of the activations is an exponent of 2: -x log2(e) for the sigmoids, 2 x log2(e) for tanh.
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
    for_blocks<kUnitBlock>(hidden, [&](auto size, int first) {
      for (int k = 0; k < hidden + below; ++k) {
        for (int unit = first; unit < first + decltype(size)::value; ++unit) {
          for (int gate = 0; gate < 4; ++gate) {
            const int row = gate * hidden + unit;
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
      for_blocks<kRowBlock>(hidden, [&](auto size, int first) {
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
