// The kernels of the generic driver, for one cell; generic_driver.cu instantiates them for the
// whole list.
//
// Results do not depend on segment_length: every coordinate is replayed by the same arithmetic. A
// thread processes the coordinates of one replay lane in order; the number of lanes depends only on
// N. It sums their gradients in double, and the lanes are added in order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/cells/cell_list.h"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/math/scaled_step.h"
#include "kernels/step_factors.h"

namespace l2o::cuda::generic {

inline constexpr int kThreads = 256;

/// Maximum number of state values of a cell. An array has at least one.
template <class Cell>
constexpr int max_state() {
  CellConfig config;
  config.lstm.layers = LstmConfig::kMaxLayers;
  config.lstm.hidden = LstmConfig::kMaxHidden;
  config.lstm.preprocessing = Preprocessing::kAdamMoments;  // has the largest state
  return std::max(Cell::state_size(config), 1);
}

// ----------------------------------------------------------------------------------------- step

template <class Cell>
__global__ void __launch_bounds__(kThreads)
    generic_step_kernel(StepArgs args, StepFactors factors) {
  const int state_size = Cell::state_size(args.cell);
  const auto* meta = static_cast<const float*>(args.packed);
  const std::int64_t stride = std::int64_t{block_count()} * kThreads;
  for (std::int64_t coordinate = std::int64_t{block_index()} * kThreads + thread_index();
       coordinate < args.n; coordinate += stride) {
    auto* values = static_cast<float*>(args.state);  // null if a rule has no state
    float state[max_state<Cell>()];
    for (int s = 0; s < state_size; ++s) state[s] = values[state_index(state_size, s, coordinate)];
    const float gradient = factors.gradient_scale * args.gradient[coordinate];
    const float update = Cell::forward(args.cell, meta, gradient, &state[0]);
    args.theta[coordinate] =
        scaled_step(args.theta[coordinate], update, factors.update_scale_of(coordinate / kTile),
                    factors.weight_decay);
    for (int s = 0; s < state_size; ++s) values[state_index(state_size, s, coordinate)] = state[s];
  }
}

template <class Cell>
void step_cell(const StepArgs& args, const Device& device) {
  launch("generic_step", generic_step_kernel<Cell>, device,
         {blocks_for(args.n, kThreads, device.resident_blocks(kThreads)), kThreads}, args,
         StepFactors(args));
}

// ------------------------------------------------------------------------------- unroll backward

/// How an unroll backward is divided, and the layout of its scratch: partial gradients [P, lanes]
/// double, then states [checkpoints + segment, S, lanes].
struct BackwardPlan {
  std::int64_t lanes;
  int state_size, meta_size, checkpoints;

  explicit BackwardPlan(const UnrollBackwardArgs& args)
      : lanes(std::min<std::int64_t>(tile_count(args.n) * kTile, kReplayCoordinates)),
        state_size(cell_state_size(args.cell)),
        meta_size(cell_meta_size(args.cell)),
        checkpoints((args.unroll_length - 1) / segment(args) + 1) {}

  static int segment(const UnrollBackwardArgs& args) { return std::max(args.segment_length, 1); }

  std::size_t partial_bytes() const {
    return static_cast<std::size_t>(lanes) * static_cast<std::size_t>(meta_size) * sizeof(double);
  }
  std::size_t bytes(const UnrollBackwardArgs& args) const {
    const auto states = static_cast<std::size_t>(checkpoints + segment(args));
    return partial_bytes() + states * static_cast<std::size_t>(state_size) *
                                 static_cast<std::size_t>(lanes) * sizeof(float);
  }
};

/// The memory of one lane: its element i is `lanes` elements after its element i - 1.
template <class T>
struct LaneMemory {
  T* first;
  std::int64_t lanes;
  L2O_DEVICE T& operator[](std::int64_t i) const { return first[i * lanes]; }
};

/// Replays the unroll of one coordinate and backpropagates through it, last step first.
/// args.trace_stride must not be 0. Adds to partial [P]; states is [checkpoints + segment, S].
template <class Cell>
L2O_DEVICE void backward_coordinate(const UnrollBackwardArgs& args, const UnrollFactors& factors,
                                    int checkpoints, std::int64_t coordinate,
                                    LaneMemory<double> partial, LaneMemory<float> states) {
  const CellConfig& config = args.cell;
  const auto* meta = static_cast<const float*>(args.packed);
  const int state_size = Cell::state_size(config), segment = args.segment_length;
  const std::int64_t tile = coordinate / kTile;
  const auto gradient = [&](int t) { return args.trace[t * args.trace_stride + coordinate]; };
  const auto weighted_gradient = [&](int t) { return factors.weight(t, tile) * gradient(t); };
  float state[max_state<Cell>()];
  const auto save = [&](int row) {
    for (int s = 0; s < state_size; ++s) states[std::int64_t{row} * state_size + s] = state[s];
  };
  const auto load = [&](int row) {
    for (int s = 0; s < state_size; ++s) state[s] = states[std::int64_t{row} * state_size + s];
  };

  // Forward over the whole unroll, keeping the state at the start of every segment. The steps of
  // the last segment are skipped: they are replayed below.
  const auto* start = static_cast<const float*>(args.start_state);
  for (int s = 0; s < state_size; ++s) state[s] = start[state_index(state_size, s, coordinate)];
  const int last_begin = (checkpoints - 1) * segment;
  for (int t = 0; t <= last_begin; ++t) {
    if (t % segment == 0) save(t / segment);
    if (t < last_begin) Cell::forward(config, meta, gradient(t), &state[0]);
  }

  float state_adjoint[max_state<Cell>()] = {};
  float theta_adjoint = weighted_gradient(args.unroll_length);
  for (int checkpoint = checkpoints - 1; checkpoint >= 0; --checkpoint) {
    const int begin = checkpoint * segment;
    const int end = std::min(begin + segment, args.unroll_length);
    load(checkpoint);
    for (int t = begin; t < end; ++t) {
      save(checkpoints + t - begin);  // the state before step t
      if (t + 1 < end) Cell::forward(config, meta, gradient(t), &state[0]);
    }
    for (int t = end - 1; t >= begin; --t) {
      load(checkpoints + t - begin);
      Cell::backward(config, meta, gradient(t), &state[0],
                     factors.update_scale(t, tile) * theta_adjoint, &state_adjoint[0],
                     [&](int i, float value) { partial[i] += double{value}; });
      theta_adjoint += weighted_gradient(t);
    }
  }
}

template <class Cell>
__global__ void __launch_bounds__(kThreads, 2)
    generic_unroll_backward_kernel(UnrollBackwardArgs args, UnrollFactors factors,
                                   BackwardPlan plan, double* partials, float* states) {
  const std::int64_t lane = std::int64_t{block_index()} * kThreads + thread_index();
  if (lane >= plan.lanes) return;
  const LaneMemory<double> partial = {partials + lane, plan.lanes};
  for (int i = 0; i < plan.meta_size; ++i) partial[i] = 0.0;
  for (std::int64_t coordinate = lane; coordinate < args.n; coordinate += plan.lanes) {
    backward_coordinate<Cell>(args, factors, plan.checkpoints, coordinate, partial,
                              {states + lane, plan.lanes});
  }
}

/// For a cell with meta-parameters.
template <class Cell>
void unroll_backward_cell(UnrollBackwardArgs args, const Device& device) {
  args.trace_stride = trace_stride(args);
  const BackwardPlan plan(args);
  auto* const partials = static_cast<double*>(args.scratch);
  auto* const states =
      reinterpret_cast<float*>(static_cast<std::byte*>(args.scratch) + plan.partial_bytes());
  launch("generic_unroll_backward", generic_unroll_backward_kernel<Cell>, device,
         {ceil_div(plan.lanes, kThreads), kThreads}, args, UnrollFactors(args), plan, partials,
         states);
  sum_chunks({.rows = 1,
              .columns = plan.meta_size,
              .chunks = plan.lanes,
              .partials = partials,
              .out = args.meta_gradient,
              .stride = 0},
             device);
}

}  // namespace l2o::cuda::generic
