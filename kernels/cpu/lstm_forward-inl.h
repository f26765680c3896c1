// One step of the LSTM on one tile of coordinates, for the step and for the replay alike.
//
// A tile is kTile / kLanes vectors of coordinates. The work of a layer on one vector is cut into
// blocks of kUnitBlock units: a product (weights broadcast from L1, inputs loaded, the sums of the
// block's gates in registers), then the activations. The product keeps the multipliers busy but
// waits for nothing; activations are long chains of dependent operations. So they are interleaved:
// the activations of one block run between the pieces of the NEXT block's product, which is one of
// another vector of coordinates and so does not need them.
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

static_assert(kTile / kLanes >= 2, "consecutive blocks must be of different vectors");

/// One layer at one step; all pointers to rows, [count][kTile].
struct LayerStep {
  const float* weights;   // packed: LstmLayout::forward
  const float* bias;      // packed: LstmLayout::bias
  const float* below;     // what the layer reads ...
  int below_count;        // ... and how many rows of it
  const float* own;       // h before the step, [H]
  const float* c_before;  // [H]
  float* c_after;         // [H]; may be c_before
  float* h_after;         // [H]; neither own nor below
  float* gates;           // kept for the way back: [unit][gate_stride], 4 rows each; or unused
  std::size_t gate_stride;
  std::size_t next_tile;  // floats from a row of the state to that of the next tile; not with gates
};

/// A block whose product is done and whose activations are not. kKeep: the gates are kept.
template <bool kKeep>
struct PendingBlock {
  int units = 0;  // 0: nothing is pending
  int first_unit = 0;
  int lane = 0;  // of the tile
  LayerStep layer;
  HWY_ALIGN float z[4 * kUnitBlock * kLanes];  // [unit][4 gates][kLanes]
};

/// Activations of unit number `index` of the block. Kept gates are extra: h and c are the same bits
/// with and without.
template <bool kKeep>
HWY_INLINE void activate(PendingBlock<kKeep>& block, int index) {
  const Tag d;
  const LayerStep& layer = block.layer;
  const float* z = block.z + index * 4 * kLanes;
  const int unit = block.first_unit + index;
  const std::size_t at = static_cast<std::size_t>(unit) * kTile + block.lane;

  if constexpr (!kKeep) {
    // The state of a tile is wanted in one burst, and nothing else fetches it early enough; a line
    // or two at a time costs nothing. Behind the last tile a prefetch does nothing.
    hwy::Prefetch(layer.own + at + layer.next_tile);
    hwy::Prefetch(layer.c_before + at + layer.next_tile);
  }
  const Vec one = broadcast(1.0F);
  const Vec i_denominator = sigmoid_denominator(hn::Load(d, z));
  const Vec f = hn::Div(one, sigmoid_denominator(hn::Load(d, z + kLanes)));
  const Vec g_numerator = tanh_numerator(hn::Load(d, z + 2 * kLanes));
  const Vec g_denominator = tanh_denominator(g_numerator);
  const Vec o_denominator = sigmoid_denominator(hn::Load(d, z + 3 * kLanes));
  const Vec i_g = hn::Div(g_numerator, hn::Mul(i_denominator, g_denominator));
  const Vec c = hn::MulAdd(f, hn::Load(d, layer.c_before + at), i_g);
  const Vec tanh_c = tanh_numerator(hn::Mul(c, broadcast(2.0F * kLog2E)));
  const Vec h = hn::Div(tanh_c, hn::Mul(o_denominator, tanh_denominator(tanh_c)));
  hn::Store(c, d, layer.c_after + at);
  hn::Store(h, d, layer.h_after + at);
  if constexpr (kKeep) {
    float* gates = layer.gates + unit * layer.gate_stride + block.lane;
    hn::Store(hn::Div(one, i_denominator), d, gates);
    hn::Store(f, d, gates + kTile);
    hn::Store(hn::Div(g_numerator, g_denominator), d, gates + 2 * kTile);
    hn::Store(hn::Div(one, o_denominator), d, gates + 3 * kTile);
  }
}

/// Finishes the block.
template <bool kKeep>
HWY_INLINE void drain(PendingBlock<kKeep>& block) {
  for (int index = 0; index < block.units; ++index) activate(block, index);
  block.units = 0;
}

/// sums[4 * kUnits] += weights times kRows rows; moves both on.
template <int kUnits, int kRows>
HWY_INLINE void multiply(Vec (&sums)[4 * kUnits], const float*& weights, const float*& rows) {
  L2O_UNROLL
  for (int k = 0; k < kRows; ++k) {
    const Vec x = hn::Load(Tag(), rows + k * kTile);
    L2O_UNROLL
    for (int r = 0; r < 4 * kUnits; ++r) {
      sums[r] = hn::MulAdd(broadcast(weights[k * 4 * kUnits + r]), x, sums[r]);
    }
  }
  weights += kRows * 4 * kUnits;
  rows += kRows * kTile;
}

/// Rows of a product between the activations of two units: of a constant length, since the exits of
/// short loops are mispredicted.
inline constexpr int kPieceRows = 4;

/// The product of one block on the vector at `lane`, and between its pieces the activations of the
/// pending block; this block is pending afterwards.
template <int kUnits, bool kKeep>
HWY_NOINLINE void block_step(const LayerStep& layer, int hidden, int first_unit, int lane,
                             PendingBlock<kKeep>& pending) {
  const int inputs = layer.below_count + hidden;
  Vec sums[4 * kUnits];
  L2O_UNROLL
  for (int r = 0; r < 4 * kUnits; ++r) sums[r] = broadcast(layer.bias[4 * first_unit + r]);

  const float* weights = layer.weights + static_cast<std::size_t>(first_unit) * 4 * inputs;
  const float* rows = layer.own + lane;
  int left = hidden;
  for (int index = 0; index < pending.units; ++index) {
    activate(pending, index);
    if (left >= kPieceRows) {
      multiply<kUnits, kPieceRows>(sums, weights, rows);
      left -= kPieceRows;
    }
  }
  for (; left > 0; --left) multiply<kUnits, 1>(sums, weights, rows);
  rows = layer.below + lane;
  for (left = layer.below_count; left > 0; --left) multiply<kUnits, 1>(sums, weights, rows);

  L2O_UNROLL
  for (int r = 0; r < 4 * kUnits; ++r) hn::Store(sums[r], Tag(), pending.z + r * kLanes);
  pending.units = kUnits;
  pending.first_unit = first_unit;
  pending.lane = lane;
  pending.layer = layer;
}

/// One layer on all vectors of the tile; its last block is pending afterwards.
template <bool kKeep>
HWY_INLINE void layer_step(const LayerStep& layer, int hidden, PendingBlock<kKeep>& pending) {
  for_blocks<kUnitBlock>(hidden, [&](auto size, int first) HWY_ATTR {
    for (int lane = 0; lane < kTile; lane += kLanes) {
      block_step<decltype(size)::value>(layer, hidden, first, lane, pending);
    }
  });
}

/// kOutputs outputs o = w_out . h + b_out: rows, from h [hidden] rows. Their sums run side by side,
/// since each is a chain of additions.
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

/// All of them: out [outputs] rows.
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

/// From the outputs, rows, to the row of updates; `direction` is Adam's, of the modulated output.
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

/// Rows of the next tile's state that no block of a layer fetches.
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

  PendingBlock<false> pending;
  const float* below = inputs;
  for (int l = 0; l < layout.layers; ++l) {
    float* c = state + layout.state_c(l);
    float* h = new_h + l * hidden * kTile;
    layer_step({.weights = packed + layout.forward[l],
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
               hidden, pending);
    below = h;
  }
  drain(pending);

  output_rows(layout, packed, below, outputs);
  updates_of(lstm, outputs, direction, update);
  for (int l = 0; l < layout.layers; ++l) {
    std::copy_n(new_h + l * hidden * kTile, hidden * kTile, state + layout.state_h(l));
  }
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
