#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "host/optimizer/device_optimizer.h"
#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"

namespace l2o {
namespace {

using test::cpu_context;
using test::expect_refused;
using test::Numbers;
using test::optimizer;
using test::Owned;
using test::state;

/// The rule of test::kSmallRule, applied directly by the engine.
Optimizer small_rule() {
  LstmConfig lstm;
  lstm.hidden = 5;
  return make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 1);
}

TEST(Run, MatchesTheEnginesStepBitForBit) {
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  for (const std::size_t n : {1U, 31U, 32U, 33U, 1000U}) {
    const Owned<l2o_run> run = test::run(context, rule, n);
    const auto backend = make_backend({DeviceKind::kCpu, 1});
    const Optimizer engine_rule = small_rule();
    DeviceOptimizer engine(*backend, engine_rule);
    CoordinateState engine_state(*backend, engine_rule.cell, static_cast<std::int64_t>(n));

    Numbers numbers(n);
    std::vector<float> actual = numbers.uniform(n, -1.0F, 1.0F);
    std::vector<float> expected = actual;
    for (int t = 0; t < 10; ++t) {
      const std::vector<float> gradient = numbers.gradients(n);
      ASSERT_OK(l2o_run_step(run.get(), gradient.data(), actual.data()));
      step(engine, static_cast<std::int64_t>(n), gradient.data(), engine_state, expected.data());
      ASSERT_EQ(actual, expected) << "n = " << n << ", step " << t;
    }
    std::vector<float> expected_state(l2o_run_state_size(run.get()));
    backend->export_state(engine_rule.cell, static_cast<std::int64_t>(n), engine_state.data(),
                          expected_state.data());
    EXPECT_EQ(state(run), expected_state);
  }
}

const std::vector<std::size_t> kSizes = {3, 0, 32, 100, 1};

struct SeveralTensors {
  Owned<l2o_context> context = cpu_context();
  Owned<l2o_optimizer> rule = optimizer();
  Owned<l2o_run> run;
  std::size_t n = std::accumulate(kSizes.begin(), kSizes.end(), std::size_t{0});

  SeveralTensors() {
    EXPECT_OK(
        l2o_run_create_multi(context.get(), rule.get(), kSizes.size(), kSizes.data(), run.out()));
  }

  /// The tensors of a flat array, contiguous.
  template <class Value>
  static std::vector<Value*> tensors(Value* flat) {
    std::vector<Value*> pointers;
    for (const std::size_t size : kSizes) {
      pointers.push_back(size == 0 ? nullptr : flat);
      flat += size;
    }
    return pointers;
  }
};

TEST(Run, SeveralTensorsEqualOneLargeTensor) {
  SeveralTensors apart, flat;
  const Owned<l2o_run> whole = test::run(flat.context, flat.rule, flat.n);
  ASSERT_EQ(l2o_run_state_size(apart.run.get()), l2o_run_state_size(whole.get()));

  Numbers numbers(4);
  std::vector<float> expected = numbers.uniform(apart.n, -1.0F, 1.0F);
  std::vector<float> one_call = expected, one_tensor = expected;
  for (int t = 0; t < 5; ++t) {
    const std::vector<float> gradient = numbers.gradients(apart.n);
    ASSERT_OK(l2o_run_step_multi(apart.run.get(), kSizes.size(),
                                 SeveralTensors::tensors(gradient.data()).data(),
                                 SeveralTensors::tensors(expected.data()).data()));
    ASSERT_OK(l2o_run_step(flat.run.get(), gradient.data(), one_call.data()));
    ASSERT_OK(l2o_run_step(whole.get(), gradient.data(), one_tensor.data()));
    ASSERT_EQ(expected, one_call);
    ASSERT_EQ(expected, one_tensor);
  }
  EXPECT_EQ(state(apart.run), state(flat.run));
  EXPECT_EQ(state(apart.run), state(whole));

  // And a state of one tensor is a state of several.
  const std::vector<float> kept = state(whole);
  EXPECT_OK(l2o_run_reset(apart.run.get()));
  EXPECT_OK(l2o_run_set_state(apart.run.get(), kept.data(), kept.size()));
  EXPECT_EQ(state(apart.run), kept);
}

TEST(Run, RequiresEveryTensor) {
  SeveralTensors several;
  std::vector<float> values(several.n, 0.0F);
  const std::vector<const float*> gradients =
      SeveralTensors::tensors(static_cast<const float*>(values.data()));
  std::vector<float*> parameters = SeveralTensors::tensors(values.data());
  expect_refused(
      l2o_run_step_multi(several.run.get(), kSizes.size() - 1, gradients.data(), parameters.data()),
      L2O_INVALID_ARGUMENT, "count");
  parameters[2] = nullptr;
  expect_refused(
      l2o_run_step_multi(several.run.get(), kSizes.size(), gradients.data(), parameters.data()),
      L2O_INVALID_ARGUMENT, "parameters");
}

TEST(Run, ContinuesFromASavedStateBitForBit) {
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  const std::size_t n = 77;
  const Owned<l2o_run> first = test::run(context, rule, n), second = test::run(context, rule, n);
  Numbers numbers(5);
  std::vector<float> parameters = numbers.uniform(n, -1.0F, 1.0F);
  for (int t = 0; t < 4; ++t) {
    ASSERT_OK(l2o_run_step(first.get(), numbers.gradients(n).data(), parameters.data()));
  }
  const std::vector<float> kept = state(first);
  std::vector<float> resumed = parameters;
  ASSERT_OK(l2o_run_set_state(second.get(), kept.data(), kept.size()));
  for (int t = 0; t < 4; ++t) {
    const std::vector<float> gradient = numbers.gradients(n);
    ASSERT_OK(l2o_run_step(first.get(), gradient.data(), parameters.data()));
    ASSERT_OK(l2o_run_step(second.get(), gradient.data(), resumed.data()));
  }
  EXPECT_EQ(parameters, resumed);
  EXPECT_EQ(state(first), state(second));
}

/// A run that repeats its first step: the scales affect its parameters, not its state.
struct Scaled : testing::Test {
  static constexpr std::size_t kN = 45;  // more than a tile
  Owned<l2o_context> context = cpu_context();
  Owned<l2o_optimizer> rule = optimizer();
  Owned<l2o_run> run = test::run(context, rule, kN);
  std::vector<float> gradient = Numbers(7).gradients(kN);
  std::vector<float> start = Numbers(8).uniform(kN, -1.0F, 1.0F);

  /// The parameters after a step from `from` with the current scales.
  std::vector<float> stepped(std::vector<float> from, const std::vector<float>& by) const {
    EXPECT_OK(l2o_run_reset(run.get()));
    EXPECT_OK(l2o_run_step(run.get(), by.data(), from.data()));
    return from;
  }
  /// The rule's own updates: those at theta = 0 with scales of 1.
  std::vector<float> updates(const std::vector<float>& by) const {
    EXPECT_OK(l2o_run_set_scales(run.get(), 1.0F, 1.0F, 0.0F));
    return stepped(std::vector<float>(kN, 0.0F), by);
  }
};

TEST_F(Scaled, MultiplyTheUpdateAndTheDecayExactly) {
  const std::vector<float> update = updates(gradient);
  for (const float update_scale : {0.25F, 0.0F, 1.0F, 2.0F}) {
    for (const float weight_decay : {0.0F, 0.125F}) {
      ASSERT_OK(l2o_run_set_scales(run.get(), update_scale, 1.0F, weight_decay));
      const std::vector<float> actual = stepped(start, gradient);
      for (std::size_t i = 0; i < kN; ++i) {
        // Powers of two: no product rounds, so fusing makes no difference.
        const float direction = update[i] - weight_decay * start[i];
        ASSERT_EQ(actual[i], start[i] + update_scale * direction)
            << update_scale << ", " << weight_decay << ", " << i;
      }
    }
  }
}

TEST_F(Scaled, MultiplyTheGradientBeforeTheRuleSeesIt) {
  std::vector<float> larger = gradient;
  for (float& value : larger) value *= 8.0F;
  const std::vector<float> expected = updates(larger), expected_state = state(run);
  ASSERT_OK(l2o_run_set_scales(run.get(), 1.0F, 8.0F, 0.0F));
  EXPECT_EQ(stepped(std::vector<float>(kN, 0.0F), gradient), expected);
  EXPECT_EQ(state(run), expected_state);
}

TEST_F(Scaled, ChangeFromStepToStepAndLeaveTheStateAlone) {
  const Owned<l2o_run> plain = test::run(context, rule, kN);
  std::vector<float> scaled = start, unscaled(kN, 0.0F), before(kN);
  for (int t = 0; t < 8; ++t) {
    const float scale = std::ldexp(1.0F, -t);
    before.assign(kN, 0.0F);
    ASSERT_OK(l2o_run_step(plain.get(), gradient.data(), before.data()));
    ASSERT_OK(l2o_run_set_scales(run.get(), scale, 1.0F, 0.0F));
    std::vector<float> expected = scaled;
    for (std::size_t i = 0; i < kN; ++i) expected[i] += scale * before[i];
    ASSERT_OK(l2o_run_step(run.get(), gradient.data(), scaled.data()));
    ASSERT_EQ(scaled, expected) << "step " << t;
  }
  EXPECT_EQ(state(run), state(plain));
}

TEST_F(Scaled, ApplyToEveryTensorAndAfterAReset) {
  const std::size_t sizes[] = {40, 5};
  Owned<l2o_run> apart;
  ASSERT_OK(l2o_run_create_multi(context.get(), rule.get(), 2, sizes, apart.out()));
  for (l2o_run* each : {run.get(), apart.get()}) {
    ASSERT_OK(l2o_run_set_scales(each, 0.5F, 3.0F, 0.01F));
    ASSERT_OK(l2o_run_reset(each));
  }
  std::vector<float> actual = start;
  const float* gradients[] = {gradient.data(), gradient.data() + sizes[0]};
  float* tensors[] = {actual.data(), actual.data() + sizes[0]};
  ASSERT_OK(l2o_run_step_multi(apart.get(), 2, gradients, tensors));
  EXPECT_EQ(actual, stepped(start, gradient));
  ASSERT_OK(l2o_run_set_scales(run.get(), 1.0F, 1.0F, 0.0F));
  EXPECT_NE(actual, stepped(start, gradient));
}

TEST_F(Scaled, ASkippedStepDoesNotDecay) {
  ASSERT_OK(l2o_run_set_scales(run.get(), 1.0F, 1.0F, 0.5F));
  gradient[3] = NAN;
  EXPECT_EQ(stepped(start, gradient), start);
}

TEST_F(Scaled, InvalidValuesAreRejectedByNameAndChangeNothing) {
  ASSERT_OK(l2o_run_set_scales(run.get(), 0.5F, 2.0F, 0.25F));
  const std::vector<float> expected = stepped(start, gradient);
  const auto refuse = [&](float update, float scale, float decay, const char* message) {
    expect_refused(l2o_run_set_scales(run.get(), update, scale, decay), L2O_INVALID_ARGUMENT,
                   message);
  };
  for (const float bad : {NAN, HUGE_VALF, -HUGE_VALF, -1.0F}) {
    refuse(bad, 1.0F, 0.0F, "update_scale is ");
    refuse(1.0F, bad, 0.0F, "gradient_scale is ");
    refuse(1.0F, 1.0F, bad, "weight_decay is ");
  }
  refuse(1.0F, 0.0F, 0.0F, "gradient_scale is 0; expected a finite number above 0");
  refuse(1.0F, 1.0F, -0.5F, "weight_decay is -0.5; expected a finite number of at least 0");
  EXPECT_EQ(stepped(start, gradient), expected);
}

TEST(Run, KeepsItsMetaParametersUntilItIsReset) {
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  const Owned<l2o_run> run = test::run(context, rule, 8);
  const std::vector<float> gradient = Numbers(6).gradients(8);
  const auto moved_by_first_step = [&](const Owned<l2o_run>& by) {
    std::vector<float> parameters(8, 0.0F);
    EXPECT_OK(l2o_run_step(by.get(), gradient.data(), parameters.data()));
    return parameters;
  };
  const std::vector<float> before = moved_by_first_step(run);

  std::vector<float> phi = test::meta_parameters(rule);
  for (float& value : phi) value *= 0.5F;
  ASSERT_OK(l2o_optimizer_set_meta_parameters(rule.get(), phi.data(), phi.size()));
  const std::vector<float> zeros(l2o_run_state_size(run.get()), 0.0F);
  ASSERT_OK(l2o_run_set_state(run.get(), zeros.data(), zeros.size()));
  EXPECT_EQ(moved_by_first_step(run), before);

  ASSERT_OK(l2o_run_reset(run.get()));
  EXPECT_EQ(state(run), zeros);
  const std::vector<float> after = moved_by_first_step(run);
  EXPECT_NE(after, before);
  EXPECT_EQ(after, moved_by_first_step(test::run(context, rule, 8)));
}

TEST(Run, ZeroCoordinatesAreNoOp) {
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  const Owned<l2o_run> run = test::run(context, rule, 0);
  EXPECT_OK(l2o_run_step(run.get(), nullptr, nullptr));
  EXPECT_EQ(l2o_run_state_size(run.get()), 0U);
  EXPECT_OK(l2o_run_get_state(run.get(), nullptr, 0));
  EXPECT_OK(l2o_run_set_state(run.get(), nullptr, 0));

  Owned<l2o_run> no_tensors;
  ASSERT_OK(l2o_run_create_multi(context.get(), rule.get(), 0, nullptr, no_tensors.out()));
  EXPECT_OK(l2o_run_step_multi(no_tensors.get(), 0, nullptr, nullptr));
}

TEST(Run, ReportsTheMemoryNeeded) {
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  Owned<l2o_run> run;
  expect_refused(l2o_run_create(context.get(), rule.get(), std::size_t{1} << 45, run.out()),
                 L2O_OUT_OF_MEMORY, std::to_string((std::size_t{1} << 45) * 20 * 4));
  EXPECT_EQ(run.get(), nullptr);
  expect_refused(l2o_run_create(context.get(), rule.get(), SIZE_MAX, run.out()), L2O_OUT_OF_MEMORY,
                 "address space");
  EXPECT_OK(l2o_run_create(context.get(), rule.get(), 10, run.out()));
}

TEST(Run, OutlivesItsSources) {
  std::vector<float> parameters(10, 0.0F);
  const std::vector<float> gradient(10, 0.5F);
  Owned<l2o_run> run;
  {
    const Owned<l2o_context> context = cpu_context();
    const Owned<l2o_optimizer> rule = optimizer();
    run = test::run(context, rule, 10);
  }
  EXPECT_OK(l2o_run_step(run.get(), gradient.data(), parameters.data()));
  EXPECT_OK(l2o_run_reset(run.get()));
  EXPECT_NE(parameters, std::vector<float>(10, 0.0F));
}

}  // namespace
}  // namespace l2o
