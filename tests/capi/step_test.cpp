// l2o_step: a rule's step on state that the caller owns.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <new>

#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"

namespace l2o {
namespace {

using test::cpu_context;
using test::expect_refused;
using test::Numbers;
using test::optimizer;
using test::Owned;

/// The buffers of an l2o_tensor of n parameters, all zero at first.
struct Tensor {
  Tensor(const Owned<l2o_context>& context, const Owned<l2o_optimizer>& rule, std::size_t n)
      : gradient(n),
        parameters(n),
        state_bytes(l2o_state_bytes(context.get(), rule.get(), n)),
        state(new (std::align_val_t{64}) std::byte[std::max<std::size_t>(state_bytes, 1)]()) {}

  l2o_tensor get() { return {gradient.size(), gradient.data(), parameters.data(), state.get()}; }

  struct Free {
    void operator()(std::byte* bytes) const { operator delete[](bytes, std::align_val_t{64}); }
  };
  std::vector<float> gradient, parameters;
  std::size_t state_bytes;
  std::unique_ptr<std::byte[], Free> state;
};

struct Step : testing::Test {
  Owned<l2o_context> context = cpu_context();
  Owned<l2o_optimizer> rule = optimizer();
  l2o_step_options options = [] {
    l2o_step_options defaults;
    l2o_step_options_init(&defaults);
    return defaults;
  }();

  l2o_status step(std::vector<l2o_tensor> tensors) {
    return l2o_step(context.get(), rule.get(), tensors.size(), tensors.data(), &options);
  }
};

TEST_F(Step, MatchesRunStepBitForBit) {
  const std::vector<std::size_t> sizes = {3, 0, 32, 1000};
  Owned<l2o_run> run;
  ASSERT_OK(l2o_run_create_multi(context.get(), rule.get(), sizes.size(), sizes.data(), run.out()));
  ASSERT_OK(l2o_run_set_scales(run.get(), 0.5F, 3.0F, 0.01F));
  options.update_scale = 0.5F;
  options.gradient_scale = 3.0F;
  options.weight_decay = 0.01F;
  std::vector<Tensor> tensors;
  for (const std::size_t n : sizes) tensors.emplace_back(context, rule, n);
  std::vector<std::vector<float>> expected;
  Numbers numbers(5);
  for (Tensor& tensor : tensors) {
    tensor.parameters = numbers.uniform(tensor.parameters.size(), -1.0F, 1.0F);
    expected.push_back(tensor.parameters);
  }
  for (int t = 0; t < 5; ++t) {
    std::vector<l2o_tensor> passed;
    std::vector<const float*> gradients;
    std::vector<float*> parameters;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      tensors[i].gradient = numbers.gradients(sizes[i]);
      passed.push_back(tensors[i].get());
      gradients.push_back(tensors[i].gradient.data());
      parameters.push_back(expected[i].data());
    }
    if (t % 2 == 0) {
      ASSERT_OK(step(passed));
    } else {  // one by one, in reverse order
      for (std::size_t i = passed.size(); i-- > 0;) ASSERT_OK(step({passed[i]}));
    }
    ASSERT_OK(l2o_run_step_multi(run.get(), sizes.size(), gradients.data(), parameters.data()));
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      EXPECT_EQ(tensors[i].parameters, expected[i]) << "tensor " << i << ", step " << t;
    }
  }
}

TEST_F(Step, StateMayBeCopiedAsBytes) {
  Tensor one(context, rule, 40), other(context, rule, 40);
  Numbers numbers(6);
  one.gradient = numbers.gradients(40);
  ASSERT_OK(step({one.get()}));
  other.parameters = one.parameters;
  other.gradient = one.gradient = numbers.gradients(40);
  std::memcpy(other.state.get(), one.state.get(), one.state_bytes);
  ASSERT_OK(step({one.get()}));
  ASSERT_OK(step({other.get()}));
  EXPECT_EQ(other.parameters, one.parameters);
  EXPECT_EQ(std::memcmp(other.state.get(), one.state.get(), one.state_bytes), 0);
  // Tiles of 32 coordinates, as documented in the header.
  EXPECT_EQ(one.state_bytes, 2 * 32 * l2o_optimizer_state_size(rule.get()) * sizeof(float));
}

TEST_F(Step, MaximizesByNegatingTheGradient) {
  Tensor up(context, rule, 10), down(context, rule, 10);
  Numbers numbers(7);
  for (int t = 0; t < 3; ++t) {
    up.gradient = numbers.gradients(10);
    for (std::size_t i = 0; i < 10; ++i) down.gradient[i] = -up.gradient[i];
    options.maximize = 1;
    ASSERT_OK(step({up.get()}));
    options.maximize = 0;
    ASSERT_OK(step({down.get()}));
    EXPECT_EQ(up.parameters, down.parameters);
  }
}

TEST_F(Step, UsesTheCurrentMetaParameters) {
  Tensor before(context, rule, 10), after(context, rule, 10);
  before.gradient = after.gradient = Numbers(8).gradients(10);
  ASSERT_OK(step({before.get()}));
  std::vector<float> phi = test::meta_parameters(rule);
  for (float& value : phi) value *= 0.5F;
  ASSERT_OK(l2o_optimizer_set_meta_parameters(rule.get(), phi.data(), phi.size()));
  ASSERT_OK(step({after.get()}));
  EXPECT_NE(after.parameters, before.parameters);
}

TEST_F(Step, NonFiniteGradients) {
  std::uint64_t skipped = 5;
  options.skipped_steps = &skipped;
  Tensor bad(context, rule, 10), good(context, rule, 10);
  good.gradient = bad.gradient = Numbers(9).gradients(10);
  bad.gradient[3] = NAN;
  const std::vector<float> zeros(10, 0.0F);
  ASSERT_OK(step({bad.get(), good.get()}));
  EXPECT_EQ(skipped, 6U);
  EXPECT_EQ(good.parameters, zeros);

  options.nan_policy = L2O_NAN_ERROR;
  expect_refused(step({bad.get(), good.get()}), L2O_NOT_FINITE,
                 "1 of the 20 numbers in the gradient");
  EXPECT_EQ(good.parameters, zeros);

  options.nan_policy = L2O_NAN_ZERO;
  good.gradient[3] = 0.0F;
  ASSERT_OK(step({bad.get(), good.get()}));
  EXPECT_EQ(good.parameters, bad.parameters);
  EXPECT_NE(good.parameters, zeros);
  EXPECT_EQ(skipped, 6U);
}

TEST_F(Step, OverlapsAreRejectedAndChangeNothing) {
  Tensor one(context, rule, 64), two(context, rule, 64);
  one.gradient = two.gradient = std::vector<float>(64, 0.5F);
  const std::string message = "overlap";
  const auto refused = [&](std::vector<l2o_tensor> tensors) {
    expect_refused(step(std::move(tensors)), L2O_INVALID_ARGUMENT, message);
    EXPECT_EQ(one.parameters, std::vector<float>(64, 0.0F));
  };
  l2o_tensor tensor = one.get();
  tensor.gradient = tensor.parameters;
  refused({tensor});
  tensor = one.get();
  tensor.n = 32;
  tensor.gradient = tensor.parameters + 31;
  refused({tensor});
  tensor = two.get();
  tensor.parameters = one.parameters.data() + 63;
  tensor.n = 1;
  refused({one.get(), tensor});
  tensor = two.get();
  tensor.state = one.state.get();
  refused({one.get(), tensor});
  // Adjacent buffers are allowed, and so is one gradient for several tensors.
  l2o_tensor first = one.get(), second = one.get();
  first.n = second.n = 32;
  second.parameters += 32;
  second.state = two.state.get();
  ASSERT_OK(step({second, first}));
  EXPECT_NE(one.parameters[0], 0.0F);
  EXPECT_EQ(one.parameters[0], one.parameters[32]);
}

TEST_F(Step, NoTensorsIsNoOp) {
  EXPECT_OK(l2o_step(context.get(), rule.get(), 0, nullptr, nullptr));
  const l2o_tensor empty = {0, nullptr, nullptr, nullptr};
  EXPECT_OK(l2o_step(context.get(), rule.get(), 1, &empty, nullptr));
  EXPECT_EQ(l2o_state_bytes(context.get(), rule.get(), 0), 0U);
}

TEST_F(Step, ReleasesDestroyedOptimizers) {
  // The context packs each optimizer once and drops it after the optimizer's destruction, so that a
  // thousand of them do not accumulate.
  Tensor tensor(context, rule, 1);
  std::size_t first = 0;
  for (int i = 0; i < 1000; ++i) {
    rule = optimizer();
    ASSERT_OK(step({tensor.get()}));
    const struct mallinfo2 memory = mallinfo2();  // zeros with a sanitizer's allocator
    if (i == 0) first = memory.uordblks + memory.hblkhd;
    ASSERT_LT(memory.uordblks + memory.hblkhd, first + (1 << 20));
  }
}

}  // namespace
}  // namespace l2o
