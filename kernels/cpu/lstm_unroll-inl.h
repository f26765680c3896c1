// The meta-gradient of one unroll on one tile of coordinates: replays a segment of steps, keeping
// all activations, backpropagates through it, and accumulates the gradient of the weights.
#if defined(L2O_KERNELS_CPU_LSTM_UNROLL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef L2O_KERNELS_CPU_LSTM_UNROLL_INL_H_
#undef L2O_KERNELS_CPU_LSTM_UNROLL_INL_H_
#else
#define L2O_KERNELS_CPU_LSTM_UNROLL_INL_H_
#endif

#include "kernels/cpu/lstm_backward-inl.h"
#include "kernels/cpu/lstm_forward-inl.h"
#include "kernels/step_factors.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

/// One worker's view of an unroll backward; its scratch is reused from tile to tile.
class UnrollTile {
 public:
  UnrollTile(const UnrollBackwardArgs& args, float* scratch)
      : args_(args),
        layout_(args.cell.lstm),
        replay_(layout_, args.unroll_length, args.segment_length),
        preprocess_(args.cell.lstm),
        packed_(static_cast<const float*>(args.packed)),
        scratch_(scratch) {}

  /// Adds the tile's gradient to sums [P], which are in the order of for_each_gradient().
  void add_gradient(std::int64_t tile, double* sums) {
    lanes_ = static_cast<int>(std::min<std::int64_t>(kTile, args_.n - tile * kTile));
    load_trace(tile);
    compute_update_adjoints(tile);
    load_state(static_cast<const float*>(args_.start_state) +
               static_cast<std::size_t>(tile) * layout_.state_size());

    const int last = replay_.segments - 1;
    for (int segment = 0; segment < last; ++segment) {
      save_checkpoint(segment);
      replay(segment);
      load_segment_end(segment);
    }
    for (int l = 0; l < layout_.layers; ++l) {
      const std::size_t size = static_cast<std::size_t>(layout_.hidden) * kTile;
      std::fill_n(scratch_ + replay_.hidden_adjoint[l], size, 0.0F);
      std::fill_n(scratch_ + replay_.cell_adjoint[l], size, 0.0F);
    }
    for (int segment = last; segment >= 0; --segment) {
      if (segment < last) load_checkpoint(segment);
      replay(segment);
      if (args_.cell.lstm.output != Output::kLinear) compute_output_adjoints(segment);
      propagate_back(segment);
      add_weight_gradients(segment, sums);
    }
  }

 private:
  int first_step(int segment) const { return segment * args_.segment_length; }
  int steps(int segment) const {
    return std::min(args_.segment_length, args_.unroll_length - first_step(segment));
  }
  float* rows(std::size_t offset, int first_row = 0) {
    return scratch_ + offset + static_cast<std::size_t>(first_row) * kTile;
  }

  /// Loads the tile's columns of the trace. The padding is 0, so its adjoints are 0 as well.
  void load_trace(std::int64_t tile) {
    const std::int64_t stride = trace_stride(args_);
    for (int t = 0; t <= args_.unroll_length; ++t) {
      const float* source = args_.trace + t * stride + tile * kTile;
      float* row = rows(replay_.trace, t);
      if (lanes_ == kTile) {
        std::copy_n(source, kTile, row);
      } else {
        std::fill(std::copy_n(source, lanes_, row), row + kTile, 0.0F);
      }
    }
  }

  /// Stores output_scale times the adjoint of update[t], for every step t, in the rows of output 0.
  void compute_update_adjoints(std::int64_t tile) {
    const Tag d;
    const UnrollFactors factors(args_);
    const auto weight = [&](int t) {
      return factors.weight(t, tile) * args_.cell.lstm.output_scale;
    };
    for (int lane = 0; lane < kTile; lane += kLanes) {
      Vec lambda = hn::Zero(d);
      for (int t = args_.unroll_length - 1; t >= 0; --t) {
        lambda = hn::MulAdd(broadcast(weight(t + 1)),
                            hn::Load(d, rows(replay_.trace, t + 1) + lane), lambda);
        hn::Store(hn::Mul(lambda, broadcast(factors.update_scale(t, tile))), d,
                  rows(replay_.output_adjoint, t) + lane);
      }
    }
  }

  /// Turns the adjoints of a replayed segment's updates into those of its outputs.
  void compute_output_adjoints(int segment) {
    const Tag d;
    const Vec one = broadcast(1.0F);
    HWY_ALIGN float outputs[LstmConfig::kMaxOutputs * kTile];
    for (int t = 0; t < steps(segment); ++t) {
      output_rows(layout_, packed_,
                  rows(replay_.hidden[layout_.layers - 1], (t + 1) * layout_.hidden), outputs);
      float* const first = rows(replay_.output_adjoint, first_step(segment) + t);
      float* const second = first + replay_.output_adjoint_stride;
      for (int lane = 0; lane < kTile; lane += kLanes) {
        const Vec du = hn::Load(d, first + lane);
        const Vec o = hn::Load(d, outputs + lane);
        if (args_.cell.lstm.output == Output::kTanh) {
          const Vec y = tanh(o);
          hn::Store(hn::Mul(du, hn::NegMulAdd(y, y, one)), d, first + lane);
          continue;
        }
        const Vec y = tanh(hn::Load(d, outputs + kTile + lane));
        const Vec clipped = clamp(o, LstmCell::kLowestModulation, LstmCell::kHighestModulation);
        const Vec slope = hn::Mul(modulation(o), hn::Load(d, rows(replay_.direction, t) + lane));
        const Vec minus_du = hn::Neg(du);
        hn::Store(hn::IfThenElseZero(hn::Eq(o, clipped), hn::Mul(minus_du, slope)), d,
                  first + lane);
        hn::Store(hn::Mul(minus_du, hn::NegMulAdd(y, y, one)), d, second + lane);
      }
    }
  }

  /// Loads a tile of state into the rows before the first step. The padding may hold anything and
  /// is replaced by 0, since 0 times a non-finite value would corrupt the sums.
  void load_state(const float* state) {
    for (int l = 0; l < layout_.layers; ++l) {
      load_rows(state + layout_.state_h(l), layout_.hidden, rows(replay_.hidden[l]));
      load_rows(state + layout_.state_c(l), layout_.hidden, rows(replay_.cell[l]));
    }
    load_rows(state + layout_.state_preprocessing(), layout_.preprocessing,
              rows(replay_.preprocessing));
  }
  void load_rows(const float* source, int count, float* destination) const {
    const std::size_t size = static_cast<std::size_t>(count) * kTile;
    std::copy_n(source, size, destination);
    for (std::size_t row = 0; row < size && lanes_ < kTile; row += kTile) {
      std::fill_n(destination + row + lanes_, kTile - lanes_, 0.0F);
    }
  }

  /// Makes the state after the segment the state before the next one; the preprocessing's state
  /// already is.
  void load_segment_end(int segment) {
    const int row = steps(segment) * layout_.hidden;
    const std::size_t size = static_cast<std::size_t>(layout_.hidden) * kTile;
    for (int l = 0; l < layout_.layers; ++l) {
      std::copy_n(rows(replay_.hidden[l], row), size, rows(replay_.hidden[l]));
      std::copy_n(rows(replay_.cell[l], row), size, rows(replay_.cell[l]));
    }
  }

  float* checkpoint(int segment) {
    return scratch_ + replay_.checkpoints +
           static_cast<std::size_t>(segment) * layout_.state_size();
  }
  void save_checkpoint(int segment) {
    const std::size_t size = static_cast<std::size_t>(layout_.hidden) * kTile;
    for (int l = 0; l < layout_.layers; ++l) {
      std::copy_n(rows(replay_.hidden[l]), size, checkpoint(segment) + layout_.state_h(l));
      std::copy_n(rows(replay_.cell[l]), size, checkpoint(segment) + layout_.state_c(l));
    }
    std::copy_n(rows(replay_.preprocessing), layout_.preprocessing * kTile,
                checkpoint(segment) + layout_.state_preprocessing());
  }
  void load_checkpoint(int segment) { load_state(checkpoint(segment)); }

  /// Runs the segment's steps forward, keeping all intermediate values.
  void replay(int segment) {
    const int hidden = layout_.hidden;
    for (int t = 0; t < steps(segment); ++t) {
      float* inputs = rows(replay_.inputs, t * layout_.inputs);
      preprocess_(rows(replay_.trace, first_step(segment) + t), rows(replay_.preprocessing), inputs,
                  rows(replay_.direction, t));
      const float* below = inputs;
      for (int l = 0; l < layout_.layers; ++l) {
        float* h_after = rows(replay_.hidden[l], (t + 1) * hidden);
        layer_step<true>({.weights = packed_ + layout_.forward[l],
                          .bias = packed_ + layout_.bias[l],
                          .below = below,
                          .below_count = layout_.below(l),
                          .own = rows(replay_.hidden[l], t * hidden),
                          .c_before = rows(replay_.cell[l], t * hidden),
                          .c_after = rows(replay_.cell[l], (t + 1) * hidden),
                          .h_after = h_after,
                          .gates = rows(replay_.gates[l], 4 * t),
                          .gate_stride = replay_.gate_stride,
                          .next_tile = 0},
                         hidden);
        below = h_after;
      }
    }
  }

  /// Turns the segment's gates into dz, last step first; keeps the state's adjoints for the next
  /// segment.
  void propagate_back(int segment) {
    const int hidden = layout_.hidden;
    for (int t = steps(segment) - 1; t >= 0; --t) {
      const OutputAdjoint output = {.count = layout_.outputs,
                                    .w_out = packed_ + layout_.output,
                                    .rows = rows(replay_.output_adjoint, first_step(segment) + t),
                                    .stride = replay_.output_adjoint_stride};
      for (int l = layout_.layers - 1; l >= 0; --l) {
        const LayerAdjoint layer = {.gates = rows(replay_.gates[l], 4 * t),
                                    .gate_stride = replay_.gate_stride,
                                    .c_before = rows(replay_.cell[l], t * hidden),
                                    .h_after = rows(replay_.hidden[l], (t + 1) * hidden),
                                    .dh = rows(replay_.hidden_adjoint[l]),
                                    .dc = rows(replay_.cell_adjoint[l])};
        const bool is_top = l == layout_.layers - 1;
        for (int lane = 0; lane < kTile; lane += kLanes) {
          pointwise_adjoint(layer, hidden, lane, is_top ? output : OutputAdjoint{});
        }
        input_adjoint(packed_ + layout_.backward_own[l], layer, hidden, false, layer.dh);
        if (l > 0) {
          input_adjoint(packed_ + layout_.backward_below[l], layer, hidden, true,
                        rows(replay_.hidden_adjoint[l - 1]));
        }
      }
    }
  }

  void add_weight_gradients(int segment, double* sums) {
    const int hidden = layout_.hidden;
    const ChainSegment chain = {
        .steps = steps(segment), .begins = segment == replay_.segments - 1, .ends = segment == 0};
    float* partial = rows(replay_.partial_sums);
    const std::size_t hidden_stride = static_cast<std::size_t>(hidden) * kTile;
    for (int l = 0; l < layout_.layers; ++l) {
      const LstmLayerLayout& phi = layout_.phi[l];
      const float* dz = rows(replay_.gates[l]);
      const float* below =
          l == 0 ? rows(replay_.inputs) : rows(replay_.hidden[l - 1], hidden);  // h after the step
      const std::size_t below_stride = static_cast<std::size_t>(layout_.below(l)) * kTile;
      weight_gradient(chain, dz, replay_.gate_stride, hidden, below, layout_.below(l), below_stride,
                      partial + phi.weight_ih * kLanes, sums + phi.weight_ih);
      weight_gradient(chain, dz, replay_.gate_stride, hidden, rows(replay_.hidden[l]), hidden,
                      hidden_stride, partial + phi.weight_hh * kLanes, sums + phi.weight_hh);
      bias_gradient(chain, dz, replay_.gate_stride, hidden, partial + phi.bias * kLanes,
                    sums + phi.bias);
    }
    const float* h_after = rows(replay_.hidden[layout_.layers - 1], hidden);
    for (int row = 0; row < layout_.outputs; ++row) {
      const float* output_adjoint = rows(replay_.output_adjoint, first_step(segment)) +
                                    static_cast<std::size_t>(row) * replay_.output_adjoint_stride;
      const std::size_t w_out = layout_.phi_output + static_cast<std::size_t>(row * hidden);
      const std::size_t b_out =
          layout_.phi_output + static_cast<std::size_t>(layout_.outputs * hidden + row);
      output_gradient(chain, output_adjoint, h_after, hidden, partial + w_out * kLanes,
                      sums + w_out);
      output_bias_gradient(chain, output_adjoint, partial + b_out * kLanes, sums + b_out);
    }
  }

  const UnrollBackwardArgs& args_;
  const LstmLayout layout_;
  const ReplayLayout replay_;
  TilePreprocessing preprocess_;
  const float* packed_;
  float* scratch_;
  int lanes_ = kTile;  // coordinates of this tile; the others are padding
};

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
