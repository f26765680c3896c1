// A random unroll of the LSTM, the same for the kernels (float32, in their layouts) and for the
// float64 reference, and functions that run the kernels on it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <ostream>
#include <random>
#include <vector>

#include "hwy/aligned_allocator.h"
#include "kernels/cells/lstm_cell.h"
#include "kernels/cpu/launchers.h"
#include "tests/support/to_reference.h"

namespace l2o {

struct LstmShape {
  int hidden = 20;
  int layers = 2;
  Preprocessing preprocessing = Preprocessing::kLogAndSign;
  int n = 100;
  int steps = 6;
  float output_scale = 0.1F;
  Output output = Output::kLinear;

  friend std::ostream& operator<<(std::ostream& out, const LstmShape& shape) {
    return out << "H=" << shape.hidden << " L=" << shape.layers << " N=" << shape.n
               << " T=" << shape.steps << ", " << preprocessing_name(shape.preprocessing) << ", "
               << output_name(shape.output);
  }
};

/// Aligned like the backend's memory; filled with NaN so that reads of uninitialized values show.
class AlignedFloats {
 public:
  explicit AlignedFloats(std::size_t bytes)
      : size_((bytes + 3) / 4),
        data_(hwy::AllocateAligned<float>(std::max<std::size_t>(size_, 1))) {
    std::fill_n(data_.get(), size_, std::numeric_limits<float>::quiet_NaN());
  }
  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  float& operator[](std::size_t i) { return data_[i]; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  hwy::AlignedFreeUniquePtr<float[]> data_;
};

class LstmProblem {
 public:
  explicit LstmProblem(const LstmShape& shape, unsigned seed = 1)
      : shape_(shape), tiles_((shape.n + kTile - 1) / kTile) {
    config_.lstm = {.layers = shape.layers,
                    .hidden = shape.hidden,
                    .preprocessing = shape.preprocessing,
                    .p = 10.0F,
                    .output = shape.output,
                    .output_scale = shape.output_scale};
    std::mt19937 random(seed);
    const auto uniform = [&](float low, float high) {
      return std::uniform_real_distribution<float>(low, high)(random);
    };
    const float spread = 1.5F / std::sqrt(static_cast<float>(shape.hidden));
    meta.resize(static_cast<std::size_t>(LstmCell::meta_size(config_)));
    for (float& value : meta) value = uniform(-spread, spread);
    // All magnitudes from far below the threshold of log_and_sign upwards, and exact zeros.
    trace.resize(static_cast<std::size_t>(shape.steps + 1) * shape.n);
    for (float& value : trace) {
      value = random() % 16 == 0 ? 0.0F : uniform(-2.0F, 2.0F) * std::exp(uniform(-14.0F, 0.0F));
    }
    weights.resize(static_cast<std::size_t>(shape.steps) + 1);
    for (float& value : weights) value = random() % 4 == 0 ? 0.0F : uniform(0.0F, 2.0F);
    weights.back() = 0.75F;  // otherwise nothing might depend on phi
    start_state.resize(static_cast<std::size_t>(shape.n));
    for (std::vector<float>& state : start_state) {
      state.resize(static_cast<std::size_t>(state_size()));
      for (float& value : state) value = uniform(-1.0F, 1.0F);
      test::make_moments_possible(config_.lstm, state.data());
    }
  }

  const CellConfig& config() const { return config_; }
  int state_size() const { return LstmCell::state_size(config_); }
  std::size_t state_bytes() const {
    return static_cast<std::size_t>(tiles_) * state_size() * kTile * sizeof(float);
  }

  reference::Lstm reference_lstm() const {
    return test::to_reference(config_.lstm, {meta.begin(), meta.end()});
  }
  /// For tile_weights and tile_scales: one value per tile, or per tile and step; includes 0, and
  /// the last value is not 1.
  std::vector<float> some_tile_weights(int steps = 1) const {
    constexpr float kSome[] = {0.5F, 3.0F, 0.0F, 0.01F, 1.0F, 0.7F, 2.0F};
    std::vector<float> some(static_cast<std::size_t>(steps) * static_cast<std::size_t>(tiles_));
    for (std::size_t i = 0; i < some.size(); ++i) some[i] = kSome[i % std::size(kSome)];
    some.back() = 0.3F;
    return some;
  }
  std::vector<float> unit_tile_weights() const {
    return std::vector<float>(static_cast<std::size_t>(tiles_), 1.0F);
  }
  /// In float64, for reference_unroll() or a similar unroll.
  reference::Vector reference_meta_gradient(const reference::Unroll& unroll) const {
    return tile_weights.empty()
               ? reference::meta_gradient(reference_lstm(), unroll)
               : reference::weighted_meta_gradient(reference_lstm(), unroll, kTile, tile_weights);
  }
  reference::Unroll reference_unroll() const {
    reference::Unroll unroll;
    for (int t = 0; t <= shape_.steps; ++t) {
      const auto row = trace.begin() + static_cast<std::ptrdiff_t>(t) * shape_.n;
      unroll.trace.emplace_back(row, row + shape_.n);
    }
    unroll.weights.assign(weights.begin(), weights.end());
    for (int t = 0; t < shape_.steps && !tile_scales.empty(); ++t) {
      unroll.scales.emplace_back();
      for (int n = 0; n < shape_.n; ++n) {
        unroll.scales.back().push_back(tile_scales[std::size_t(t * tiles_ + n / kTile)]);
      }
    }
    for (const auto& state : start_state)
      unroll.start_state.emplace_back(state.begin(), state.end());
    return unroll;
  }

  AlignedFloats packed() const {
    AlignedFloats packed(cpu::lstm_packed_bytes(config_.lstm));
    cpu::lstm_pack({config_, meta.data(), packed.data()});
    return packed;
  }

  /// The start state in tiles; the padding of the last tile holds `padding`.
  AlignedFloats tiled_state(float padding = 0.0F) const {
    AlignedFloats tiled(state_bytes());
    std::fill_n(tiled.data(), tiled.size(), padding);
    for (int n = 0; n < shape_.n; ++n) {
      for (int s = 0; s < state_size(); ++s) tiled[place(n, s)] = start_state[n][s];
    }
    return tiled;
  }
  /// Index of state value s of coordinate n: [tile][S][kTile].
  std::size_t place(int n, int s) const {
    return (static_cast<std::size_t>(n / kTile) * state_size() + s) * kTile + n % kTile;
  }

  /// Runs all steps with lstm_step; adds the updates to theta.
  void run_steps(cpu::ThreadPool& pool, AlignedFloats& state, std::vector<float>& theta) const {
    for (int t = 0; t < shape_.steps; ++t) run_step(pool, t, state, theta);
  }
  void run_step(
      cpu::ThreadPool& pool, int t, AlignedFloats& state, std::vector<float>& theta,
      const std::function<void(StepArgs&)>& adjust = [](StepArgs&) {}) const {
    const AlignedFloats packed_weights = packed();
    StepArgs args;
    args.cell = config_;
    args.n = shape_.n;
    args.packed = packed_weights.data();
    args.gradient = trace.data() + static_cast<std::size_t>(t) * shape_.n;
    args.state = state.data();
    args.theta = theta.data();
    adjust(args);
    cpu::lstm_step(args, pool);
  }

  /// `kept_scratch`, if not null, receives the scratch as the op left it.
  std::vector<float> meta_gradient(cpu::ThreadPool& pool, int segment_length, float padding = 0.0F,
                                   std::vector<float>* kept_scratch = nullptr) const {
    return meta_gradient_of(pool, segment_length, trace.data(), 0, padding, kept_scratch);
  }
  /// For another trace, whose rows are `stride` apart (0: N).
  std::vector<float> meta_gradient_of(cpu::ThreadPool& pool, int segment_length,
                                      const float* other_trace, std::int64_t stride,
                                      float padding = 0.0F,
                                      std::vector<float>* kept_scratch = nullptr) const {
    const AlignedFloats packed_weights = packed(), state = tiled_state(padding);
    std::vector<float> result(meta.size(), std::numeric_limits<float>::quiet_NaN());
    UnrollBackwardArgs args;
    args.cell = config_;
    args.n = shape_.n;
    args.unroll_length = shape_.steps;
    args.segment_length = segment_length;
    args.packed = packed_weights.data();
    args.trace = other_trace;
    args.trace_stride = stride;
    args.weights = weights.data();
    args.tile_weights = tile_weights.empty() ? nullptr : tile_weights.data();
    args.tile_weight_stride = tile_weights.size() > std::size_t(tiles_) ? tiles_ : 0;
    args.tile_scales = tile_scales.empty() ? nullptr : tile_scales.data();
    args.tile_scale_stride = tiles_;
    args.start_state = state.data();
    args.meta_gradient = result.data();
    AlignedFloats scratch(cpu::lstm_unroll_backward_scratch_bytes(args, pool.threads()));
    args.scratch = scratch.data();
    cpu::lstm_unroll_backward(args, pool);
    if (kept_scratch != nullptr)
      kept_scratch->assign(scratch.data(), scratch.data() + scratch.size());
    return result;
  }

  std::vector<float> meta;                      // phi [P]
  std::vector<float> trace;                     // [T+1, N]
  std::vector<float> weights;                   // [T+1]
  std::vector<float> tile_weights;              // [tile_count(N)], [T+1, tile_count(N)], or empty
  std::vector<float> tile_scales;               // [T, tile_count(N)], or empty
  std::vector<std::vector<float>> start_state;  // [N][S]

 private:
  LstmShape shape_;
  int tiles_;
  CellConfig config_;
};

}  // namespace l2o
