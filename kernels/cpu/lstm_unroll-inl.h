// The meta-gradient of one unroll on one tile of coordinates: replay a segment of steps with all
// its activations kept, go back through it, add up the gradient of the weights.
#if defined(L2O_KERNELS_CPU_LSTM_UNROLL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef L2O_KERNELS_CPU_LSTM_UNROLL_INL_H_
#undef L2O_KERNELS_CPU_LSTM_UNROLL_INL_H_
#else
#define L2O_KERNELS_CPU_LSTM_UNROLL_INL_H_
#endif

#include "kernels/cpu/lstm_backward-inl.h"
#include "kernels/cpu/lstm_forward-inl.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

/// One worker's view of an unroll backward; its scratch is reused from tile to tile.
class UnrollTile {
 public:
  UnrollTile(const UnrollBackwardArgs& args, float* scratch)
      : args_(args),
        layout_(args.cell.lstm),
        replay_(layout_, args.unroll_length, args.segment_length),
        log_and_sign_(args.cell.lstm.p),
        packed_(static_cast<const float*>(args.packed)),
        scratch_(scratch) {}

  /// Adds the tile's gradient to sums [P], which stand in the order of for_each_gradient().
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

  /// The tile's columns of the trace, the padding 0: so the padding's adjoints are 0 as well.
  void load_trace(std::int64_t tile) {
    for (int t = 0; t <= args_.unroll_length; ++t) {
      const float* source = args_.trace + t * args_.n + tile * kTile;
      float* row = rows(replay_.trace, t);
      if (lanes_ == kTile) {
        std::copy_n(source, kTile, row);
      } else {
        std::fill(std::copy_n(source, lanes_, row), row + kTile, 0.0F);
      }
    }
  }

  /// output_scale * lambda[t+1] for every step t, lambda being the adjoint of theta.
  void compute_update_adjoints(std::int64_t tile) {
    const Tag d;
    const float tile_weight = args_.tile_weights == nullptr ? 1.0F : args_.tile_weights[tile];
    for (int lane = 0; lane < kTile; lane += kLanes) {
      Vec lambda = hn::Zero(d);
      for (int t = args_.unroll_length - 1; t >= 0; --t) {
        const float weight = args_.weights[t + 1] * tile_weight * args_.cell.lstm.output_scale;
        lambda =
            hn::MulAdd(broadcast(weight), hn::Load(d, rows(replay_.trace, t + 1) + lane), lambda);
        hn::Store(lambda, d, rows(replay_.update_adjoint, t) + lane);
      }
    }
  }

  /// A tile of state into the rows before the first step. The padding may hold anything: it is
  /// replaced by 0, since 0 times something not finite would spoil the sums.
  void load_state(const float* state) {
    const std::size_t size = static_cast<std::size_t>(layout_.hidden) * kTile;
    for (int l = 0; l < layout_.layers; ++l) {
      float* const destinations[] = {rows(replay_.hidden[l]), rows(replay_.cell[l])};
      const float* const sources[] = {state + layout_.state_h(l), state + layout_.state_c(l)};
      for (int part = 0; part < 2; ++part) {
        std::copy_n(sources[part], size, destinations[part]);
        for (std::size_t row = 0; row < size && lanes_ < kTile; row += kTile) {
          std::fill_n(destinations[part] + row + lanes_, kTile - lanes_, 0.0F);
        }
      }
    }
  }

  /// The state after the segment becomes the state before the next.
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
  }
  void load_checkpoint(int segment) { load_state(checkpoint(segment)); }

  /// Runs the segment's steps forward, keeping everything.
  void replay(int segment) {
    const int hidden = layout_.hidden;
    PendingBlock<true> pending;
    for (int t = 0; t < steps(segment); ++t) {
      float* inputs = rows(replay_.inputs, t * layout_.inputs);
      preprocess(args_.cell.lstm, log_and_sign_, rows(replay_.trace, first_step(segment) + t),
                 inputs);
      const float* below = inputs;
      for (int l = 0; l < layout_.layers; ++l) {
        float* h_after = rows(replay_.hidden[l], (t + 1) * hidden);
        layer_step({.weights = packed_ + layout_.forward[l],
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
                   hidden, pending);
        below = h_after;
      }
    }
    drain(pending);
  }

  /// Turns the segment's gates into dz, last step first; the state's adjoints stay for the next.
  void propagate_back(int segment) {
    const int hidden = layout_.hidden;
    for (int t = steps(segment) - 1; t >= 0; --t) {
      const float* output_adjoint = rows(replay_.update_adjoint, first_step(segment) + t);
      for (int l = layout_.layers - 1; l >= 0; --l) {
        const LayerAdjoint layer = {.gates = rows(replay_.gates[l], 4 * t),
                                    .gate_stride = replay_.gate_stride,
                                    .c_before = rows(replay_.cell[l], t * hidden),
                                    .h_after = rows(replay_.hidden[l], (t + 1) * hidden),
                                    .dh = rows(replay_.hidden_adjoint[l]),
                                    .dc = rows(replay_.cell_adjoint[l])};
        const float* w_out = l == layout_.layers - 1 ? packed_ + layout_.output : nullptr;
        for (int lane = 0; lane < kTile; lane += kLanes) {
          pointwise_adjoint(layer, hidden, lane, w_out, output_adjoint);
          input_adjoint(packed_ + layout_.backward_own[l], layer, hidden, lane, false, layer.dh);
          if (l > 0) {
            input_adjoint(packed_ + layout_.backward_below[l], layer, hidden, lane, true,
                          rows(replay_.hidden_adjoint[l - 1]));
          }
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
      for (int unit = 0; unit < hidden; ++unit) {
        const int at = phi.bias + 4 * unit;
        row_sums<4>(chain, dz + unit * replay_.gate_stride, 4 * kTile, partial + at * kLanes,
                    sums + at);
      }
    }
    const float* output_adjoint = rows(replay_.update_adjoint, first_step(segment));
    const float* h_after = rows(replay_.hidden[layout_.layers - 1], hidden);
    const std::size_t w_out = layout_.phi_output;
    const std::size_t b_out = w_out + static_cast<std::size_t>(hidden);
    output_gradient(chain, output_adjoint, h_after, hidden, partial + w_out * kLanes, sums + w_out);
    row_sums<1>(chain, output_adjoint, kTile, partial + b_out * kLanes, sums + b_out);
  }

  const UnrollBackwardArgs& args_;
  const LstmLayout layout_;
  const ReplayLayout replay_;
  const LogAndSign log_and_sign_;
  const float* packed_;
  float* scratch_;
  int lanes_ = kTile;  // coordinates of this tile; the others are padding
};

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
