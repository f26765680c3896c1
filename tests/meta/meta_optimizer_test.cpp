#include "host/meta/meta_optimizer.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/meta/small_problem.h"

namespace l2o {
namespace {

/// An LSTM rule without layers, on the raw gradient: phi = (weight, bias), both zero.
Optimizer two_parameter_optimizer() {
  LstmConfig lstm;
  lstm.layers = 0;
  lstm.preprocessing = Preprocessing::kIdentity;
  return make_lstm_optimizer(lstm, OutputInit::kZero, 1);
}

struct Fixture {
  explicit Fixture(const MetaOptimizerConfig& config)
      : optimizer(*backend, two_parameter_optimizer()), meta_optimizer(*backend, config, 2) {}
  MetaUpdateReport update(const std::vector<float>& gradient, double learning_rate) {
    backend->upload(meta_optimizer.meta_gradient(), gradient.data(), 2 * sizeof(float));
    meta_optimizer.set_learning_rate(learning_rate);
    meta_optimizer.update(optimizer);
    return meta_optimizer.report();
  }
  std::vector<float> phi() { return optimizer.meta_parameters().download(); }

  std::unique_ptr<Backend> backend = test::cpu();
  DeviceOptimizer optimizer;
  MetaOptimizer meta_optimizer;
};

TEST(MetaOptimizer, TakesAdamStepWithGivenLearningRate) {
  Fixture fixture{{}};
  const MetaUpdateReport report = fixture.update({3.0F, -4.0F}, 0.125);
  EXPECT_EQ(report.applied, 1);
  EXPECT_FLOAT_EQ(report.gradient_norm, 5.0F);
  // Adam's first step has the size of the learning rate and the opposite sign of the gradient.
  EXPECT_FLOAT_EQ(fixture.phi()[0], -0.125F);
  EXPECT_FLOAT_EQ(fixture.phi()[1], 0.125F);
}

TEST(MetaOptimizer, NonFiniteGradientChangesNothing) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Fixture fixture{{}};
    fixture.update({1.0F, 2.0F}, 0.1);
    const std::vector<float> phi = fixture.phi();
    const MetaOptimizerState before = fixture.meta_optimizer.state();

    EXPECT_EQ(fixture.update({1.0F, bad}, 0.1).applied, 0);
    const MetaOptimizerState after = fixture.meta_optimizer.state();
    EXPECT_EQ(fixture.phi(), phi);
    EXPECT_EQ(after.first_moment, before.first_moment);
    EXPECT_EQ(after.second_moment, before.second_moment);
    EXPECT_EQ(after.updates, 1);
  }
}

TEST(MetaOptimizer, ClipsGradientAndReportsItsUnclippedNorm) {
  MetaOptimizerConfig config;
  config.clip_norm = 1.0;
  Fixture clipped{config};
  Fixture scaled{{}};
  EXPECT_FLOAT_EQ(clipped.update({30.0F, 40.0F}, 0.1).gradient_norm, 50.0F);
  scaled.update({0.6F, 0.8F}, 0.1);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_FLOAT_EQ(clipped.meta_optimizer.state().first_moment[i],
                    scaled.meta_optimizer.state().first_moment[i]);
  }
}

TEST(MetaOptimizer, ContinuesFromRestoredState) {
  Fixture uninterrupted{{}};
  uninterrupted.update({1.0F, 2.0F}, 0.1);
  Fixture restored{{}};
  restored.optimizer.meta_parameters().upload(uninterrupted.phi());
  restored.meta_optimizer.restore(uninterrupted.meta_optimizer.state());

  uninterrupted.update({-0.5F, 1.0F}, 0.1);
  restored.update({-0.5F, 1.0F}, 0.1);
  EXPECT_EQ(restored.phi(), uninterrupted.phi());
}

}  // namespace
}  // namespace l2o
