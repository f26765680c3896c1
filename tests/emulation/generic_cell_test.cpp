// The kernels of the generic driver with a cell that has a state and meta-parameters: the LSTM,
// also where its layers have their own kernels.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/cpu/launchers.h"
#include "kernels/cuda/generic_driver.cuh"
#include "tests/cuda/on_both.h"
#include "tests/support/to_reference.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::numbers;
using test::OnBackend;

/// State of n coordinates in tiles.
std::vector<float> random_state(const CellConfig& config, std::int64_t n) {
  const int state_size = LstmCell::state_size(config);
  std::vector<float> state = numbers(4, tile_count(n) * kTile * state_size);
  for (std::int64_t i = 0; i < tile_count(n) * kTile; ++i) {
    test::make_moments_possible(config.lstm, state.data() + state_index(state_size, 0, i), kTile);
  }
  return state;
}

class GenericCell : public testing::Test {
 protected:
  GenericCell() {
    device_.stream = static_cast<cudaStream_t>(backend_->stream());
    device_.multiprocessors = 2;
  }

  static CellConfig cell(int hidden, int layers) {
    CellConfig config;
    config.lstm.hidden = hidden;
    config.lstm.layers = layers;
    return config;
  }

  /// With the moments and outputs of a modulated rule.
  static CellConfig modulated(int hidden, int layers) {
    CellConfig config = cell(hidden, layers);
    config.lstm.preprocessing = Preprocessing::kAdamMoments;
    config.lstm.output = Output::kModulated;
    return config;
  }

  /// RNNProp's.
  static CellConfig projected(int hidden, int layers) {
    CellConfig config = cell(hidden, layers);
    config.lstm.preprocessing = Preprocessing::kMoments;
    config.lstm.output = Output::kTanh;
    config.lstm.input_projection = 4;
    return config;
  }

  std::unique_ptr<Backend> backend_ = test::cuda_backend();
  cuda::Device device_ = cuda::describe_device(0);
};

TEST_F(GenericCell, StepsMatchTheCpuBitForBit) {
  for (const CellConfig& config : {cell(3, 2), modulated(3, 2), projected(3, 2)}) {
    const std::vector<float> meta = numbers(1, LstmCell::meta_size(config));
    for (const std::int64_t n : {1, 33, 5000}) {
      std::vector<float> state = random_state(config, n);
      std::vector<float> theta = numbers(3, n), gradient = numbers(2, n);
      StepArgs args = {.cell = config, .n = n};
      OnBackend<float> gpu_meta(*backend_, meta), gpu_state(*backend_, state);
      OnBackend<float> gpu_theta(*backend_, theta), gpu_gradient(*backend_, gradient);
      args.packed = gpu_meta.data();
      args.gradient = gpu_gradient.data();
      args.state = gpu_state.data();
      args.theta = gpu_theta.data();
      cuda::generic::step_cell<LstmCell>(args, device_);

      cpu::ThreadPool pool(1);
      args.packed = meta.data();
      args.gradient = gradient.data();
      args.state = state.data();
      args.theta = theta.data();
      cpu::generic_step(args, pool);
      EXPECT_TRUE(test::same_bits(gpu_theta.values(), theta)) << "n " << n;
      EXPECT_TRUE(test::same_bits(gpu_state.values(), state)) << "n " << n;
    }
  }
}

/// An unroll with all its inputs.
struct GenericUnroll {
  UnrollBackwardArgs args;
  std::vector<float> meta, trace, weights, start_state;

  GenericUnroll(const CellConfig& config, std::int64_t n, int steps)
      : meta(numbers(1, LstmCell::meta_size(config))),
        trace(numbers(2, (steps + 1) * n)),
        weights(numbers(3, steps + 1)),
        start_state(random_state(config, n)) {
    args.cell = config;
    args.n = n;
    args.unroll_length = steps;
  }

  std::vector<float> on_cuda(Backend& backend, const cuda::Device& device, int segment) {
    OnBackend<float> gpu_meta(backend, meta), gpu_trace(backend, trace);
    OnBackend<float> gpu_weights(backend, weights), gpu_state(backend, start_state);
    OnBackend<float> gradient(backend, numbers(5, std::int64_t(meta.size())));
    args.segment_length = segment;
    args.packed = gpu_meta.data();
    args.trace = gpu_trace.data();
    args.weights = gpu_weights.data();
    args.start_state = gpu_state.data();
    args.meta_gradient = gradient.data();
    // Filled with NaN: nothing may be read before it is written.
    OnBackend<double> scratch(
        backend,
        std::vector<double>(cuda::generic::BackwardPlan(args).bytes(args) / sizeof(double) + 1,
                            std::numeric_limits<double>::quiet_NaN()));
    args.scratch = scratch.data();
    cuda::generic::unroll_backward_cell<LstmCell>(args, device);
    return gradient.values();
  }

  std::vector<float> on_cpu() {
    cpu::ThreadPool pool(2);
    std::vector<float> gradient(meta.size());
    args.segment_length = args.unroll_length;
    args.packed = meta.data();
    args.trace = trace.data();
    args.weights = weights.data();
    args.start_state = start_state.data();
    args.meta_gradient = gradient.data();
    std::vector<double> scratch(
        cpu::generic_unroll_backward_scratch_bytes(args, 2) / sizeof(double) + 1);
    args.scratch = scratch.data();
    cpu::generic_unroll_backward(args, pool);
    return gradient;
  }
};

TEST_F(GenericCell, MetaGradientMatchesTheCpuForEverySegmentLength) {
  for (const CellConfig& config : {cell(3, 2), modulated(3, 2), projected(3, 2)}) {
    for (const auto& [n, steps] : {std::pair{1, 1}, {70, 7}, {1000, 5}}) {
      GenericUnroll unroll(config, n, steps);
      const std::vector<float> whole = unroll.on_cuda(*backend_, device_, steps);
      EXPECT_LE(test::distance(whole, unroll.on_cpu()), tolerance::kDoubleSum) << "n " << n;
      for (int segment = 1; segment < steps; ++segment) {
        EXPECT_TRUE(test::same_bits(unroll.on_cuda(*backend_, device_, segment), whole))
            << "n " << n << ", segment " << segment;
      }
    }
  }
}

TEST_F(GenericCell, MoreCoordinatesThanAreReplayedAtATime) {
  GenericUnroll unroll(cell(1, 1), cuda::kReplayCoordinates + 40, 2);
  EXPECT_LE(test::distance(unroll.on_cuda(*backend_, device_, 1), unroll.on_cpu()),
            tolerance::kDoubleSum);
}

}  // namespace
}  // namespace l2o
