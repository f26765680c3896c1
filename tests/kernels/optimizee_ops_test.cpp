// Properties of the ops of optimizees other than their arithmetic, which tests/ops covers.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

/// `count` numbers from U[-scale, scale).
std::vector<float> numbers(std::uint32_t stream, std::int64_t count, float scale = 1.0F) {
  const RandomKey key{.seed = 7, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = scale * (2.0F * uniform_from_bits(random_bits(key, i)) - 1.0F);
  }
  return values;
}

TEST(Gemm, ResultDoesNotDependOnTheBatch) {
  GemmArgs args;
  args.m = 300;
  args.n = 20;
  args.k = 500;
  args.stride_a = std::int64_t{args.m} * args.k;
  args.stride_b = std::int64_t{args.k} * args.n;
  args.stride_c = std::int64_t{args.m} * args.n;
  constexpr int kBatch = 3;
  const std::vector<float> a = numbers(1, kBatch * args.stride_a);
  const std::vector<float> b = numbers(2, kBatch * args.stride_b);
  std::vector<float> together(static_cast<std::size_t>(kBatch * args.stride_c));
  std::vector<float> alone(static_cast<std::size_t>(args.stride_c));
  cpu::ThreadPool pool(2);
  args.batch = kBatch;
  args.a = a.data();
  args.b = b.data();
  args.c = together.data();
  cpu::gemm(args, pool);
  for (int task = 0; task < kBatch; ++task) {
    args.batch = 1;
    args.a = a.data() + task * args.stride_a;
    args.b = b.data() + task * args.stride_b;
    args.c = alone.data();
    cpu::gemm(args, pool);
    EXPECT_EQ(std::memcmp(alone.data(), together.data() + task * args.stride_c,
                          alone.size() * sizeof(float)),
              0);
  }
}

TEST(Gemm, ConcurrentProductsDoNotInterfere) {
  GemmArgs args;
  args.m = 64;
  args.n = 20;
  args.k = 784;
  args.batch = 16;
  args.stride_a = 0;  // all products are the same
  args.stride_b = 0;
  args.stride_c = std::int64_t{args.m} * args.n;
  const std::vector<float> a = numbers(1, std::int64_t{args.m} * args.k);
  const std::vector<float> b = numbers(2, std::int64_t{args.k} * args.n);
  args.a = a.data();
  args.b = b.data();
  cpu::ThreadPool pool(4);
  std::vector<float> expected;
  for (int repetition = 0; repetition < 500; ++repetition) {
    std::vector<float> c(static_cast<std::size_t>(args.batch * args.stride_c));
    args.c = c.data();
    cpu::gemm(args, pool);
    if (expected.empty()) expected.assign(c.begin(), c.begin() + args.stride_c);
    for (int product = 0; product < args.batch; ++product) {
      ASSERT_EQ(std::memcmp(c.data() + product * args.stride_c, expected.data(),
                            expected.size() * sizeof(float)),
                0)
          << "repetition " << repetition << ", product " << product;
    }
  }
}

TEST(BiasActivation, SaturatesWithoutOverflowAndKeepsNan) {
  cpu::ThreadPool pool(1);
  const float zero = 0.0F;
  const auto run = [&](Activation activation, float z) {
    cpu::bias_activation({.activation = activation,
                          .batch = 1,
                          .rows = 1,
                          .columns = 1,
                          .values = &z,
                          .bias = &zero,
                          .bias_stride = 1},
                         pool);
    return z;
  };
  EXPECT_EQ(run(Activation::kSigmoid, 1e30F), 1.0F);
  EXPECT_EQ(run(Activation::kSigmoid, -1e30F), 0.0F);
  EXPECT_EQ(run(Activation::kTanh, -1e30F), -1.0F);
  for (const Activation activation :
       {Activation::kIdentity, Activation::kSigmoid, Activation::kRelu, Activation::kTanh,
        Activation::kElu, Activation::kSoftplus}) {
    EXPECT_TRUE(std::isnan(run(activation, std::numeric_limits<float>::quiet_NaN())));
  }
}

TEST(SoftmaxCrossEntropy, HandlesHugeLogitsAndPropagatesNan) {
  cpu::ThreadPool pool(1);
  const std::uint16_t label = 1;
  float loss = 0.0F;
  const auto run = [&](std::vector<float> logits) {
    cpu::softmax_cross_entropy({.batch = 1,
                                .rows = 1,
                                .classes = 3,
                                .logits = logits.data(),
                                .labels = &label,
                                .loss = &loss},
                               pool);
    return logits;
  };
  EXPECT_EQ(run({1e30F, 0.0F, 0.0F}), (std::vector<float>{1.0F, -1.0F, 0.0F}));
  EXPECT_EQ(loss, 1e30F);
  EXPECT_EQ(run({-1e30F, 1e4F, -1e4F}), (std::vector<float>{0.0F, 0.0F, 0.0F}));
  EXPECT_EQ(loss, 0.0F);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t at = 0; at < 3; ++at) {
    std::vector<float> logits = {0.0F, 1.0F, 2.0F};
    logits[at] = nan;
    run(logits);
    EXPECT_TRUE(std::isnan(loss)) << "logit " << at;
  }
}

TEST(OptimizeeOps, ZeroSizeIsNoOp) {
  // All pointers are null: any memory access would crash.
  cpu::ThreadPool pool(2);
  cpu::gemm({.m = 0, .n = 1, .k = 1, .batch = 1}, pool);
  cpu::gemm({.m = 1, .n = 0, .k = 1, .batch = 1}, pool);
  cpu::gemm({.m = 1, .n = 1, .k = 1, .batch = 0}, pool);
  cpu::bias_activation({.batch = 0, .rows = 1, .columns = 1}, pool);
  cpu::bias_activation({.batch = 1, .rows = 0, .columns = 1}, pool);
  cpu::bias_activation({.batch = 1, .rows = 1, .columns = 0}, pool);
  cpu::bias_activation_backward({.batch = 0, .rows = 1, .columns = 1}, pool);
  cpu::bias_activation_backward({.batch = 1, .rows = 1, .columns = 0}, pool);
  cpu::softmax_cross_entropy({.batch = 0, .rows = 1, .classes = 1}, pool);
  cpu::softmax_cross_entropy({.batch = 1, .rows = 0, .classes = 1}, pool);
  cpu::gather_minibatch({.batch = 1, .rows = 0, .count = 1, .row_size = 1}, pool);
  cpu::gather_minibatch({.batch = 0, .rows = 1, .count = 1, .row_size = 1}, pool);
  cpu::activation({.n = 0}, pool);
  cpu::activation_backward({.n = 0}, pool);
  cpu::add({.n = 0}, pool);
  cpu::multiply({.n = 0}, pool);
  cpu::convolution({.shape = {.batch = 0, .images = 1, .out_height = 1, .out_width = 1}}, pool);
  cpu::convolution({.shape = {.batch = 1, .images = 0, .out_height = 1, .out_width = 1}}, pool);
  cpu::convolution_backward_input({.shape = {.batch = 1, .images = 0}}, pool);
  cpu::convolution_backward_weights({.shape = {.batch = 0, .images = 1}}, pool);
  cpu::pool({.shape = {.images = 0}}, pool);
  cpu::pool_backward({.shape = {.images = 0}}, pool);
  cpu::batch_norm({.batch = 1, .rows = 0, .columns = 1}, pool);
  cpu::batch_norm_backward({.batch = 1, .rows = 1, .columns = 0}, pool);
  cpu::layer_norm({.batch = 0, .rows = 1, .columns = 1}, pool);
  cpu::layer_norm_backward({.batch = 1, .rows = 0, .columns = 1}, pool);
  cpu::mean_squared_error({.batch = 1, .rows = 0, .columns = 1}, pool);
  cpu::l2_penalty({.batch = 0, .count = 1}, pool);
  cpu::clipped_squares({.batch = 1, .count = 0}, pool);
  cpu::fill_random({.key = {}, .batch = 1, .count = 0}, pool);
  cpu::quadratic({.batch = 0, .functions = 1, .dimension = 1}, pool);
  cpu::quadratic({.batch = 1, .functions = 0, .dimension = 1}, pool);
}

}  // namespace
}  // namespace l2o
