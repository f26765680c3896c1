// The tensor-core LSTM on a CUDA device: accuracy compared to float64, and bit-identical results.
#include <cuda_fp16.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/cuda/cuda_device.h"
#include "tests/cuda/lstm_on_device.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::LstmOnDevice;

/// Preprocessing and output of the LSTM.
struct Rule {
  const char* name;
  Preprocessing preprocessing;
  Output output;
};
constexpr Rule kLogAndSign = {"", Preprocessing::kLogAndSign, Output::kLinear};
constexpr Rule kModulatedAdam = {"modulated_", Preprocessing::kAdamMoments, Output::kModulated};

class TensorCoreLstm : public testing::TestWithParam<std::tuple<int, int, Precision, Rule>> {
 protected:
  void SetUp() override {
    if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
  }
  LstmShape shape(int n, int steps) const {
    return {.hidden = std::get<0>(GetParam()),
            .layers = std::get<1>(GetParam()),
            .preprocessing = rule().preprocessing,
            .n = n,
            .steps = steps,
            .output = rule().output};
  }
  const Rule& rule() const { return std::get<3>(GetParam()); }
  Precision precision() const { return std::get<2>(GetParam()); }
};

TEST_P(TensorCoreLstm, AgreesWithFloat64) {
  const auto backend = test::cuda_backend(precision());
  const test::LstmBounds bounds = test::lstm_bounds(precision());
  // One coordinate; around a tile of 32; more than a block's 128.
  for (const auto& [n, steps] : {std::pair{1, 1}, {31, 3}, {33, 2}, {150, 6}}) {
    const LstmShape problem_shape = shape(n, steps);
    const LstmProblem problem(problem_shape);
    LstmOnDevice device(*backend, problem, problem_shape);
    const test::LstmErrors errors =
        test::lstm_errors(problem, problem_shape, device.start_state(), device.run_steps(steps),
                          device.meta_gradient());
    EXPECT_LT(errors.state, bounds.state) << problem_shape;
    EXPECT_LE(errors.moments, tolerance::kLstmState) << problem_shape;
    EXPECT_LT(errors.theta, bounds.theta) << problem_shape;
    EXPECT_LT(errors.meta_gradient, bounds.meta_gradient) << problem_shape;
  }
}

/// The weights and the last two gradients of a trace are chosen such that only the last step of one
/// coordinate has an adjoint of theta, which is 1. Then the gradient of w_out is the replay's h of
/// the top layer; for a modulated rule, the gradient of the second row is -h, where its output is
/// always 0.
TEST_P(TensorCoreLstm, ReplayMatchesTheStepsBitForBit) {
  const auto backend = test::cuda_backend(precision());
  LstmShape problem_shape = shape(70, 5);
  problem_shape.output_scale = 1.0F;
  LstmProblem problem(problem_shape);
  const auto n = static_cast<std::size_t>(problem_shape.n);
  const auto hidden = static_cast<std::size_t>(problem_shape.hidden);
  problem.weights = {0.0F, 0.0F, 0.0F, 0.0F, 1.0F, 1.0F};
  // The backward pass recomputes the last h of the top layer from the first 16-bit part of its
  // weights. Rounding makes the second part zero; lower layers keep theirs.
  if (precision() == Precision::kMixed) {
    const LstmConfig& lstm = problem.config().lstm;
    const int top = lstm_layer_layout(lstm, lstm.layers - 1).weight_ih;
    std::for_each(problem.meta.begin() + top, problem.meta.end(),
                  [](float& weight) { weight = __half2float(__float2half_rn(weight)); });
  }
  const bool modulated = rule().output == Output::kModulated;
  if (modulated) {
    std::fill(problem.meta.end() - 2 - problem_shape.hidden, problem.meta.end() - 2, 0.0F);
    problem.meta.back() = 0.0F;
  }
  for (const std::size_t chosen : {std::size_t{0}, std::size_t{17}, std::size_t{40}, n - 1}) {
    for (std::size_t i = 0; i < n; ++i) {
      problem.trace[4 * n + i] = i == chosen ? -1.0F : 0.0F;
      problem.trace[5 * n + i] = i == chosen ? 1.0F : 0.0F;
    }
    LstmOnDevice device(*backend, problem, problem_shape);
    const std::vector<float> state = device.run_steps(problem_shape.steps).state[chosen];
    const std::vector<float> gradient = device.meta_gradient();
    const float sign = modulated ? -1.0F : 1.0F;
    const float* const w_out = gradient.data() + gradient.size() - (modulated ? 2 : 1) - hidden;
    EXPECT_EQ(gradient.back(), sign);
    for (std::size_t unit = 0; unit < hidden; ++unit) {
      const float h = sign * w_out[unit];
      const float stored = precision() == Precision::kF32 ? h : __half2float(__float2half_rn(h));
      const std::size_t top = static_cast<std::size_t>(problem_shape.layers - 1) * 2 * hidden;
      EXPECT_EQ(state[top + unit], stored) << "coordinate " << chosen << ", unit " << unit;
    }
  }
}

TEST_P(TensorCoreLstm, RepeatsBitForBit) {
  const auto backend = test::cuda_backend(precision());
  const LstmShape problem_shape = shape(300, 3);
  const LstmProblem problem(problem_shape);
  LstmOnDevice device(*backend, problem, problem_shape);
  const auto steps = device.run_steps(3);
  const auto gradient = device.meta_gradient();
  EXPECT_EQ(device.run_steps(3).state, steps.state);
  EXPECT_EQ(device.run_steps(3).theta, steps.theta);
  EXPECT_EQ(device.meta_gradient(), gradient);
  EXPECT_EQ(device.meta_gradient(2), gradient);
}

TEST_P(TensorCoreLstm, TileWeightsMultiplyTheirGradients) {
  const auto backend = test::cuda_backend(precision());
  // Tiles of a block's 128 coordinates, and of another block.
  for (const auto& [n, steps] : {std::pair{31, 2}, {165, 3}}) {
    const LstmShape problem_shape = shape(n, steps);
    LstmProblem problem(problem_shape);
    const auto meta_gradient = [&](std::vector<float> tile_weights) {
      problem.tile_weights = std::move(tile_weights);
      return LstmOnDevice(*backend, problem, problem_shape).meta_gradient(2);
    };
    EXPECT_EQ(meta_gradient(problem.unit_tile_weights()), meta_gradient({})) << problem_shape;
    const std::vector<float> result = meta_gradient(problem.some_tile_weights());
    LstmOnDevice device(*backend, problem, problem_shape);
    EXPECT_LT(test::lstm_errors(problem, problem_shape, device.start_state(),
                                device.run_steps(steps), result)
                  .meta_gradient,
              test::lstm_bounds(precision()).meta_gradient)
        << problem_shape;
  }
}

TEST_P(TensorCoreLstm, WeightsAndScalesMayVaryByStep) {
  const auto backend = test::cuda_backend(precision());
  const LstmShape problem_shape = shape(165, 3);
  LstmProblem problem(problem_shape);
  problem.tile_weights = problem.some_tile_weights(problem_shape.steps + 1);
  problem.tile_scales = problem.some_tile_weights(problem_shape.steps);
  LstmOnDevice device(*backend, problem, problem_shape);
  const std::vector<float> result = device.meta_gradient(2);
  EXPECT_LT(test::lstm_errors(problem, problem_shape, device.start_state(),
                              device.run_steps(problem_shape.steps), result)
                .meta_gradient,
            test::lstm_bounds(precision()).meta_gradient);
  EXPECT_EQ(test::meta_gradient_of_wide_trace(*backend, device, problem, problem_shape, 2), result);
}

TEST_P(TensorCoreLstm, StepsScaleGradientUpdateAndDecay) {
  const auto backend = test::cuda_backend(precision());
  test::expect_scaled_steps(*backend, shape(70, 3), tolerance::kLstmUpdate);
}

TEST_P(TensorCoreLstm, PaddingHasNoEffect) {
  const auto backend = test::cuda_backend(precision());
  for (const int n : {5, 33, 129}) {
    const LstmShape problem_shape = shape(n, 3);
    const LstmProblem problem(problem_shape);
    LstmOnDevice device(*backend, problem, problem_shape);
    const auto steps = device.run_steps(3);
    const std::vector<float> gradient = device.meta_gradient(2);
    device.fill_padding(std::numeric_limits<float>::quiet_NaN());
    EXPECT_EQ(device.run_steps(3).state, steps.state) << n;
    EXPECT_EQ(device.run_steps(3).theta, steps.theta) << n;
    EXPECT_EQ(device.meta_gradient(2), gradient) << n;
  }
}

TEST_P(TensorCoreLstm, GradientsOfAnySizeKeepTheStateFinite) {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> extremes = {0.0F,
                                       -0.0F,
                                       1e-45F,
                                       1e-20F,
                                       Limits::min(),
                                       1e30F,
                                       Limits::max(),
                                       Limits::infinity(),
                                       -Limits::infinity()};
  const auto backend = test::cuda_backend(precision());
  const LstmShape problem_shape = shape(static_cast<int>(extremes.size()), 4);
  LstmProblem problem(problem_shape);
  for (auto& state : problem.start_state) std::fill(state.begin(), state.end(), 0.0F);
  for (std::size_t t = 0; t < 4; ++t) {  // every coordinate gets several of them in turn
    for (std::size_t i = 0; i < extremes.size(); ++i) {
      problem.trace[t * extremes.size() + i] = extremes[(i + t * t) % extremes.size()];
    }
  }
  LstmOnDevice device(*backend, problem, problem_shape);
  const auto after = device.run_steps(4);
  for (std::size_t i = 0; i < extremes.size(); ++i) {
    EXPECT_TRUE(std::isfinite(after.theta[i])) << extremes[i];
    for (const float value : after.state[i]) EXPECT_TRUE(std::isfinite(value)) << extremes[i];
  }
}

std::string lstm_case_name(const testing::TestParamInfo<TensorCoreLstm::ParamType>& test) {
  const auto& [hidden, layers, precision, rule] = test.param;
  return fmt::format("{}h{}_l{}_{}", rule.name, hidden, layers, precision_name(precision));
}
constexpr auto kEveryPrecision = std::array{Precision::kF32, Precision::kMixed, Precision::kHalf};
INSTANTIATE_TEST_SUITE_P(Shapes, TensorCoreLstm,
                         testing::Combine(testing::Values(8, 16, 20, 32), testing::Values(1, 2, 3),
                                          testing::ValuesIn(kEveryPrecision),
                                          testing::Values(kLogAndSign)),
                         lstm_case_name);
INSTANTIATE_TEST_SUITE_P(Modulated, TensorCoreLstm,
                         testing::Combine(testing::Values(8, 20), testing::Values(1),
                                          testing::ValuesIn(kEveryPrecision),
                                          testing::Values(kModulatedAdam)),
                         lstm_case_name);

}  // namespace
}  // namespace l2o
