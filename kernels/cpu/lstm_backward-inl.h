// The backward pass through the steps of one segment on one tile of coordinates, and the gradient
// of the weights. The adjoints of the pre-activations ("dz") overwrite the gates of a step.
#if defined(L2O_KERNELS_CPU_LSTM_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef L2O_KERNELS_CPU_LSTM_BACKWARD_INL_H_
#undef L2O_KERNELS_CPU_LSTM_BACKWARD_INL_H_
#else
#define L2O_KERNELS_CPU_LSTM_BACKWARD_INL_H_
#endif

#include "kernels/cpu/lstm_packing-inl.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

// ------------------------------------------------------------------------- adjoints of one step

/// One layer at one step; all pointers are to rows.
struct LayerAdjoint {
  float* gates;  // [unit][gate_stride], 4 rows each: in i, f, g, o, out dz
  std::size_t gate_stride;
  const float* c_before;  // [H]
  const float* h_after;   // [H]
  float* dh;              // [H]: in adjoint of h after the step, out: of h before it
  float* dc;              // [H]: likewise of c
};

/// Contribution of the outputs to the adjoint of h: do_0 w_out[unit] + do_1 w_out[H + unit] + ...
struct OutputAdjoint {
  int count;           // outputs; 0 below the top layer
  const float* w_out;  // [count, H]
  const float* rows;   // of the adjoints do, `stride` apart
  std::size_t stride;
};

/// Through the pointwise part: gates become dz, dc becomes the adjoint before the step; dh is only
/// read, and the contribution of the outputs is added to the value read.
HWY_INLINE void pointwise_adjoint(const LayerAdjoint& layer, int hidden, int lane,
                                  const OutputAdjoint& output) {
  const Tag d;
  const Vec one = broadcast(1.0F);
  for (int unit = 0; unit < hidden; ++unit) {
    float* gates = layer.gates + unit * layer.gate_stride + lane;
    const std::size_t at = static_cast<std::size_t>(unit) * kTile + lane;
    const Vec i = hn::Load(d, gates);
    const Vec f = hn::Load(d, gates + kTile);
    const Vec g = hn::Load(d, gates + 2 * kTile);
    const Vec o = hn::Load(d, gates + 3 * kTile);
    const Vec h = hn::Load(d, layer.h_after + at);
    Vec dh = hn::Load(d, layer.dh + at);
    for (int row = 0; row < output.count; ++row) {
      dh = hn::MulAdd(broadcast(output.w_out[row * hidden + unit]),
                      hn::Load(d, output.rows + row * output.stride + lane), dh);
    }
    // tanh(c') = h' / o (o is never 0), so o (1 - tanh^2) = o - h' tanh(c').
    const Vec dc = hn::MulAdd(dh, hn::NegMulAdd(h, hn::Div(h, o), o), hn::Load(d, layer.dc + at));
    const Vec dc_before = hn::Mul(dc, f);
    const Vec dc_i = hn::Mul(dc, i);
    hn::Store(dc_before, d, layer.dc + at);
    hn::Store(hn::Mul(hn::Mul(dc_i, g), hn::Sub(one, i)), d, gates);
    hn::Store(hn::Mul(hn::Mul(dc_before, hn::Load(d, layer.c_before + at)), hn::Sub(one, f)), d,
              gates + kTile);
    hn::Store(hn::Mul(dc_i, hn::NegMulAdd(g, g, one)), d, gates + 2 * kTile);
    hn::Store(hn::Mul(hn::Mul(dh, h), hn::Sub(one, o)), d, gates + 3 * kTile);
  }
}

/// result[kRows] rows (+)= W^T dz, for the block of vectors at the pointers. weights:
/// [unit][4 gates][kRows].
template <int kRows>
HWY_NOINLINE void input_adjoint_block(const float* weights, const float* dz,
                                      std::size_t gate_stride, int hidden, bool add,
                                      float* result) {
  const Tag d;
  Sums<kRows> sums;
  L2O_UNROLL
  for (int r = 0; r < kRows; ++r) {
    L2O_UNROLL
    for (int v = 0; v < kBlockVectors; ++v) {
      sums[r][v] = add ? hn::Load(d, result + r * kTile + v * kLanes) : hn::Zero(d);
    }
  }
  for (int unit = 0; unit < hidden; ++unit) {
    const float* rows = dz + unit * gate_stride;
    multiply<4>(sums, weights, rows);
  }
  store(sums, result);
}

/// Through the matrix product: result [H] rows (+)= W^T dz.
HWY_INLINE void input_adjoint(const float* weights, const LayerAdjoint& layer, int hidden, bool add,
                              float* result) {
  for_blocks<kBlockRows>(hidden, [&](auto size, int first) HWY_ATTR {
    for (int lane = 0; lane < kTile; lane += kBlockVectors * kLanes) {
      input_adjoint_block<decltype(size)::value>(
          weights + static_cast<std::size_t>(first) * 4 * hidden, layer.gates + lane,
          layer.gate_stride, hidden, add, result + first * kTile + lane);
    }
  });
}

// -------------------------------------------------------------------------- gradient of weights
// Every weight's gradient is one chain of additions over the steps of the unroll, last step first,
// independent of the segments: a chain keeps lanes separate; they are added up once per tile and
// then added to the chunk's sums in double. Sums are stored in blocks in the order in which they
// are computed, see for_each_gradient().

/// The steps of one segment, and the start and end of its chains.
struct ChainSegment {
  int steps;
  bool begins;  // last segment in time: chains start at 0, otherwise from `partial`
  bool ends;    // first segment in time: chains are added to `sums`, otherwise kept in `partial`
};

/// Pairwise sums of neighboring lanes, those of a before those of b.
HWY_INLINE Vec add_neighbors(Vec a, Vec b) {
#if HWY_TARGET == HWY_SCALAR  // a single lane has no neighbor
  return hn::Add(a, b);
#else
  const Tag d;
  return hn::Add(hn::ConcatEven(d, b, a), hn::ConcatOdd(d, b, a));
#endif
}

/// sums[r] += sum of the lanes of chains[r], as a tree reduction.
template <int kCount>
HWY_INLINE void add_lanes(Vec (&chains)[kCount], double* sums) {
  HWY_ALIGN float totals[kCount + kLanes];
  L2O_UNROLL
  for (int first = 0; first < kCount; first += kLanes) {
    // After log2(kLanes) rounds, one vector holds the totals of kLanes chains, in order.
    L2O_UNROLL
    for (int lanes = kLanes, left = std::min(kLanes, kCount - first); lanes > 1;
         lanes /= 2, left = (left + 1) / 2) {
      L2O_UNROLL
      for (int r = 0; r < left; r += 2) {
        const Vec a = chains[first + r];
        chains[first + r / 2] = add_neighbors(a, r + 1 < left ? chains[first + r + 1] : a);
      }
    }
    hn::StoreU(chains[first], Tag(), totals + first);
  }
  for (int r = 0; r < kCount; ++r) sums[r] += static_cast<double>(totals[r]);
}

/// Extends kCount chains by the part of this segment, which append(chains) adds.
template <int kCount, class Append>
HWY_INLINE void extend_chains(const ChainSegment& segment, float* partial, double* sums,
                              const Append& append) {
  const Tag d;
  Vec chains[kCount];
  if (segment.begins) {
    L2O_UNROLL
    for (int r = 0; r < kCount; ++r) chains[r] = hn::Zero(d);
  } else {
    L2O_UNROLL
    for (int r = 0; r < kCount; ++r) chains[r] = hn::Load(d, partial + r * kLanes);
  }
  append(chains);
  if (segment.ends) {
    add_lanes(chains, sums);
  } else {
    L2O_UNROLL
    for (int r = 0; r < kCount; ++r) hn::Store(chains[r], d, partial + r * kLanes);
  }
}

/// Gradient of the weights of one unit's gates [4] by columns [kColumns]: sum over steps and lanes
/// of dz times input. dz: [step][4] rows; inputs: input_stride floats from step to step.
template <int kColumns>
HWY_NOINLINE void weight_block(const ChainSegment& segment, const float* dz, const float* inputs,
                               std::size_t input_stride, float* partial, double* sums) {
  extend_chains<4 * kColumns>(segment, partial, sums, [&](Vec(&chains)[4 * kColumns]) HWY_ATTR {
    const Tag d;
    for (int t = segment.steps - 1; t >= 0; --t) {
      const float* dz_t = dz + static_cast<std::size_t>(t) * 4 * kTile;
      const float* inputs_t = inputs + t * input_stride;
      for (int lane = 0; lane < kTile; lane += kLanes) {
        Vec x[kColumns];
        L2O_UNROLL
        for (int c = 0; c < kColumns; ++c) x[c] = hn::Load(d, inputs_t + c * kTile + lane);
        L2O_UNROLL
        for (int gate = 0; gate < 4; ++gate) {
          const Vec value = hn::Load(d, dz_t + gate * kTile + lane);
          L2O_UNROLL
          for (int c = 0; c < kColumns; ++c) {
            chains[gate * kColumns + c] = hn::MulAdd(value, x[c], chains[gate * kColumns + c]);
          }
        }
      }
    }
  });
}

/// Gradient of a matrix [4H, columns] of a layer, at `sums` and `partial`.
HWY_INLINE void weight_gradient(const ChainSegment& segment, const float* dz,
                                std::size_t gate_stride, int hidden, const float* inputs,
                                int columns, std::size_t input_stride, float* partial,
                                double* sums) {
  for_blocks<kColumnBlock>(columns, [&](auto size, int first) HWY_ATTR {
    constexpr int kColumns = decltype(size)::value;
    for (int unit = 0; unit < hidden; ++unit) {
      const std::size_t at = static_cast<std::size_t>(4) * (first * hidden + unit * kColumns);
      weight_block<kColumns>(segment, dz + unit * gate_stride, inputs + first * kTile, input_stride,
                             partial + at * kLanes, sums + at);
    }
  });
}

/// Gradient of the bias [4H] of a layer: sums of dz.
HWY_INLINE void bias_gradient(const ChainSegment& segment, const float* dz, std::size_t gate_stride,
                              int hidden, float* partial, double* sums) {
  for_blocks<kUnitBlock>(hidden, [&](auto units, int first) HWY_ATTR {
    constexpr int kChains = 4 * decltype(units)::value;
    extend_chains<kChains>(segment, partial + 4 * first * kLanes, sums + 4 * first,
                           [&](Vec(&chains)[kChains]) HWY_ATTR {
                             for (int t = segment.steps - 1; t >= 0; --t) {
                               const float* dz_t = dz + first * gate_stride +
                                                   static_cast<std::size_t>(t) * 4 * kTile;
                               for (int lane = 0; lane < kTile; lane += kLanes) {
                                 L2O_UNROLL
                                 for (int r = 0; r < kChains; ++r) {
                                   const float* row = dz_t + r / 4 * gate_stride + r % 4 * kTile;
                                   chains[r] = hn::Add(chains[r], hn::Load(Tag(), row + lane));
                                 }
                               }
                             }
                           });
  });
}

/// Gradient of one value of b_out: sum of output adjoints [step], rows.
HWY_INLINE void output_bias_gradient(const ChainSegment& segment, const float* output_adjoint,
                                     float* partial, double* sum) {
  extend_chains<1>(segment, partial, sum, [&](Vec(&chain)[1]) HWY_ATTR {
    for (int t = segment.steps - 1; t >= 0; --t) {
      for (int lane = 0; lane < kTile; lane += kLanes) {
        chain[0] = hn::Add(chain[0], hn::Load(Tag(), output_adjoint + t * kTile + lane));
      }
    }
  });
}

/// Gradient of one row [H] of w_out: sum of output adjoint times h of the top layer.
HWY_INLINE void output_gradient(const ChainSegment& segment, const float* output_adjoint,
                                const float* h_after, int hidden, float* partial, double* sums) {
  for_blocks<kRowBlock>(hidden, [&](auto size, int first) HWY_ATTR {
    constexpr int kRows = decltype(size)::value;
    extend_chains<kRows>(
        segment, partial + first * kLanes, sums + first, [&](Vec(&chains)[kRows]) HWY_ATTR {
          for (int t = segment.steps - 1; t >= 0; --t) {
            for (int lane = 0; lane < kTile; lane += kLanes) {
              const Vec du = hn::Load(Tag(), output_adjoint + t * kTile + lane);
              const float* h =
                  h_after + static_cast<std::size_t>(t * hidden + first) * kTile + lane;
              L2O_UNROLL
              for (int r = 0; r < kRows; ++r) {
                chains[r] = hn::MulAdd(du, hn::Load(Tag(), h + r * kTile), chains[r]);
              }
            }
          }
        });
  });
}

/// Calls visit(index, place) for all P indices; `place` is the position of the gradient of
/// phi[index] in the sums.
template <class Visit>
inline void for_each_gradient(const LstmLayout& layout, const Visit& visit) {
  const int hidden = layout.hidden;
  for (int l = 0; l < layout.layers; ++l) {
    const auto matrix = [&](int begin, int columns) {
      for_blocks<kColumnBlock>(columns, [&](auto size, int first) {
        constexpr int kColumns = decltype(size)::value;
        int place = begin + 4 * first * hidden;
        for (int unit = 0; unit < hidden; ++unit) {
          for (int gate = 0; gate < 4; ++gate) {
            for (int column = first; column < first + kColumns; ++column) {
              visit(begin + (gate * hidden + unit) * columns + column, place++);
            }
          }
        }
      });
    };
    matrix(layout.phi[l].weight_ih, layout.below(l));
    matrix(layout.phi[l].weight_hh, hidden);
    int place = layout.phi[l].bias;
    for (int unit = 0; unit < hidden; ++unit) {
      for (int gate = 0; gate < 4; ++gate) {
        visit(layout.phi[l].bias + gate * hidden + unit, place++);
      }
    }
  }
  for (int i = static_cast<int>(layout.phi_output); i < static_cast<int>(layout.meta_size); ++i) {
    visit(i, i);
  }
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
