#include "host/optimizer/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cells/cell_list.h"
#include "tests/support/error_of.h"

namespace l2o {
namespace {

constexpr LstmConfig kWide = {.layers = 2, .hidden = 64};

struct Spread {
  double mean = 0.0, deviation = 0.0, largest = 0.0;
};

/// Of phi[begin, end), in units of sigma.
Spread spread(const std::vector<float>& phi, int begin, int end, double sigma) {
  Spread result;
  for (int i = begin; i < end; ++i) {
    const double value = phi[std::size_t(i)] / sigma;
    result.mean += value / (end - begin);
    result.deviation += value * value / (end - begin);
    result.largest = std::max(result.largest, std::abs(value));
  }
  result.deviation = std::sqrt(result.deviation - result.mean * result.mean);
  return result;
}

/// A normal distribution truncated at two sigma has 0.8796 of its standard deviation.
void expect_truncated_normal(const std::vector<float>& phi, int begin, int end, double sigma) {
  const Spread found = spread(phi, begin, end, sigma);
  const double standard_error = 1.0 / std::sqrt(double(end - begin));
  EXPECT_NEAR(found.mean, 0.0, 4.0 * standard_error);
  EXPECT_NEAR(found.deviation, 0.8796, 4.0 * standard_error);
  EXPECT_LE(found.largest, 2.0 + 1e-6);
}

TEST(LstmOptimizer, WeightsAreTruncatedNormal) {
  const Optimizer optimizer = make_lstm_optimizer(kWide, OutputInit::kZero, 1);
  const std::vector<float>& phi = optimizer.meta_parameters;
  ASSERT_EQ(phi.size(), std::size_t(cell_meta_size(optimizer.cell)));
  for (int layer = 0; layer < 2; ++layer) {
    const LstmLayerLayout at = lstm_layer_layout(kWide, layer);
    const double sigma = 1.0 / std::sqrt(at.inputs + 64.0);
    expect_truncated_normal(phi, at.weight_ih, at.weight_hh, sigma);
    expect_truncated_normal(phi, at.weight_hh, at.bias, sigma);
    // The gates' biases are drawn as well; 1 is added to the forget gate's.
    expect_truncated_normal(phi, at.bias, at.bias + 64, sigma);
    const Spread forget = spread(phi, at.bias + 64, at.bias + 128, 1.0);
    EXPECT_NEAR(forget.mean, 1.0, 4.0 * sigma / 8.0);
    EXPECT_GT(forget.deviation, 0.5 * sigma);
    expect_truncated_normal(phi, at.bias + 128, at.end, sigma);
  }
}

TEST(LstmOptimizer, OutputStartsAtZeroOrTruncatedNormal) {
  const Optimizer zero = make_lstm_optimizer(kWide, OutputInit::kZero, 1);
  const Optimizer normal = make_lstm_optimizer(kWide, OutputInit::kTruncatedNormal, 1);
  const int w_out = lstm_output_offset(kWide);
  for (int i = w_out; i <= w_out + 64; ++i) EXPECT_EQ(zero.meta_parameters[std::size_t(i)], 0.0F);
  expect_truncated_normal(normal.meta_parameters, w_out, w_out + 64, 1.0 / 8.0);
  EXPECT_EQ(normal.meta_parameters.back(), 0.0F);  // b_out
  // The layers do not depend on the output's initial values.
  EXPECT_TRUE(std::equal(zero.meta_parameters.begin(), zero.meta_parameters.begin() + w_out,
                         normal.meta_parameters.begin()));
}

TEST(LstmOptimizer, AnInputProjectionIsTruncatedNormalWithoutBias) {
  LstmConfig lstm = kWide;
  lstm.preprocessing = Preprocessing::kAdamMoments;
  lstm.input_projection = 64;
  const Optimizer optimizer = make_lstm_optimizer(lstm, OutputInit::kZero, 1);
  const std::vector<float>& phi = optimizer.meta_parameters;
  ASSERT_EQ(phi.size(), std::size_t(cell_meta_size(optimizer.cell)));
  expect_truncated_normal(phi, 0, 4 * 64, 1.0 / std::sqrt(4.0));
  for (std::size_t i = 4 * 64; i < 5 * 64; ++i) EXPECT_EQ(phi[i], 0.0F);
  const LstmLayerLayout at = lstm_layer_layout(lstm, 0);
  EXPECT_EQ(at.weight_ih, 5 * 64);
  expect_truncated_normal(phi, at.weight_ih, at.weight_hh, 1.0 / std::sqrt(64.0 + 64.0));
}

TEST(LstmOptimizer, IsAFunctionOfTheSeed) {
  const auto phi = [](std::uint64_t seed) {
    return make_lstm_optimizer({}, OutputInit::kZero, seed).meta_parameters;
  };
  EXPECT_EQ(phi(3), phi(3));
  EXPECT_NE(phi(3), phi(4));
}

TEST(LstmOptimizer, WithoutLayersStartsAtZero) {
  const LstmConfig linear = {.layers = 0, .hidden = 1, .preprocessing = Preprocessing::kIdentity};
  EXPECT_EQ(make_lstm_optimizer(linear, OutputInit::kZero, 1).meta_parameters,
            std::vector<float>(2, 0.0F));
}

TEST(LstmOptimizer, RefusesShapesAndConstantsOutOfRange) {
  const auto refusal = [](LstmConfig lstm) {
    return error_of([&] { make_lstm_optimizer(lstm, OutputInit::kZero, 1); });
  };
  EXPECT_TRUE(refusal({.layers = 4}).says("layers is 4; expected 0 to 3"));
  EXPECT_TRUE(refusal({.layers = -1}).says("layers is -1"));
  EXPECT_TRUE(refusal({.hidden = 65}).says("hidden is 65; expected 1 to 64"));
  EXPECT_TRUE(refusal({.hidden = 0}).says("hidden is 0"));
  EXPECT_TRUE(refusal({.input_projection = 65}).says("input_projection is 65; expected 0 to 64"));
  EXPECT_TRUE(refusal({.p = std::nanf("")}).says("p is nan"));
  EXPECT_TRUE(refusal({.p = 81.0F}).says("p is 81"));
  EXPECT_TRUE(refusal({.output_scale = std::numeric_limits<float>::infinity()})
                  .says("output_scale is inf"));
  EXPECT_TRUE(
      refusal({.output = Output::kModulated}).says("expected preprocessing = \"adam_moments\""));
  EXPECT_EQ(refusal({.layers = 4}).status, Status::kUsage);
}

TEST(HandDesignedOptimizer, HasItsDefaults) {
  const Optimizer adam = make_hand_designed_optimizer("adam", 0.25F);
  EXPECT_EQ(cell_name(adam.cell), "adam");
  EXPECT_TRUE(adam.meta_parameters.empty());
  const float expected[] = {0.25F, 0.9F, 0.999F, 1e-8F};
  EXPECT_TRUE(std::equal(std::begin(expected), std::end(expected), adam.cell.hyper));
}

TEST(HandDesignedOptimizer, EveryOneIsFoundByName) {
  for (int kind = kLstmKind + 1; kind < kCellCount; ++kind) {
    CellConfig cell;
    cell.kind = kind;
    const Optimizer optimizer = make_hand_designed_optimizer(std::string(cell_name(cell)), 0.5F);
    EXPECT_EQ(optimizer.cell.kind, kind);
    EXPECT_EQ(optimizer.cell.hyper[0], 0.5F);
  }
}

TEST(HandDesignedOptimizer, UnknownNamesListTheKnownOnes) {
  for (const char* name : {"adma", "lstm", ""}) {
    const ThrownError error = error_of([&] { make_hand_designed_optimizer(name, 0.1F); });
    EXPECT_EQ(error.status, Status::kUsage);
    EXPECT_TRUE(error.says("sgd, momentum, nag, adagrad, rprop, rmsprop, adam")) << error.message;
  }
}

}  // namespace
}  // namespace l2o
