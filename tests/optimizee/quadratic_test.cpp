#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/math/normal.h"
#include "tests/optimizee/batch.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

struct Moments {
  double mean = 0.0;
  double variance = 0.0;
};

Moments moments(const std::vector<float>& values) {
  Moments result;
  for (const float value : values) result.mean += value / static_cast<double>(values.size());
  for (const float value : values) {
    const double difference = value - result.mean;
    result.variance += difference * difference / static_cast<double>(values.size());
  }
  return result;
}

/// Recomputes W and y from the documented random streams, and f and its gradient in double.
void expect_documented_draws(const std::string& distribution, float (*draw)(std::uint32_t bits)) {
  constexpr std::size_t kF = 4;
  constexpr std::size_t kD = 3;
  constexpr std::uint32_t kTasks = 2;
  const TaskRange range{.seed = 21, .first = 6};
  Batch batch(
      "name = 'quadratic'\nfunctions = 4\ndimension = 3\ndistribution = '" + distribution + "'", "",
      kTasks, range);
  ASSERT_EQ(batch.coordinates(), kF * kD);
  const std::vector<float> theta = uniform_numbers(1, kTasks * kF * kD);
  const Batch::Evaluation result = batch.evaluate(theta);
  for (std::uint32_t task = 0; task < kTasks; ++task) {
    const RandomKey matrices{range.seed, RandomPurpose::kTaskData, range.first + task, 0};
    const RandomKey targets{range.seed, RandomPurpose::kTaskData, range.first + task, 1};
    double loss = 0.0, loss_size = 0.0;
    for (std::size_t f = 0; f < kF; ++f) {
      // A size is the sum of the absolute values of all terms.
      double gradient[kD] = {}, gradient_size[kD] = {};
      const std::size_t offset = (task * kF + f) * kD;
      for (std::size_t i = 0; i < kD; ++i) {
        double row[kD];
        double residual = -double{draw(random_bits(targets, f * kD + i))};
        double size = std::abs(residual);
        for (std::size_t j = 0; j < kD; ++j) {
          row[j] = draw(random_bits(matrices, (f * kD + i) * kD + j));
          residual += row[j] * theta[offset + j];
          size += std::abs(row[j] * theta[offset + j]);
        }
        loss += residual * residual / kF;
        loss_size += size * size / kF;
        for (std::size_t j = 0; j < kD; ++j) {
          gradient[j] += 2.0 * residual * row[j] / kF;
          gradient_size[j] += 2.0 * size * std::abs(row[j]) / kF;
        }
      }
      for (std::size_t j = 0; j < kD; ++j) {
        EXPECT_NEAR(result.gradient[offset + j], gradient[j],
                    tolerance::kQuadratic * gradient_size[j]);
      }
    }
    EXPECT_NEAR(result.loss[task], loss, tolerance::kQuadratic * loss_size);
  }
}

TEST(Quadratic, UniformDrawsMatchFloat64) { expect_documented_draws("uniform", uniform_from_bits); }

TEST(Quadratic, GaussianDrawsMatchFloat64) {
  expect_documented_draws("gaussian", normal_from_bits);
}

TEST(Quadratic, DefaultsFollowThePapersCode) {
  Batch batch("name = 'quadratic'", "", 4, {.seed = 3, .first = 0});
  EXPECT_EQ(batch.coordinates(), 1280U);
  const std::vector<float> theta = batch.initial_parameters();
  const RandomKey stream{
      .seed = 3, .purpose = RandomPurpose::kInitialParameters, .task = 0, .step = 0};
  EXPECT_EQ(theta, batch.normal_draws(stream, 4, 1280, 0.01F));
  // 5,120 draws: with probability 1 - 1e-6 the mean of N(0, s^2) is within 5 s / sqrt(5120) of 0,
  // and the variance is within 5 s^2 sqrt(2 / 5120) of s^2.
  const Moments m = moments(theta);
  EXPECT_NEAR(m.mean, 0.0, 0.01 * 0.07);
  EXPECT_NEAR(m.variance, 1e-4, 1e-4 * 0.1);
  // At theta = 0 the loss, mean |W theta - y|^2, is the mean of |y|^2: D E[y^2] = 10/3,
  // y ~ U[0,1). Its standard error over 512 functions is sqrt(10 Var[y^2] / 512) = 0.042.
  const std::vector<float> loss = batch.evaluate(std::vector<float>(theta.size())).loss;
  EXPECT_NEAR(moments(loss).mean, 10.0 / 3.0, 5 * 0.042);
}

TEST(Quadratic, GaussianTasksHaveGaussianData) {
  Batch batch("name = 'quadratic'\ndistribution = 'gaussian'", "", 4, {.seed = 3, .first = 0});
  const std::vector<float> zero(4 * 1280);
  // The loss at theta = 0 is the mean of |y|^2: D E[y^2] = 10 with standard error sqrt(10 * 2 /
  // 512) = 0.2.
  EXPECT_NEAR(moments(batch.evaluate(zero).loss).mean, 10.0, 5 * 0.2);
  // The gradient at 0 is -2 W^T y / F: mean 0, variance (2/128)^2 * 10, and a kurtosis below 10.
  const Moments m = moments(batch.evaluate(zero).gradient);
  const double variance = 4.0 / (128.0 * 128.0) * 10.0;
  EXPECT_NEAR(m.mean, 0.0, 5.0 * std::sqrt(variance / 5120.0));
  EXPECT_NEAR(m.variance, variance, variance * 5.0 * 3.0 / std::sqrt(5120.0));
}

TEST(Quadratic, TasksDifferByNumberAndBySeed) {
  const std::string text = "name = 'quadratic'\nfunctions = 2";
  Batch batch(text, "", 2, {.seed = 1, .first = 0});
  Batch other(text, "", 2, {.seed = 2, .first = 0});
  const std::vector<float> theta(2 * batch.coordinates());
  const std::vector<float> loss = batch.evaluate(theta).loss;
  EXPECT_NE(loss[0], loss[1]);
  EXPECT_NE(loss[0], other.evaluate(theta).loss[0]);
  EXPECT_NE(batch.initial_parameters(), other.initial_parameters());
}

}  // namespace
}  // namespace l2o
