// The float64 reference against central differences with the gradient trace frozen.

#include "tests/reference/lstm_reference.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <tuple>

namespace reference {
namespace {

struct Form {
  Inputs preprocessing;
  Outputs output;
  int projection = 0;
};

class Reference : public testing::TestWithParam<std::tuple<int, int, Form>> {};

TEST_P(Reference, MetaGradientIsTheDerivativeOfTheFrozenMetaLoss) {
  Lstm lstm;
  Form form;
  std::tie(lstm.layers, lstm.hidden, form) = GetParam();
  lstm.preprocessing = form.preprocessing;
  lstm.output = form.output;
  lstm.projection = form.projection;
  lstm.p = 5.0;
  lstm.output_scale = 0.7;
  std::mt19937 generator(1);
  std::normal_distribution<double> normal;
  const auto fill = [&](Vector& values, int size, double sigma) {
    values.resize(size);
    for (double& value : values) value = sigma * normal(generator);
  };
  fill(lstm.phi, lstm.phi_size(), 0.5);

  constexpr int kSteps = 4, kCoordinates = 3;
  Unroll unroll;
  unroll.trace.resize(kSteps + 1);
  for (Vector& gradients : unroll.trace) fill(gradients, kCoordinates, 1.0);
  unroll.trace[1][0] = 1e-4;  // the other branch of log_and_sign
  unroll.trace[2][1] = 0.0;
  unroll.weights = {0.3, 1.0, 0.0, 2.0, 0.5};
  unroll.start_state.resize(kCoordinates);
  for (Vector& state : unroll.start_state) {
    fill(state, lstm.lstm_state_size(), 0.5);
    state.resize(static_cast<std::size_t>(lstm.state_size()), 0.0);  // moments at their start
  }
  unroll.scales = {{1.0, 0.5, 2.0}, {0.1, 0.0, 1.0}, {3.0, 1.0, 0.5}, {1.0, 2.0, 0.2}};

  const Vector gradient = meta_gradient(lstm, unroll);
  ASSERT_EQ(gradient.size(), lstm.phi.size());
  constexpr double kDelta = 1e-5;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    Lstm moved = lstm;
    moved.phi[i] = lstm.phi[i] + kDelta;
    const double above = frozen_meta_loss(moved, unroll);
    moved.phi[i] = lstm.phi[i] - kDelta;
    const double below = frozen_meta_loss(moved, unroll);
    const double difference = (above - below) / (2.0 * kDelta);
    EXPECT_NEAR(gradient[i], difference, 1e-8 * (1.0 + std::abs(difference))) << "phi[" << i << "]";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Reference,
    testing::Combine(testing::Values(0, 1, 2, 3), testing::Values(1, 3, 5),
                     testing::Values(Form{Inputs::kGradient, Outputs::kLinear},
                                     Form{Inputs::kLogAndSign, Outputs::kLinear},
                                     Form{Inputs::kLogAndSign, Outputs::kTanh},
                                     Form{Inputs::kMoments, Outputs::kTanh},
                                     Form{Inputs::kMoments, Outputs::kTanh, 4},
                                     Form{Inputs::kAdamMoments, Outputs::kModulated})));

TEST(Reference, DeepMindsLinearTest) {
  // Their test: f(x) = x^2, x_0 = 1, no layers, zero weights, raw input, two unrolls of 5 steps,
  // meta-Adam with rate 0.01: after the second unroll x = 0.8559 and f(x) = 0.7325327. Adam's first
  // update moves both meta-parameters by the rate, according to the sign of their gradients.
  Lstm lstm{.layers = 0,
            .hidden = 1,
            .preprocessing = Inputs::kGradient,
            .p = 0.0,
            .output_scale = 1.0,
            .phi = {0.0, 0.0}};
  Unroll unroll;
  unroll.trace.assign(6, Vector{2.0});
  unroll.weights.assign(6, 1.0);
  unroll.start_state = {Vector{}};
  const Vector gradient = meta_gradient(lstm, unroll);
  for (std::size_t i = 0; i < 2; ++i) lstm.phi[i] -= 0.01 * gradient[i] / std::abs(gradient[i]);
  double x = 1.0;
  Vector state;
  for (int t = 0; t < 5; ++t) x += step(lstm, 2.0 * x, state).update;
  EXPECT_NEAR(x, 0.8559, 5e-5);
  EXPECT_NEAR(x * x, 0.7325327, 1e-7);
}

}  // namespace
}  // namespace reference
