// The LSTM without tensor cores on a CUDA device: accuracy compared to float64, and bit-identical
// results. The shapes have no tensor-core kernels.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "kernels/cells/cell_list.h"
#include "tests/cuda/cuda_device.h"
#include "tests/cuda/lstm_on_device.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::LstmOnDevice;

constexpr Preprocessing kLog = Preprocessing::kLogAndSign, kRaw = Preprocessing::kIdentity,
                        kMoments = Preprocessing::kMoments, kAdam = Preprocessing::kAdamMoments;

LstmShape modulated(int hidden, int layers, int n, int steps) {
  return {hidden, layers, kAdam, n, steps, 0.1F, Output::kModulated};
}

class PortableLstm : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
    backend_ = test::cuda_backend();
  }

  /// Compares state and theta after all steps, and the meta-gradient, to float64.
  void expect_float64(const LstmShape& shape, int segment_length) {
    SCOPED_TRACE(testing::Message() << shape << ", segments of " << segment_length);
    LstmProblem problem(shape);
    if (shape.n == 1) problem.trace.back() = 0.5F;  // a 0 would make the whole meta-gradient 0
    LstmOnDevice device(*backend_, problem, shape);
    const test::LstmErrors errors =
        test::lstm_errors(problem, shape, device.start_state(), device.run_steps(shape.steps),
                          device.meta_gradient(segment_length));
    EXPECT_LE(errors.state, tolerance::kLstmState);
    EXPECT_LE(errors.moments, tolerance::kLstmState);
    EXPECT_LE(errors.theta, tolerance::kLstmUpdate);
    EXPECT_LE(errors.meta_gradient, tolerance::kMetaGradient);
  }

  std::unique_ptr<Backend> backend_;
};

class PortableLstmShapes
    : public PortableLstm,
      public testing::WithParamInterface<std::tuple<int, int, Preprocessing, Output>> {};

TEST_P(PortableLstmShapes, AgreesWithFloat64) {
  const auto [hidden, layers, preprocessing, output] = GetParam();
  const auto expect = [&, h = hidden, l = layers, p = preprocessing, o = output](
                          int n, int steps, int segment_length) {
    expect_float64({h, l, p, n, steps, 0.1F, o}, segment_length);
  };
  expect(1, 1, 1);
  expect(31, 1, 1);
  expect(33, 6, 4);
  if (hidden * layers <= 60) {
    expect(32, 6, 6);
    expect(150, 6, 2);
  }
}

std::string shape_name(const testing::TestParamInfo<PortableLstmShapes::ParamType>& info) {
  return fmt::format("h{}_l{}", std::get<0>(info.param), std::get<1>(info.param));
}
INSTANTIATE_TEST_SUITE_P(LogAndSign, PortableLstmShapes,
                         testing::Combine(testing::Values(1, 5, 13, 21, 33, 64),
                                          testing::Values(1, 2, 3), testing::Values(kLog),
                                          testing::Values(Output::kLinear)),
                         shape_name);
INSTANTIATE_TEST_SUITE_P(Identity, PortableLstmShapes,
                         testing::Combine(testing::Values(1, 5, 13, 20, 33, 64),
                                          testing::Values(1, 2, 3), testing::Values(kRaw),
                                          testing::Values(Output::kLinear)),
                         shape_name);
INSTANTIATE_TEST_SUITE_P(MomentsTanh, PortableLstmShapes,
                         testing::Combine(testing::Values(1, 8, 33), testing::Values(1, 2, 3),
                                          testing::Values(kMoments),
                                          testing::Values(Output::kTanh)),
                         shape_name);
INSTANTIATE_TEST_SUITE_P(Modulated, PortableLstmShapes,
                         testing::Combine(testing::Values(1, 3, 5, 32, 64),
                                          testing::Values(1, 2, 3), testing::Values(kAdam),
                                          testing::Values(Output::kModulated)),
                         shape_name);
// Pairs that have no tensor-core kernels although one of the two would.
INSTANTIATE_TEST_SUITE_P(LogAndSignTanh, PortableLstmShapes,
                         testing::Combine(testing::Values(20), testing::Values(1),
                                          testing::Values(kLog), testing::Values(Output::kTanh)),
                         shape_name);
INSTANTIATE_TEST_SUITE_P(AdamMomentsLinear, PortableLstmShapes,
                         testing::Combine(testing::Values(20), testing::Values(1),
                                          testing::Values(kAdam), testing::Values(Output::kLinear)),
                         shape_name);

// More coordinates than are processed in scratch at once.
TEST_F(PortableLstm, ManyCoordinatesAgreeWithFloat64) {
  expect_float64({2, 1, kLog, 70001, 1}, 1);
  expect_float64({5, 2, kRaw, 5000, 3}, 2);
}

TEST_F(PortableLstm, TileWeightsMultiplyTheirGradients) {
  // The last one exceeds the number processed in scratch at once.
  for (const LstmShape& shape : {LstmShape{5, 2, kRaw, 33, 4},
                                 {13, 1, kLog, 300, 3},
                                 {2, 1, kLog, 70001, 1},
                                 modulated(5, 2, 150, 3)}) {
    SCOPED_TRACE(testing::Message() << shape);
    LstmProblem problem(shape);
    const auto meta_gradient = [&](std::vector<float> tile_weights) {
      problem.tile_weights = std::move(tile_weights);
      return LstmOnDevice(*backend_, problem, shape).meta_gradient(2);
    };
    EXPECT_EQ(meta_gradient(problem.unit_tile_weights()), meta_gradient({}));
    const std::vector<float> result = meta_gradient(problem.some_tile_weights());
    LstmOnDevice device(*backend_, problem, shape);
    EXPECT_LE(test::lstm_errors(problem, shape, device.start_state(), device.run_steps(shape.steps),
                                result)
                  .meta_gradient,
              tolerance::kMetaGradient);
  }
}

TEST_F(PortableLstm, WeightsAndScalesMayVaryByStep) {
  for (const LstmShape& shape : {LstmShape{5, 2, kRaw, 150, 5},
                                 LstmShape{13, 1, kLog, 70, 4},
                                 {2, 1, kLog, 70001, 1},
                                 modulated(5, 2, 150, 5)}) {
    SCOPED_TRACE(testing::Message() << shape);
    LstmProblem problem(shape);
    problem.tile_weights = problem.some_tile_weights(shape.steps + 1);
    problem.tile_scales = problem.some_tile_weights(shape.steps);
    LstmOnDevice device(*backend_, problem, shape);
    const std::vector<float> result = device.meta_gradient(2);
    EXPECT_LE(test::lstm_errors(problem, shape, device.start_state(), device.run_steps(shape.steps),
                                result)
                  .meta_gradient,
              tolerance::kMetaGradient);
    EXPECT_EQ(device.meta_gradient(1), result);
  }
}

TEST_F(PortableLstm, TraceRowsMayBeStrided) {
  for (const LstmShape& shape : {LstmShape{5, 2, kRaw, 70, 5}, modulated(5, 2, 70, 5)}) {
    const LstmProblem problem(shape);
    LstmOnDevice device(*backend_, problem, shape);
    EXPECT_EQ(test::meta_gradient_of_wide_trace(*backend_, device, problem, shape, 2),
              device.meta_gradient(2))
        << shape;
  }
}

TEST_F(PortableLstm, StepsScaleGradientUpdateAndDecay) {
  for (const LstmShape& shape : {LstmShape{5, 2, kRaw, 70, 3}, modulated(5, 2, 70, 3)}) {
    SCOPED_TRACE(testing::Message() << shape);
    test::expect_scaled_steps(*backend_, shape, tolerance::kLstmUpdate);
  }
}

// Large and small n use different numbers of coordinates per thread.
TEST_F(PortableLstm, CoordinateDoesNotDependOnN) {
  for (const LstmShape& few : {LstmShape{13, 2, kLog, 33, 2}, modulated(5, 1, 33, 2)}) {
    LstmShape many = few;
    many.n = 40000;
    const LstmProblem large(many);
    for (const int n : {600, 1100, 20000, 40000}) {
      LstmShape shape = few;
      std::vector<LstmOnDevice::AfterSteps> results;
      for (const int count : {few.n, n}) {
        shape.n = count;
        LstmProblem problem(shape);
        problem.meta = large.meta;
        problem.weights = large.weights;
        problem.start_state.assign(large.start_state.begin(), large.start_state.begin() + count);
        for (int t = 0; t <= shape.steps; ++t) {
          std::copy_n(large.trace.begin() + t * many.n, count, problem.trace.begin() + t * count);
        }
        results.push_back(LstmOnDevice(*backend_, problem, shape).run_steps(shape.steps));
      }
      results[1].state.resize(results[0].state.size());
      results[1].theta.resize(results[0].theta.size());
      EXPECT_EQ(results[1].state, results[0].state) << shape;
      EXPECT_EQ(results[1].theta, results[0].theta) << shape;
    }
  }
}

TEST_F(PortableLstm, SegmentsAndRepetitionKeepTheBits) {
  for (const LstmShape& shape :
       {LstmShape{5, 3, kRaw, 70, 7}, LstmShape{33, 2, kLog, 70, 4},
        LstmShape{13, 1, kLog, 1100, 3}, LstmShape{1, 1, kRaw, 66000, 2}, modulated(5, 2, 1100, 5),
        LstmShape{5, 1, kMoments, 70, 4, 0.1F, Output::kTanh}}) {
    const LstmProblem problem(shape);
    LstmOnDevice device(*backend_, problem, shape);
    const std::vector<float> expected = device.meta_gradient(shape.steps);
    for (int segment = 1; segment <= shape.steps; ++segment) {
      EXPECT_EQ(device.meta_gradient(segment), expected) << shape << ", segments of " << segment;
    }
    const auto steps = device.run_steps(shape.steps), again = device.run_steps(shape.steps);
    EXPECT_EQ(again.state, steps.state) << shape;
    EXPECT_EQ(again.theta, steps.theta) << shape;
  }
}

// Weights and gradients are chosen such that the update of one coordinate in one step has the
// adjoint 1 and all others have 0. Then the gradient of w_out is the replay's h of the top layer.
TEST_F(PortableLstm, ReplayMatchesTheForwardPassBitForBit) {
  for (const LstmShape& shape :
       {LstmShape{20, 2, kRaw, 70, 5, 1.0F}, LstmShape{33, 3, kLog, 33, 5, 1.0F}}) {
    for (int step = 0; step < shape.steps; ++step) {
      LstmProblem problem(shape);
      const auto chosen = static_cast<std::size_t>(step * 13 % shape.n);
      std::fill(problem.weights.begin(), problem.weights.end(), 0.0F);
      for (const int t : {step, step + 1}) {
        problem.weights[static_cast<std::size_t>(t)] = 1.0F;
        const auto row = problem.trace.begin() + t * shape.n;
        std::fill(row, row + shape.n, 0.0F);
        row[static_cast<std::ptrdiff_t>(chosen)] = t == step ? -1.0F : 1.0F;
      }
      LstmOnDevice device(*backend_, problem, shape);
      const std::vector<float> state = device.run_steps(step + 1).state[chosen];
      const std::vector<float> gradient = device.meta_gradient(2);
      const std::vector<float> h(state.end() - 2 * shape.hidden, state.end() - shape.hidden);
      EXPECT_EQ(std::vector<float>(gradient.end() - 1 - shape.hidden, gradient.end() - 1), h)
          << shape << " step " << step;
      EXPECT_EQ(gradient.back(), 1.0F);
    }
  }
}

// With the raw gradient as the input and no biases, a small gradient gives a small state; both keep
// their relative accuracy.
TEST_F(PortableLstm, SmallNumbersKeepTheirRelativeAccuracy) {
  const LstmShape shape = {13, 2, kRaw, 64, 4};
  LstmProblem problem(shape);
  for (int layer = 0; layer < shape.layers; ++layer) {
    const LstmLayerLayout at = lstm_layer_layout(problem.config().lstm, layer);
    std::fill(problem.meta.begin() + at.bias, problem.meta.begin() + at.end, 0.0F);
  }
  problem.meta.back() = 0.0F;
  for (float& gradient : problem.trace) gradient = std::abs(gradient) * 1e-6F;
  for (auto& state : problem.start_state) std::fill(state.begin(), state.end(), 0.0F);
  LstmOnDevice device(*backend_, problem, shape);
  const test::LstmErrors errors = test::lstm_errors(
      problem, shape, device.start_state(), device.run_steps(shape.steps), device.meta_gradient());
  EXPECT_LE(errors.state, tolerance::kLstmState);
  EXPECT_LE(errors.theta, tolerance::kLstmUpdate);
  EXPECT_LE(errors.meta_gradient, tolerance::kMetaGradient);
}

TEST_F(PortableLstm, NanStaysInItsCoordinate) {
  for (const LstmShape& shape :
       {LstmShape{21, 2, kLog, 33, 2}, LstmShape{21, 2, kRaw, 33, 2}, modulated(5, 2, 33, 2)}) {
    LstmProblem problem(shape);
    for (std::size_t n = 0; n < 33; ++n) {
      problem.start_state[n] = problem.start_state[0];
      for (std::size_t t = 0; t <= 2; ++t) problem.trace[t * 33 + n] = problem.trace[t * 33];
    }
    problem.trace[7] = std::numeric_limits<float>::quiet_NaN();
    const auto after = LstmOnDevice(*backend_, problem, shape).run_steps(shape.steps);
    for (std::size_t n = 0; n < 33; ++n) {
      if (n == 7) {
        EXPECT_TRUE(std::isnan(after.theta[n]));
        const auto own = static_cast<std::size_t>(2 * shape.layers * shape.hidden);
        for (std::size_t s = 0; s < own; ++s) EXPECT_TRUE(std::isnan(after.state[n][s]));
      } else {
        EXPECT_EQ(after.theta[n], after.theta[0]) << n;
        EXPECT_EQ(after.state[n], after.state[0]) << n;
      }
    }
  }
}

TEST_F(PortableLstm, GradientsOfAnySizeKeepTheStateFinite) {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> extremes = {
      0.0F,     -0.0F, 1e-45F,        -1e-40F,        Limits::min(),      4.5399e-5F,
      4.54e-5F, 1e30F, Limits::max(), -Limits::max(), Limits::infinity(), -Limits::infinity()};
  for (const auto& [preprocessing, output] : {std::pair(kLog, Output::kLinear),
                                              {kRaw, Output::kLinear},
                                              {kMoments, Output::kTanh},
                                              {kAdam, Output::kModulated}}) {
    const LstmShape shape = {21, 2,    preprocessing, static_cast<int>(extremes.size()),
                             3,  0.1F, output};
    LstmProblem problem(shape);
    for (std::size_t n = 0; n < extremes.size(); ++n) {
      for (std::size_t t = 0; t <= 3; ++t) problem.trace[t * extremes.size() + n] = extremes[n];
    }
    const auto after = LstmOnDevice(*backend_, problem, shape).run_steps(shape.steps);
    for (std::size_t n = 0; n < extremes.size(); ++n) {
      EXPECT_TRUE(std::isfinite(after.theta[n])) << extremes[n];
      for (const float value : after.state[n]) EXPECT_TRUE(std::isfinite(value)) << extremes[n];
    }
  }
}

TEST_F(PortableLstm, PaddingNeverReachesTheMetaGradient) {
  for (const LstmShape& shape : {LstmShape{13, 2, kLog, 37, 4}, modulated(5, 2, 37, 4)}) {
    const LstmProblem problem(shape);
    LstmOnDevice device(*backend_, problem, shape);
    const std::vector<float> expected = device.meta_gradient(4);
    for (const float padding : {1e30F, std::numeric_limits<float>::quiet_NaN()}) {
      const AlignedFloats tiles = problem.tiled_state(padding);
      backend_->upload(device.start_state_buffer().data(), tiles.data(),
                       tiles.size() * sizeof(float));
      EXPECT_EQ(device.meta_gradient(1), expected) << padding;
      EXPECT_EQ(device.meta_gradient(4), expected) << padding;
    }
  }
}

TEST_F(PortableLstm, ZeroCoordinatesAreANoOp) {
  CellConfig cell;
  cell.lstm = {.layers = 2, .hidden = 13};
  Buffer<float> gradient(*backend_, static_cast<std::size_t>(LstmCell::meta_size(cell)));
  gradient.upload(std::vector<float>(gradient.size(), 1.0F));
  UnrollBackwardArgs args;
  args.cell = cell;
  args.n = 0;
  args.unroll_length = 3;
  args.segment_length = 2;
  args.meta_gradient = gradient.data();
  Buffer<std::byte> scratch(*backend_, backend_->unroll_backward_scratch_bytes(args));
  args.scratch = scratch.data();
  backend_->unroll_backward(args);
  EXPECT_EQ(gradient.download(), std::vector<float>(gradient.size(), 0.0F));
  StepArgs step;
  step.cell = cell;
  backend_->step(step);
  backend_->synchronize();
}

TEST_F(PortableLstm, ScratchIsBoundedInCoordinatesAndGrowsWithSteps) {
  UnrollBackwardArgs args;
  args.cell.lstm = {.layers = 3, .hidden = 64};
  const auto scratch = [&](std::int64_t n, int steps, int segment_length) {
    args.n = n;
    args.unroll_length = steps;
    args.segment_length = segment_length;
    return backend_->unroll_backward_scratch_bytes(args);
  };
  constexpr std::int64_t kBlock = 1 << 16;
  // 2 inputs, 4 gates, h and c; h and c of a checkpoint; in float32.
  constexpr std::size_t kUnits = 3 * 64, kNumbers = sizeof(float) * kBlock;
  EXPECT_EQ(scratch(kBlock, 20, 6) - scratch(kBlock, 20, 5), kNumbers * (2 + 6 * kUnits));
  EXPECT_EQ(scratch(kBlock, 20, 4) - scratch(kBlock, 16, 4), kNumbers * 2 * kUnits);
  const std::size_t partial = sizeof(float) * static_cast<std::size_t>(cell_meta_size(args.cell));
  EXPECT_EQ(scratch(1000 * kBlock, 20, 4) - scratch(kBlock, 20, 4), 1000 * partial);
}

}  // namespace
}  // namespace l2o
