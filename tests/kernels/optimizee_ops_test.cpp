// The ops that optimizees are made of, against plain double loops. Bounds: a float sum of k terms
// is off by at most about k 2^-24 times the sum of their magnitudes, whatever its order.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

constexpr double kUlp = 0x1p-24;  // relative rounding of one float operation

/// `count` numbers from U[-scale, scale).
std::vector<float> numbers(std::uint32_t stream, std::int64_t count, float scale = 1.0F) {
  const RandomKey key{.seed = 7, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = scale * (2.0F * uniform_from_bits(random_bits(key, i)) - 1.0F);
  }
  return values;
}

/// Runs an op on 1, 2 and 3 threads, demands bitwise equal results and returns them.
std::vector<float> on_any_threads(const std::function<std::vector<float>(cpu::ThreadPool&)>& op) {
  cpu::ThreadPool one(1);
  const std::vector<float> expected = op(one);
  for (const int threads : {2, 3}) {
    cpu::ThreadPool pool(threads);
    const std::vector<float> result = op(pool);
    EXPECT_EQ(result.size(), expected.size());
    EXPECT_EQ(std::memcmp(result.data(), expected.data(), result.size() * sizeof(float)), 0)
        << threads << " threads";
  }
  return expected;
}

double activate(Activation activation, double z) {
  switch (activation) {
    case Activation::kIdentity:
      return z;
    case Activation::kSigmoid:
      return 1.0 / (1.0 + std::exp(-z));
    case Activation::kRelu:
      return std::max(z, 0.0);
    case Activation::kTanh:
      return std::tanh(z);
  }
  return 0.0;
}

/// By differences: independent of the formulas that the op uses.
double activation_slope(Activation activation, double z) {
  constexpr double kStep = 1e-6;
  return (activate(activation, z + kStep) - activate(activation, z - kStep)) / (2.0 * kStep);
}

constexpr Activation kActivations[] = {Activation::kIdentity, Activation::kSigmoid,
                                       Activation::kRelu, Activation::kTanh};

TEST(Gemm, MatchesDouble) {
  struct Shape {
    int m, n, k;
  };
  for (const Shape shape :
       {Shape{1, 1, 1}, Shape{3, 5, 2}, Shape{128, 20, 784}, Shape{784, 20, 128},
        Shape{128, 10, 20}, Shape{33, 1, 70}, Shape{500, 64, 64}}) {
    for (int variant = 0; variant < 8; ++variant) {
      constexpr int kBatch = 3;
      GemmArgs args;
      args.transpose_a = (variant & 1) != 0;
      args.transpose_b = (variant & 2) != 0;
      args.alpha = (variant & 4) != 0 ? -0.5F : 1.0F;
      args.beta = (variant & 4) != 0 ? 2.0F : 0.0F;
      args.m = shape.m;
      args.n = shape.n;
      args.k = shape.k;
      args.batch = kBatch;
      args.stride_a = std::int64_t{shape.m} * shape.k + 3;  // gaps between the tasks
      args.stride_b = std::int64_t{shape.k} * shape.n + 5;
      args.stride_c = std::int64_t{shape.m} * shape.n + 7;
      const std::vector<float> a = numbers(1, kBatch * args.stride_a);
      const std::vector<float> b = numbers(2, kBatch * args.stride_b);
      std::vector<float> start = numbers(3, kBatch * args.stride_c);
      // With beta = 0 the old contents do not matter, whatever they are.
      if (args.beta == 0.0F) start.assign(start.size(), std::numeric_limits<float>::quiet_NaN());
      args.a = a.data();
      args.b = b.data();
      const std::vector<float> c = on_any_threads([&](cpu::ThreadPool& pool) {
        std::vector<float> result = start;
        args.c = result.data();
        cpu::gemm(args, pool);
        return result;
      });
      for (int task = 0; task < kBatch; ++task) {
        for (int i = 0; i < shape.m; ++i) {
          for (int j = 0; j < shape.n; ++j) {
            double sum = 0.0;
            double magnitude = 0.0;
            for (int l = 0; l < shape.k; ++l) {
              const double x = a[static_cast<std::size_t>(
                  task * args.stride_a + (args.transpose_a ? l * shape.m + i : i * shape.k + l))];
              const double y = b[static_cast<std::size_t>(
                  task * args.stride_b + (args.transpose_b ? j * shape.k + l : l * shape.n + j))];
              sum += x * y;
              magnitude += std::abs(x * y);
            }
            const auto at = static_cast<std::size_t>(task * args.stride_c + i * shape.n + j);
            const double old = args.beta == 0.0F ? 0.0 : start[at];
            const double expected = args.alpha * sum + args.beta * old;
            const double bound = kUlp * (shape.k + 3) * (magnitude + std::abs(args.beta * old));
            ASSERT_NEAR(c[at], expected, bound) << shape.m << " x " << shape.n << " x " << shape.k;
          }
        }
        // The gaps stay as they were.
        for (std::int64_t gap = std::int64_t{shape.m} * shape.n; gap < args.stride_c; ++gap) {
          const auto at = static_cast<std::size_t>(task * args.stride_c + gap);
          ASSERT_EQ(std::memcmp(&c[at], &start[at], sizeof(float)), 0);
        }
      }
    }
  }
}

TEST(Gemm, AMatrixDoesNotDependOnItsBatch) {
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

TEST(Gemm, ManyProductsAtOnceDoNotDisturbEachOther) {
  // A serial OpenBLAS called by several threads gives a wrong product once in a while only.
  GemmArgs args;
  args.m = 64;
  args.n = 20;
  args.k = 784;
  args.batch = 16;
  args.stride_a = 0;  // all products are the same one
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

TEST(BiasActivation, MatchesDouble) {
  constexpr int kBatch = 2, kRows = 70, kColumns = 67;
  constexpr std::int64_t kBiasStride = kColumns + 4;
  const std::vector<float> start = numbers(1, kBatch * kRows * kColumns, 6.0F);
  const std::vector<float> bias = numbers(2, kBatch * kBiasStride);
  for (const Activation activation : kActivations) {
    const std::vector<float> values = on_any_threads([&](cpu::ThreadPool& pool) {
      std::vector<float> result = start;
      cpu::bias_activation({.activation = activation,
                            .batch = kBatch,
                            .rows = kRows,
                            .columns = kColumns,
                            .values = result.data(),
                            .bias = bias.data(),
                            .bias_stride = kBiasStride},
                           pool);
      return result;
    });
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t task = i / (kRows * kColumns);
      const double z = double{start[i]} + bias[task * kBiasStride + i % kColumns];
      // Rounding of z, |z| <= 7, goes through a slope of at most 1; then a few roundings more.
      EXPECT_NEAR(values[i], activate(activation, z), 10 * kUlp);
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
  for (const Activation activation : kActivations) {
    EXPECT_TRUE(std::isnan(run(activation, std::numeric_limits<float>::quiet_NaN())));
  }
}

TEST(BiasActivationBackward, MatchesDouble) {
  constexpr int kBatch = 2, kRows = 70, kColumns = 67;
  constexpr std::int64_t kStride = kColumns + 4;
  const std::vector<float> z = numbers(1, kBatch * kRows * kColumns, 3.0F);
  const std::vector<float> start = numbers(2, kBatch * kRows * kColumns);
  for (const Activation activation : kActivations) {
    std::vector<float> y(z.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = static_cast<float>(activate(activation, z[i]));
    }
    constexpr std::size_t kCount = kBatch * kRows * kColumns;
    const std::vector<float> result = on_any_threads([&](cpu::ThreadPool& pool) {
      std::vector<float> out = start;  // the adjoint, and behind it the bias gradient
      out.resize(kCount + kBatch * kStride);
      cpu::bias_activation_backward(
          {.activation = activation,
           .batch = kBatch,
           .rows = kRows,
           .columns = kColumns,
           .activated = activation == Activation::kIdentity ? nullptr : y.data(),
           .adjoint = out.data(),
           .bias_gradient = out.data() + kCount,
           .bias_gradient_stride = kStride},
          pool);
      return out;
    });
    // y is rounded to float and enters the slope with a factor of at most 2; the differences of the
    // reference are good to 1e-9.
    constexpr double kBound = 6 * kUlp;
    for (std::size_t task = 0; task < kBatch; ++task) {
      for (std::size_t j = 0; j < kColumns; ++j) {
        double sum = 0.0;
        for (std::size_t row = 0; row < kRows; ++row) {
          const std::size_t at = (task * kRows + row) * kColumns + j;
          const double expected = start[at] * activation_slope(activation, z[at]);
          EXPECT_NEAR(result[at], expected, kBound);
          sum += expected;
        }
        EXPECT_NEAR(result[kCount + task * kStride + j], sum, kRows * kBound);
      }
    }
  }
}

TEST(SoftmaxCrossEntropy, MatchesDouble) {
  constexpr int kBatch = 3, kRows = 50, kClasses = 11;
  for (const float scale : {1.0F, 20.0F}) {
    const std::vector<float> logits = numbers(1, kBatch * kRows * kClasses, scale);
    std::vector<std::uint8_t> labels(kBatch * kRows);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      labels[i] = static_cast<std::uint8_t>(i * 7 % kClasses);
    }
    const std::vector<float> result = on_any_threads([&](cpu::ThreadPool& pool) {
      std::vector<float> out = logits;  // the gradient, and behind it the losses
      out.resize(logits.size() + kBatch);
      cpu::softmax_cross_entropy({.batch = kBatch,
                                  .rows = kRows,
                                  .classes = kClasses,
                                  .logits = out.data(),
                                  .labels = labels.data(),
                                  .loss = out.data() + logits.size()},
                                 pool);
      return out;
    });
    for (std::size_t task = 0; task < kBatch; ++task) {
      double loss = 0.0;
      for (std::size_t row = task * kRows; row < (task + 1) * kRows; ++row) {
        const float* z = logits.data() + row * kClasses;
        double sum = 0.0;
        for (int j = 0; j < kClasses; ++j) sum += std::exp(double{z[j]});
        loss += (std::log(sum) - z[labels[row]]) / kRows;
        for (int j = 0; j < kClasses; ++j) {
          const double expected = (std::exp(double{z[j]}) / sum - (j == labels[row])) / kRows;
          // Differences of logits are rounded at 2 scale, and so is their exponential, relatively.
          const double bound = kUlp * (kClasses + 8 + 2.0 * scale) / kRows;
          EXPECT_NEAR(result[row * kClasses + static_cast<std::size_t>(j)], expected, bound);
        }
      }
      EXPECT_NEAR(result[logits.size() + task], loss, kUlp * (kClasses + 8 + 4.0 * scale));
    }
  }
}

TEST(SoftmaxCrossEntropy, StandsHugeLogitsAndShowsNan) {
  cpu::ThreadPool pool(1);
  const std::uint8_t label = 1;
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

TEST(GatherMinibatch, DrawsTheDocumentedRows) {
  constexpr int kBatch = 3, kRows = 70, kRowSize = 5;
  constexpr std::int64_t kCount = 1000;
  std::vector<std::uint8_t> inputs(kCount * kRowSize);
  std::vector<std::uint8_t> labels(kCount);
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = static_cast<std::uint8_t>(i * 31);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::uint8_t>(i * 13);
  const RandomKey key{.seed = 5, .purpose = RandomPurpose::kMinibatch, .task = 11, .step = 3};
  std::vector<std::uint8_t> drawn(kBatch * kRows);
  const std::vector<float> minibatch = on_any_threads([&](cpu::ThreadPool& pool) {
    std::vector<float> out(kBatch * kRows * kRowSize);
    cpu::gather_minibatch({.key = &key,
                           .step = 4,
                           .batch = kBatch,
                           .rows = kRows,
                           .count = kCount,
                           .row_size = kRowSize,
                           .inputs = inputs.data(),
                           .labels = labels.data(),
                           .scale = 0.25F,
                           .minibatch = out.data(),
                           .minibatch_labels = drawn.data()},
                          pool);
    return out;
  });
  for (std::size_t task = 0; task < kBatch; ++task) {
    for (std::size_t row = 0; row < kRows; ++row) {
      RandomKey stream = key;
      stream.task += static_cast<std::uint32_t>(task);
      stream.step += 4;
      const double u = uniform_from_bits(random_bits(stream, row));
      const auto source = static_cast<std::size_t>(std::floor(u * kCount));
      const std::size_t at = task * kRows + row;
      EXPECT_EQ(drawn[at], labels[source]);
      for (std::size_t i = 0; i < kRowSize; ++i) {
        EXPECT_EQ(minibatch[at * kRowSize + i], 0.25F * inputs[source * kRowSize + i]);
      }
    }
  }
}

TEST(Quadratic, MatchesDouble) {
  struct Shape {
    int functions, dimension;
  };
  for (const Shape shape : {Shape{1, 1}, Shape{128, 10}, Shape{3, 37}}) {
    constexpr int kBatch = 3;
    const std::int64_t count = std::int64_t{kBatch} * shape.functions * shape.dimension;
    const std::vector<float> matrices = numbers(1, count * shape.dimension);
    const std::vector<float> targets = numbers(2, count);
    const std::vector<float> theta = numbers(3, count);
    const float scale = 1.0F / static_cast<float>(shape.functions);
    const std::vector<float> result = on_any_threads([&](cpu::ThreadPool& pool) {
      std::vector<float> out(static_cast<std::size_t>(count + kBatch));  // gradient, losses
      cpu::quadratic({.batch = kBatch,
                      .functions = shape.functions,
                      .dimension = shape.dimension,
                      .scale = scale,
                      .matrices = matrices.data(),
                      .targets = targets.data(),
                      .theta = theta.data(),
                      .loss = out.data() + count,
                      .gradient = out.data()},
                     pool);
      return out;
    });
    const auto dimension = static_cast<std::size_t>(shape.dimension);
    for (std::size_t task = 0; task < kBatch; ++task) {
      double loss = 0.0;
      double loss_bound = 0.0;
      for (std::size_t f = 0; f < static_cast<std::size_t>(shape.functions); ++f) {
        const std::size_t function = task * static_cast<std::size_t>(shape.functions) + f;
        const float* w = matrices.data() + function * dimension * dimension;
        std::vector<double> gradient(dimension);
        // Every residual is a sum of D + 1 terms below 1 in magnitude.
        const double residual_bound = kUlp * (shape.dimension + 2) * (shape.dimension + 1);
        for (std::size_t i = 0; i < dimension; ++i) {
          double residual = -targets[function * dimension + i];
          for (std::size_t j = 0; j < dimension; ++j) {
            residual += double{w[i * dimension + j]} * theta[function * dimension + j];
          }
          loss += scale * residual * residual;
          loss_bound += scale * 2.0 * std::abs(residual) * residual_bound;
          for (std::size_t j = 0; j < dimension; ++j) {
            gradient[j] += 2.0 * scale * residual * w[i * dimension + j];
          }
        }
        for (std::size_t j = 0; j < dimension; ++j) {
          EXPECT_NEAR(result[function * dimension + j], gradient[j],
                      2.0 * scale * 2.0 * shape.dimension * residual_bound);
        }
      }
      EXPECT_NEAR(result[static_cast<std::size_t>(count) + task], loss,
                  loss_bound + 4.0 * kUlp * loss);
    }
  }
}

TEST(OptimizeeOps, ASizeOfZeroIsANoOp) {
  // All pointers are null: whatever touched memory would crash.
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
  cpu::quadratic({.batch = 0, .functions = 1, .dimension = 1}, pool);
  cpu::quadratic({.batch = 1, .functions = 0, .dimension = 1}, pool);
}

}  // namespace
}  // namespace l2o
