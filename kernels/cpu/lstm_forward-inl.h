// One step of the LSTM on one tile of coordinates, for both the step and the replay.
//
// A layer is processed in blocks of kUnitBlock units: the products of their gates, then their
// activations, for all vectors of the tile. The products keep the multipliers busy. An activation
// is a long chain of dependent operations, so a block has several units and vectors, whose chains a
// CPU runs in parallel.
#if defined(L2O_KERNELS_CPU_LSTM_FORWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef L2O_KERNELS_CPU_LSTM_FORWARD_INL_H_
#undef L2O_KERNELS_CPU_LSTM_FORWARD_INL_H_
#else
#define L2O_KERNELS_CPU_LSTM_FORWARD_INL_H_
#endif

#include "hwy/cache_control.h"
#include "kernels/cpu/lstm_packing-inl.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

/// One layer at one step; pointers are to rows, [count][kTile], unless packed.
struct LayerStep {
  const float* weights;   // packed: LstmLayout::forward
  const float* bias;      // packed: LstmLayout::bias
  const float* below;     // inputs of the layer
  int below_count;        // number of rows of `below`
  const float* own;       // h before the step, [H]
  const float* c_before;  // [H]
  float* c_after;         // [H]; may be c_before
  float* h_after;         // [H]; neither own nor below
  float* gates;           // kept for the backward pass: [unit][gate_stride], 4 rows each; or unused
  std::size_t gate_stride;
  std::size_t next_tile;  // floats to the same row of the next tile's state; unused with gates
};

/// z of kRows gates, as rows, from packed `bias` and `weights`, for the block of vectors at `lane`.
template <int kRows>
HWY_NOINLINE void gate_product(const LayerStep& layer, int hidden, int lane, const float* weights,
                               const float* bias, float* z) {
  Sums<kRows> sums;
  L2O_UNROLL
  for (int r = 0; r < kRows; ++r) std::fill_n(sums[r], kBlockVectors, broadcast(bias[r]));
  const float* rows = layer.own + lane;
  for (int k = 0; k < hidden; ++k) multiply<1>(sums, weights, rows);
  rows = layer.below + lane;
  for (int k = 0; k < layer.below_count; ++k) multiply<1>(sums, weights, rows);
  store(sums, z + lane);
}

/// Computes the new c of a unit from z of its gates, rows, for the vector at `lane`. kKeep: also
/// stores the gates; h and c have the same bits with and without.
template <bool kKeep>
HWY_INLINE void activate_cell(const LayerStep& layer, int unit, int lane, const float* z) {
  const Tag d;
  const std::size_t at = static_cast<std::size_t>(unit) * kTile + lane;
  if constexpr (!kKeep) {
    // The state of a tile is needed in one burst, and nothing else fetches it early enough; a line
    // or two at a time costs nothing. Past the last tile, a prefetch does nothing.
    hwy::Prefetch(layer.own + at + layer.next_tile);
    hwy::Prefetch(layer.c_before + at + layer.next_tile);
  }
  // i = 1 / i_d, f = 1 / f_d and g = g_n / g_d. One division suffices for all three, since the
  // product of the three denominators is at most 2^120.
  const Vec i_d = sigmoid_denominator(hn::Load(d, z + lane));
  const Vec f_d = sigmoid_denominator(hn::Load(d, z + kTile + lane));
  const Vec g_n = tanh_numerator(hn::Load(d, z + 2 * kTile + lane));
  const Vec g_d = tanh_denominator(g_n);
  const Vec i_g_d = hn::Mul(i_d, g_d);
  const Vec inverse = hn::Div(broadcast(1.0F), hn::Mul(f_d, i_g_d));
  const Vec c_before = hn::Load(d, layer.c_before + at);
  hn::Store(hn::Mul(hn::MulAdd(c_before, i_g_d, hn::Mul(f_d, g_n)), inverse), d,
            layer.c_after + at);
  if constexpr (kKeep) {
    float* gates = layer.gates + unit * layer.gate_stride + lane;
    const Vec inverse_i_g_d = hn::Mul(inverse, f_d);
    hn::Store(hn::Mul(inverse_i_g_d, g_d), d, gates);
    hn::Store(hn::Mul(inverse, i_g_d), d, gates + kTile);
    hn::Store(hn::Mul(hn::Mul(inverse_i_g_d, i_d), g_n), d, gates + 2 * kTile);
  }
}

/// Computes the new h of a unit from its new c and z of its output gate.
template <bool kKeep>
HWY_INLINE void activate_hidden(const LayerStep& layer, int unit, int lane, const float* z) {
  const Tag d;
  const std::size_t at = static_cast<std::size_t>(unit) * kTile + lane;
  const Vec o_d = sigmoid_denominator(hn::Load(d, z + 3 * kTile + lane));
  const Vec c = hn::Load(d, layer.c_after + at);
  const Vec tanh_n = tanh_numerator(hn::Mul(c, broadcast(2.0F * kLog2E)));
  const Vec tanh_d = tanh_denominator(tanh_n);
  const Vec inverse = hn::Div(broadcast(1.0F), hn::Mul(o_d, tanh_d));
  hn::Store(hn::Mul(tanh_n, inverse), d, layer.h_after + at);
  if constexpr (kKeep) {
    hn::Store(hn::Mul(inverse, tanh_d), d,
              layer.gates + unit * layer.gate_stride + 3 * kTile + lane);
  }
}

/// Runs one layer on the whole tile.
template <bool kKeep>
HWY_INLINE void layer_step(const LayerStep& layer, int hidden) {
  HWY_ALIGN float z[4 * kUnitBlock * kTile];  // [unit][4 gates] rows
  const float* weights = layer.weights;
  for_blocks<kUnitBlock>(hidden, [&](auto units, int first) HWY_ATTR {
    constexpr int kUnits = decltype(units)::value, kRows = kGateRows<kUnits>;
    static_assert(4 * kUnits % kRows == 0);
    for (int row = 0; row < 4 * kUnits; row += kRows) {
      for (int lane = 0; lane < kTile; lane += kBlockVectors * kLanes) {
        gate_product<kRows>(layer, hidden, lane, weights, layer.bias + 4 * first + row,
                            z + row * kTile);
      }
      weights += kRows * (hidden + layer.below_count);
    }
    for (int i = 0; i < kUnits; ++i) {
      for (int lane = 0; lane < kTile; lane += kLanes) {
        activate_cell<kKeep>(layer, first + i, lane, z + 4 * i * kTile);
      }
    }
    for (int i = 0; i < kUnits; ++i) {
      for (int lane = 0; lane < kTile; lane += kLanes) {
        activate_hidden<kKeep>(layer, first + i, lane, z + 4 * i * kTile);
      }
    }
  });
}

/// kOutputs outputs o = w_out . h + b_out, as rows, from h [hidden] rows. Their sums are
/// interleaved, since each is a chain of dependent additions.
template <int kOutputs>
HWY_INLINE void output_block(const float* w_out, const float* b_out, int hidden, const float* h,
                             float* out) {
  const Tag d;
  constexpr int kVectors = kTile / kLanes;
  Vec sums[kOutputs][kVectors];
  L2O_UNROLL
  for (int i = 0; i < kOutputs; ++i) std::fill_n(sums[i], kVectors, broadcast(b_out[i]));
  for (int unit = 0; unit < hidden; ++unit) {
    L2O_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const Vec x = hn::Load(d, h + unit * kTile + v * kLanes);
      L2O_UNROLL
      for (int i = 0; i < kOutputs; ++i) {
        sums[i][v] = hn::MulAdd(broadcast(w_out[i * hidden + unit]), x, sums[i][v]);
      }
    }
  }
  L2O_UNROLL
  for (int i = 0; i < kOutputs; ++i) {
    L2O_UNROLL
    for (int v = 0; v < kVectors; ++v) hn::Store(sums[i][v], d, out + i * kTile + v * kLanes);
  }
}

/// All outputs: out [outputs] rows.
HWY_INLINE void output_rows(const LstmLayout& layout, const float* packed, const float* h,
                            float* out) {
  const float* w_out = packed + layout.output;
  const float* b_out = w_out + layout.outputs * layout.hidden;
  static_assert(LstmConfig::kMaxOutputs == 2);
  if (layout.outputs == 2) {
    output_block<2>(w_out, b_out, layout.hidden, h, out);
  } else {
    output_block<1>(w_out, b_out, layout.hidden, h, out);
  }
}

/// exp(clip(o, -6, 3)).
HWY_INLINE Vec modulation(Vec o) {
  return exp2(hn::Mul(clamp(o, LstmCell::kLowestModulation, LstmCell::kHighestModulation),
                      broadcast(kLog2E)));
}

/// Computes the row of updates from the outputs, rows; `direction` is Adam's, for the modulated
/// output.
HWY_INLINE void updates_of(const LstmConfig& lstm, const float* outputs, const float* direction,
                           float* update) {
  const Tag d;
  for (int lane = 0; lane < kTile; lane += kLanes) {
    Vec value = hn::Load(d, outputs + lane);
    if (lstm.output == Output::kTanh) value = tanh(value);
    if (lstm.output == Output::kModulated) {
      value = hn::Neg(hn::MulAdd(modulation(value), hn::Load(d, direction + lane),
                                 tanh(hn::Load(d, outputs + kTile + lane))));
    }
    hn::Store(hn::Mul(value, broadcast(lstm.output_scale)), d, update + lane);
  }
}

/// Prefetches rows of the next tile's state that no block of a layer fetches.
HWY_INLINE void prefetch_rows(const float* rows, int count) {
  constexpr int kLineFloats = 64 / sizeof(float);
  for (int i = 0; i < count * kTile; i += kLineFloats) hwy::Prefetch(rows + i);
}

/// One step of a whole tile: state [S] rows in place, and update [1] row out.
inline void tile_step(const LstmConfig& lstm, const LstmLayout& layout,
                      TilePreprocessing& preprocess, const float* packed, const float* gradient,
                      float* state, float* update) {
  const int hidden = layout.hidden;
  HWY_ALIGN float inputs[LstmConfig::kMaxInputs * kTile];
  HWY_ALIGN float direction[kTile];
  HWY_ALIGN float outputs[LstmConfig::kMaxOutputs * kTile];
  HWY_ALIGN float new_h[LstmConfig::kMaxLayers * LstmConfig::kMaxHidden * kTile];
  float* const moments = state + layout.state_preprocessing();
  preprocess(gradient, moments, inputs, direction);
  prefetch_rows(moments + layout.state_size(), layout.preprocessing);

  const float* below = inputs;
  for (int l = 0; l < layout.layers; ++l) {
    float* c = state + layout.state_c(l);
    float* h = new_h + l * hidden * kTile;
    layer_step<false>({.weights = packed + layout.forward[l],
                       .bias = packed + layout.bias[l],
                       .below = below,
                       .below_count = layout.below(l),
                       .own = state + layout.state_h(l),
                       .c_before = c,
                       .c_after = c,
                       .h_after = h,
                       .gates = nullptr,
                       .gate_stride = 0,
                       .next_tile = layout.state_size()},
                      hidden);
    below = h;
  }

  output_rows(layout, packed, below, outputs);
  updates_of(lstm, outputs, direction, update);
  for (int l = 0; l < layout.layers; ++l) {
    std::copy_n(new_h + l * hidden * kTile, hidden * kTile, state + layout.state_h(l));
  }
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
