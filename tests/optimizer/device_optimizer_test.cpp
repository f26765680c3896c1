#include "host/optimizer/device_optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "kernels/cells/cell_list.h"
#include "tests/support/error_of.h"
#include "tests/support/to_reference.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

std::unique_ptr<Backend> cpu_backend() {
  return make_backend({.device = DeviceKind::kCpu, .threads = 2});
}

Buffer<float> device_buffer(Backend& backend, const std::vector<float>& values) {
  Buffer<float> buffer(backend, values.size());
  buffer.upload(values);
  return buffer;
}

TEST(DeviceOptimizer, LearnedRuleStepsLikeTheReference) {
  const auto backend = cpu_backend();
  const LstmConfig lstm = {.layers = 2, .hidden = 7};
  const Optimizer optimizer = make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 5);
  DeviceOptimizer on_device(*backend, optimizer);
  constexpr int kCoordinates = 37;
  CoordinateState state(*backend, optimizer.cell, kCoordinates);
  Buffer<float> theta = device_buffer(*backend, std::vector<float>(kCoordinates, 0.0F));

  const reference::Lstm rule = test::to_reference(
      lstm, {optimizer.meta_parameters.begin(), optimizer.meta_parameters.end()});
  std::vector<reference::Vector> states(kCoordinates, reference::Vector(rule.state_size(), 0.0));
  std::vector<double> expected(kCoordinates, 0.0);
  for (int t = 0; t < 5; ++t) {
    std::vector<float> gradient;
    for (int i = 0; i < kCoordinates; ++i) {
      gradient.push_back(std::sin(float(7 * t + i)) * std::exp(-float(i) / 3.0F));
      expected[i] += reference::step(rule, gradient.back(), states[i]).update;
    }
    const Buffer<float> on_device_gradient = device_buffer(*backend, gradient);
    step(on_device, kCoordinates, on_device_gradient.data(), state, theta.data());
  }
  const std::vector<float> moved = theta.download();
  double largest = 0.0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (int i = 0; i < kCoordinates; ++i) {
    EXPECT_NEAR(moved[i], expected[i], tolerance::kLstmUpdate * largest) << "coordinate " << i;
  }
}

TEST(DeviceOptimizer, HandDesignedRuleStepsAndResets) {
  const auto backend = cpu_backend();
  const Optimizer optimizer = make_hand_designed_optimizer("momentum", 0.1F);
  DeviceOptimizer on_device(*backend, optimizer);
  CoordinateState state(*backend, optimizer.cell, 1);
  const Buffer<float> gradient = device_buffer(*backend, {1.0F});
  Buffer<float> theta = device_buffer(*backend, {0.0F});
  const auto update = [&] {
    const float before = theta.download()[0];
    step(on_device, 1, gradient.data(), state, theta.data());
    return theta.download()[0] - before;
  };
  EXPECT_FLOAT_EQ(update(), -0.1F);
  EXPECT_FLOAT_EQ(update(), -0.19F);
  state.reset();
  EXPECT_NEAR(update(), -0.1F, 1e-7F);
}

TEST(DeviceOptimizer, PackAppliesChangedMetaParameters) {
  const auto backend = cpu_backend();
  const LstmConfig lstm = {.layers = 1, .hidden = 2, .output_scale = 1.0F};
  const Optimizer optimizer = make_lstm_optimizer(lstm, OutputInit::kZero, 1);
  DeviceOptimizer on_device(*backend, optimizer);
  CoordinateState state(*backend, optimizer.cell, 1);
  const Buffer<float> gradient = device_buffer(*backend, {0.5F});
  Buffer<float> theta = device_buffer(*backend, {3.0F});
  step(on_device, 1, gradient.data(), state, theta.data());
  EXPECT_EQ(theta.download()[0], 3.0F);  // w_out = 0 does nothing

  std::vector<float> meta = optimizer.meta_parameters;
  meta.back() = 0.25F;  // b_out
  on_device.meta_parameters().upload(meta);
  on_device.pack();
  step(on_device, 1, gradient.data(), state, theta.data());
  EXPECT_EQ(theta.download()[0], 3.25F);
}

TEST(DeviceOptimizer, NoCoordinates) {
  const auto backend = cpu_backend();
  const Optimizer optimizer = make_lstm_optimizer({}, OutputInit::kZero, 1);
  DeviceOptimizer on_device(*backend, optimizer);
  CoordinateState state(*backend, optimizer.cell, 0);
  EXPECT_EQ(state.bytes(), 0U);
  step(on_device, 0, nullptr, state, nullptr);
}

TEST(DeviceOptimizer, RefusesAWrongNumberOfMetaParameters) {
  const auto backend = cpu_backend();
  Optimizer optimizer = make_lstm_optimizer({}, OutputInit::kZero, 1);
  optimizer.meta_parameters.pop_back();
  const ThrownError error = error_of([&] { DeviceOptimizer(*backend, optimizer); });
  EXPECT_EQ(error.status, Status::kUsage);
  EXPECT_TRUE(error.says("5140 meta-parameters; expected 5141 for this lstm")) << error.message;
}

}  // namespace
}  // namespace l2o
