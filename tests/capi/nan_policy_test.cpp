#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"

namespace l2o {
namespace {

using Limits = std::numeric_limits<float>;
using test::cpu_context;
using test::Numbers;
using test::optimizer;
using test::Owned;
using test::state;

constexpr std::size_t kSize = 70;
constexpr float kBad[] = {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()};

bool all_finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return std::isfinite(value); });
}

/// A run after one good step.
struct NanPolicy : testing::Test {
  Owned<l2o_context> context = cpu_context();
  Owned<l2o_optimizer> rule = optimizer();
  Owned<l2o_run> run = test::run(context, rule, kSize);
  std::vector<float> parameters = std::vector<float>(kSize, 1.0F);
  std::vector<float> good = Numbers(8).gradients(kSize);

  NanPolicy() { EXPECT_OK(l2o_run_step(run.get(), good.data(), parameters.data())); }

  std::vector<float> with(float bad, std::size_t place) const {
    std::vector<float> gradient = good;
    gradient[place] = bad;
    return gradient;
  }
  std::uint64_t skipped() const {
    std::uint64_t steps = 0;
    EXPECT_OK(l2o_run_skipped_steps(run.get(), &steps));
    return steps;
  }
};

TEST_F(NanPolicy, SkipsTheStepByDefaultAndCounts) {
  const std::vector<float> state_before = state(run), parameters_before = parameters;
  std::uint64_t expected = 0;
  for (const float bad : kBad) {
    for (const std::size_t place : {std::size_t{0}, std::size_t{33}, kSize - 1}) {
      EXPECT_OK(l2o_run_step(run.get(), with(bad, place).data(), parameters.data()));
      EXPECT_EQ(skipped(), ++expected);
    }
  }
  EXPECT_EQ(state(run), state_before);
  EXPECT_EQ(parameters, parameters_before);
  EXPECT_OK(l2o_run_step(run.get(), good.data(), parameters.data()));
  EXPECT_NE(parameters, parameters_before);
  EXPECT_EQ(skipped(), expected);
}

TEST_F(NanPolicy, ErrorChangesNothing) {
  ASSERT_OK(l2o_run_set_nan_policy(run.get(), L2O_NAN_ERROR));
  const std::vector<float> state_before = state(run), parameters_before = parameters;
  for (const float bad : kBad) {
    test::expect_refused(l2o_run_step(run.get(), with(bad, 5).data(), parameters.data()),
                         L2O_NOT_FINITE, "1 of the 70");
  }
  EXPECT_EQ(state(run), state_before);
  EXPECT_EQ(parameters, parameters_before);
  EXPECT_EQ(skipped(), 0U);
}

TEST_F(NanPolicy, ZeroIsAGradientOfZero) {
  ASSERT_OK(l2o_run_set_nan_policy(run.get(), L2O_NAN_ZERO));
  const Owned<l2o_run> other = test::run(context, rule, kSize);
  std::vector<float> expected(kSize, 1.0F);
  ASSERT_OK(l2o_run_step(other.get(), good.data(), expected.data()));
  for (const float bad : kBad) {
    EXPECT_OK(l2o_run_step(run.get(), with(bad, 40).data(), parameters.data()));
    EXPECT_OK(l2o_run_step(other.get(), with(0.0F, 40).data(), expected.data()));
  }
  EXPECT_EQ(parameters, expected);
  EXPECT_EQ(state(run), state(other));
}

TEST_F(NanPolicy, PropagateAffectsOnlyThatCoordinate) {
  ASSERT_OK(l2o_run_set_nan_policy(run.get(), L2O_NAN_PROPAGATE));
  EXPECT_OK(l2o_run_step(run.get(), with(kBad[0], 40).data(), parameters.data()));
  EXPECT_TRUE(std::isnan(parameters[40]));
  EXPECT_FALSE(all_finite(state(run)));
  parameters[40] = 0.0F;
  EXPECT_TRUE(all_finite(parameters));
}

TEST_F(NanPolicy, OneBadTensorStopsAllOfThem) {
  const std::vector<std::size_t> sizes = {40, 30};
  Owned<l2o_run> several;
  ASSERT_OK(l2o_run_create_multi(context.get(), rule.get(), 2, sizes.data(), several.out()));
  const std::vector<float> gradient = with(kBad[1], 55);
  const float* gradients[] = {gradient.data(), gradient.data() + 40};
  float* tensors[] = {parameters.data(), parameters.data() + 40};
  const std::vector<float> before = parameters;
  EXPECT_OK(l2o_run_step_multi(several.get(), 2, gradients, tensors));
  EXPECT_EQ(parameters, before);
  EXPECT_EQ(state(several), std::vector<float>(l2o_run_state_size(several.get()), 0.0F));

  ASSERT_OK(l2o_run_set_nan_policy(several.get(), L2O_NAN_ZERO));
  EXPECT_OK(l2o_run_step_multi(several.get(), 2, gradients, tensors));
  EXPECT_TRUE(all_finite(parameters));
  EXPECT_NE(parameters, before);
}

TEST_F(NanPolicy, AStateIsFiniteUnlessPropagated) {
  std::vector<float> values = state(run);
  values[7] = kBad[0];
  test::expect_refused(l2o_run_set_state(run.get(), values.data(), values.size()),
                       L2O_INVALID_ARGUMENT, "values[7]");
  EXPECT_TRUE(all_finite(state(run)));
  ASSERT_OK(l2o_run_set_nan_policy(run.get(), L2O_NAN_PROPAGATE));
  EXPECT_OK(l2o_run_set_state(run.get(), values.data(), values.size()));
}

TEST_F(NanPolicy, StateStaysFiniteForAnyGradient) {
  const float extremes[] = {Limits::denorm_min(),
                            Limits::min(),
                            Limits::max(),
                            Limits::lowest(),
                            -0.0F,
                            1e-30F,
                            -1e30F,
                            kBad[0],
                            kBad[1],
                            kBad[2]};
  for (const char* preprocessing : {"log_and_sign", "identity"}) {
    const Owned<l2o_optimizer> each =
        optimizer(test::kSmallRule + "preprocessing = \"" + preprocessing + "\"\n");
    for (const l2o_nan_policy policy : {L2O_NAN_SKIP_STEP, L2O_NAN_ZERO}) {
      const Owned<l2o_run> extreme = test::run(context, each, kSize);
      ASSERT_OK(l2o_run_set_nan_policy(extreme.get(), policy));
      Numbers numbers(9);
      for (int t = 0; t < 200; ++t) {
        std::vector<float> gradient = numbers.gradients(kSize);
        for (std::size_t i = 0; i < 5; ++i) {
          gradient[numbers.below(kSize)] = extremes[numbers.below(std::size(extremes))];
        }
        ASSERT_OK(l2o_run_step(extreme.get(), gradient.data(), parameters.data()));
        ASSERT_TRUE(all_finite(state(extreme))) << preprocessing << ", step " << t;
      }
    }
  }
}

}  // namespace
}  // namespace l2o
