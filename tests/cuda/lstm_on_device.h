// The random unroll of tests/kernels/lstm_problem.h on a CUDA device, through its backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "host/backend/backend.h"
#include "host/backend/buffer.h"
#include "tests/kernels/lstm_problem.h"

namespace l2o::test {

/// One optimizer with its state on a device; what the ops make of it comes back to the host.
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
        start_state_(backend, backend.state_bytes(cell_, n_)) {
    meta_.upload(problem.meta);
    trace_.upload(problem.trace);
    weights_.upload(problem.weights);
    tile_weights_.upload(problem.tile_weights);
    backend_.pack({.cell = cell_, .meta = meta_.data(), .packed = packed_.data()});
    set_start_state(problem.start_state);
  }

  void set_start_state(const std::vector<std::vector<float>>& state) {  // [N][S]
    std::vector<float> rows(state.size() * state.front().size());
    for (std::size_t i = 0; i < state.size(); ++i) {
      for (std::size_t s = 0; s < state[i].size(); ++s) rows[s * state.size() + i] = state[i][s];
    }
    backend_.import_state(cell_, n_, rows.data(), start_state_.data());
  }
  /// As the device holds it: rounded, where its numbers are short.
  std::vector<std::vector<float>> start_state() const { return state_of(start_state_); }
  Buffer<std::byte>& start_state_buffer() { return start_state_; }

  struct AfterSteps {
    std::vector<std::vector<float>> state;  // [N][S]
    std::vector<float> theta;               // [N]
  };
  /// The first `steps` steps from the start state and theta = 0.
  AfterSteps run_steps(int steps) {
    Buffer<std::byte> state(backend_, start_state_.size());
    backend_.copy(state.data(), start_state_.data(), state.bytes());
    Buffer<float> theta(backend_, static_cast<std::size_t>(n_));
    theta.fill_zero();
    for (int t = 0; t < steps; ++t) {
      backend_.step({.cell = cell_,
                     .n = n_,
                     .packed = packed_.data(),
                     .gradient = trace_.data() + t * n_,
                     .state = state.data(),
                     .theta = theta.data()});
    }
    return {state_of(state), theta.download()};
  }

  std::vector<float> meta_gradient(int segment_length = 0) {
    Buffer<float> result(backend_, problem_.meta.size());
    UnrollBackwardArgs args;
    args.cell = cell_;
    args.n = n_;
    args.unroll_length = steps_;
    args.segment_length =
        segment_length > 0 ? segment_length : backend_.plan_segment_length(cell_, steps_, 0);
    args.packed = packed_.data();
    args.trace = trace_.data();
    args.weights = weights_.data();
    if (!problem_.tile_weights.empty()) args.tile_weights = tile_weights_.data();
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
  Buffer<float> tile_weights_;
  Buffer<std::byte> start_state_;
};

/// How far from float64, each relative to the largest number there is, or to the norm.
struct LstmErrors {
  double state = 0.0, theta = 0.0, meta_gradient = 0.0;
};

inline LstmErrors lstm_errors(const LstmProblem& problem, const LstmShape& shape,
                              const std::vector<std::vector<float>>& start_state,
                              const LstmOnDevice::AfterSteps& steps,
                              const std::vector<float>& meta_gradient) {
  const reference::Lstm lstm = problem.reference_lstm();
  reference::Unroll unroll = problem.reference_unroll();
  LstmErrors errors;
  double largest_state = 0.0, largest_theta = 0.0;
  for (std::size_t n = 0; n < start_state.size(); ++n) {
    unroll.start_state[n].assign(start_state[n].begin(), start_state[n].end());
    reference::Vector state = unroll.start_state[n];
    double theta = 0.0;
    for (int t = 0; t < shape.steps; ++t) {
      theta += reference::step(lstm, unroll.trace[static_cast<std::size_t>(t)][n], state).update;
    }
    for (std::size_t s = 0; s < state.size(); ++s) {
      largest_state = std::max(largest_state, std::abs(state[s]));
      errors.state = std::max(errors.state, std::abs(state[s] - double{steps.state[n][s]}));
    }
    largest_theta = std::max(largest_theta, std::abs(theta));
    errors.theta = std::max(errors.theta, std::abs(theta - double{steps.theta[n]}));
  }
  errors.state /= largest_state;
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

}  // namespace l2o::test
