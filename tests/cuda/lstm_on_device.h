// The random unroll of tests/kernels/lstm_problem.h on a CUDA device, through its backend.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "host/backend/backend.h"
#include "host/backend/buffer.h"
#include "tests/kernels/lstm_problem.h"
#include "tests/support/tolerances.h"

namespace l2o::test {

/// One optimizer with its state on a device; results of the ops are copied to the host.
class LstmOnDevice {
 public:
  LstmOnDevice(Backend& backend, const LstmProblem& problem, const LstmShape& shape)
      : backend_(backend),
        problem_(problem),
        cell_(problem.config()),
        n_(shape.n),
        steps_(shape.steps),
        meta_(backend, problem.meta.size()),
        packed_(backend, backend.packed_bytes(cell_)),
        trace_(backend, problem.trace.size()),
        weights_(backend, problem.weights.size()),
        tile_weights_(backend, problem.tile_weights.size()),
        tile_scales_(backend, problem.tile_scales.size()),
        start_state_(backend, backend.state_bytes(cell_, n_)) {
    meta_.upload(problem.meta);
    trace_.upload(problem.trace);
    weights_.upload(problem.weights);
    tile_weights_.upload(problem.tile_weights);
    tile_scales_.upload(problem.tile_scales);
    backend_.pack({.cell = cell_, .meta = meta_.data(), .packed = packed_.data()});
    set_start_state(problem.start_state);
  }

  void set_start_state(const std::vector<std::vector<float>>& state) {  // [N][S]
    std::vector<float> rows(state.size() * state.front().size());
    for (std::size_t i = 0; i < state.size(); ++i) {
      for (std::size_t s = 0; s < state[i].size(); ++s) rows[s * state.size() + i] = state[i][s];
    }
    const auto n = static_cast<std::int64_t>(state.size());
    backend_.import_state(cell_, n, rows.data(), start_state_.data());
  }
  /// Sets the start state of the padding of the last tile.
  void fill_padding(float value) {
    std::vector<std::vector<float>> state = problem_.start_state;
    state.resize(static_cast<std::size_t>(tile_count(n_) * kTile),
                 std::vector<float>(state.front().size(), value));
    set_start_state(state);
  }
  /// As stored on the device: rounded if its numbers are 16-bit.
  std::vector<std::vector<float>> start_state() const { return state_of(start_state_); }
  Buffer<std::byte>& start_state_buffer() { return start_state_; }

  struct AfterSteps {
    std::vector<std::vector<float>> state;  // [N][S]
    std::vector<float> theta;               // [N]
  };
  /// Runs the first `steps` steps from the start state and theta = 0. `adjust` may use
  /// tile_scales().
  AfterSteps run_steps(
      int steps, const std::function<void(int t, StepArgs&)>& adjust = [](int, StepArgs&) {}) {
    Buffer<std::byte> state(backend_, start_state_.size());
    backend_.copy(state.data(), start_state_.data(), state.bytes());
    Buffer<float> theta(backend_, static_cast<std::size_t>(n_));
    theta.fill_zero();
    for (int t = 0; t < steps; ++t) {
      StepArgs args = {.cell = cell_,
                       .n = n_,
                       .packed = packed_.data(),
                       .gradient = trace_.data() + t * n_,
                       .state = state.data(),
                       .theta = theta.data()};
      adjust(t, args);
      backend_.step(args);
    }
    return {state_of(state), theta.download()};
  }

  /// The problem's scales on the device: [T, tile_count(n)].
  const float* tile_scales() const { return tile_scales_.data(); }

  std::vector<float> meta_gradient(int segment_length = 0) {
    return meta_gradient_of(trace_, 0, segment_length);
  }
  /// The meta-gradient of another trace, whose rows are `stride` apart (0: n).
  std::vector<float> meta_gradient_of(const Buffer<float>& trace, std::int64_t stride,
                                      int segment_length) {
    Buffer<float> result(backend_, problem_.meta.size());
    UnrollBackwardArgs args;
    args.cell = cell_;
    args.n = n_;
    args.unroll_length = steps_;
    args.segment_length =
        segment_length > 0 ? segment_length : backend_.plan_segment_length(cell_, steps_, 0);
    args.packed = packed_.data();
    args.trace = trace.data();
    args.trace_stride = stride;
    args.weights = weights_.data();
    if (!problem_.tile_weights.empty()) args.tile_weights = tile_weights_.data();
    if (tile_weights_.size() > static_cast<std::size_t>(tile_count(n_))) {
      args.tile_weight_stride = tile_count(n_);
    }
    if (!problem_.tile_scales.empty()) args.tile_scales = tile_scales_.data();
    args.tile_scale_stride = tile_count(n_);
    args.start_state = start_state_.data();
    args.meta_gradient = result.data();
    Buffer<std::byte> scratch(backend_, backend_.unroll_backward_scratch_bytes(args));
    args.scratch = scratch.data();
    backend_.unroll_backward(args);
    return result.download();
  }

 private:
  std::vector<std::vector<float>> state_of(const Buffer<std::byte>& buffer) const {
    const auto size = static_cast<std::size_t>(problem_.state_size());
    const auto n = static_cast<std::size_t>(n_);
    std::vector<float> rows(size * n);
    backend_.export_state(cell_, n_, buffer.data(), rows.data());
    std::vector<std::vector<float>> state(n, std::vector<float>(size));
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t s = 0; s < size; ++s) state[i][s] = rows[s * n + i];
    }
    return state;
  }

  Backend& backend_;
  const LstmProblem& problem_;
  CellConfig cell_;
  std::int64_t n_;
  int steps_;
  Buffer<float> meta_;  // [P]
  Buffer<std::byte> packed_;
  Buffer<float> trace_;    // [T+1, N]
  Buffer<float> weights_;  // [T+1]
  Buffer<float> tile_weights_, tile_scales_;
  Buffer<std::byte> start_state_;
};

/// Errors compared to float64, relative to the largest number or to the norm. Values of the
/// preprocessing's state have different magnitudes, so each is compared separately.
struct LstmErrors {
  double state = 0.0, moments = 0.0, theta = 0.0, meta_gradient = 0.0;
};

/// Upper bounds of LstmErrors.
struct LstmBounds {
  double state, theta, meta_gradient;
};
inline LstmBounds lstm_bounds(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return {tolerance::kLstmState, tolerance::kLstmUpdate, tolerance::kSplitMetaGradient};
    case Precision::kMixed:
      return {tolerance::kMixedState, tolerance::kMixedUpdate, tolerance::kMixedMetaGradient};
    case Precision::kHalf:
      return {tolerance::kHalfState, tolerance::kHalfUpdate, tolerance::kHalfMetaGradient};
  }
  return {};
}

inline LstmErrors lstm_errors(const LstmProblem& problem, const LstmShape& shape,
                              const std::vector<std::vector<float>>& start_state,
                              const LstmOnDevice::AfterSteps& steps,
                              const std::vector<float>& meta_gradient) {
  const reference::Lstm lstm = problem.reference_lstm();
  reference::Unroll unroll = problem.reference_unroll();
  LstmErrors errors;
  const auto own = static_cast<std::size_t>(lstm.lstm_state_size());
  const auto size = static_cast<std::size_t>(lstm.state_size());
  std::vector<double> largest(size), error_of(size);  // for each value of the state
  // The terms of an update may cancel. If outputs are bounded, the error is then relative to the
  // magnitude without cancellation; linear outputs are tested with small numbers as well.
  const bool linear = shape.output == Output::kLinear;
  double largest_theta = linear ? 0.0 : double{shape.output_scale};
  for (std::size_t n = 0; n < start_state.size(); ++n) {
    unroll.start_state[n].assign(start_state[n].begin(), start_state[n].end());
    reference::Vector state = unroll.start_state[n];
    double theta = 0.0;
    for (int t = 0; t < shape.steps; ++t) {
      theta += reference::step(lstm, unroll.trace[static_cast<std::size_t>(t)][n], state).update;
    }
    for (std::size_t s = 0; s < state.size(); ++s) {
      largest[s] = std::max(largest[s], std::abs(state[s]));
      error_of[s] = std::max(error_of[s], std::abs(state[s] - double{steps.state[n][s]}));
    }
    largest_theta = std::max(largest_theta, std::abs(theta));
    errors.theta = std::max(errors.theta, std::abs(theta - double{steps.theta[n]}));
  }
  const auto largest_own = [&](const std::vector<double>& values) {
    return *std::max_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(own));
  };
  errors.state = largest_own(error_of) / largest_own(largest);
  for (std::size_t s = own; s < size; ++s) {
    errors.moments = std::max(errors.moments, error_of[s] / largest[s]);
  }
  errors.theta /= largest_theta;

  const reference::Vector expected = problem.reference_meta_gradient(unroll);
  double error = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    error += std::pow(expected[i] - double{meta_gradient[i]}, 2);
    norm += expected[i] * expected[i];
  }
  errors.meta_gradient = std::sqrt(error / norm);
  return errors;
}

/// The meta-gradient of a trace embedded in a wider one, with NaN between its rows.
inline std::vector<float> meta_gradient_of_wide_trace(Backend& backend, LstmOnDevice& device,
                                                      const LstmProblem& problem,
                                                      const LstmShape& shape, int segment_length) {
  const std::size_t n = static_cast<std::size_t>(shape.n), stride = n + 5;
  std::vector<float> wide(stride * (static_cast<std::size_t>(shape.steps) + 1),
                          std::numeric_limits<float>::quiet_NaN());
  for (std::size_t t = 0; t <= static_cast<std::size_t>(shape.steps); ++t) {
    std::copy_n(problem.trace.data() + t * n, n, wide.data() + t * stride);
  }
  Buffer<float> trace(backend, wide.size());
  trace.upload(wide);
  return device.meta_gradient_of(trace, static_cast<std::int64_t>(stride), segment_length);
}

/// Checks the scales of steps described in op_args.h against a float64 sum over the updates of
/// unscaled steps on gradients that are half as large.
inline void expect_scaled_steps(Backend& backend, const LstmShape& shape, double tolerance) {
  LstmProblem problem(shape), halved(shape);
  for (float& gradient : halved.trace) gradient *= 0.5F;
  problem.tile_scales = problem.some_tile_weights(shape.steps);
  const std::int64_t tiles = tile_count(shape.n);
  LstmOnDevice device(backend, problem, shape), plain(backend, halved, shape);
  const auto scaled = device.run_steps(shape.steps, [&](int t, StepArgs& args) {
    args.gradient_scale = 0.5F;
    args.update_scale = 0.7F;
    args.weight_decay = 0.01F;
    args.tile_scales = device.tile_scales() + t * tiles;
  });
  EXPECT_EQ(plain.run_steps(shape.steps).state, scaled.state);
  std::vector<double> theta(static_cast<std::size_t>(shape.n)), before = theta;
  double largest = 0.0;
  for (int t = 0; t < shape.steps; ++t) {
    const std::vector<float> after = plain.run_steps(t + 1).theta;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const std::size_t place = static_cast<std::size_t>(t * tiles) + i / kTile;
      const double update = double{after[i]} - before[i];
      theta[i] += 0.7 * double{problem.tile_scales[place]} * (update - 0.01 * theta[i]);
      before[i] = double{after[i]};
      largest = std::max(largest, std::abs(theta[i]));
    }
  }
  for (std::size_t i = 0; i < theta.size(); ++i) {
    EXPECT_NEAR(double{scaled.theta[i]}, theta[i], tolerance * largest) << i;
  }
}

}  // namespace l2o::test
