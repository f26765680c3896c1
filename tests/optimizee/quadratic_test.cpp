#include <gtest/gtest.h>

#include <cmath>

#include "tests/optimizee/batch.h"
#include "tests/support/error_of.h"

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

TEST(Simple, IsTheSumOfSquares) {
  Batch batch("name = 'simple'\ndimension = 3\ninitial = 1.5", "", 2, {});
  EXPECT_EQ(batch.coordinates(), 3U);
  EXPECT_EQ(batch.initial_parameters(), std::vector<float>(6, 1.5F));
  // Small integers: exact in float32.
  const Batch::Evaluation result = batch.evaluate({1, 2, -3, 0, 5, 1});
  EXPECT_EQ(result.loss, (std::vector<float>{14, 26}));
  EXPECT_EQ(result.gradient, (std::vector<float>{2, 4, -6, 0, 10, 2}));
}

TEST(Simple, DefaultsMatchDeepMindsTest) {
  Batch batch("name = 'simple'", "", 1, {});
  EXPECT_EQ(batch.coordinates(), 1U);
  EXPECT_EQ(batch.initial_parameters(), std::vector<float>{1.0F});
}

/// Recomputes W and y from the documented random streams, and f and its gradient in double.
TEST(Quadratic, MatchesFloat64OnDocumentedDraws) {
  constexpr std::size_t kF = 4;
  constexpr std::size_t kD = 3;
  constexpr std::uint32_t kTasks = 2;
  const TaskRange range{.seed = 21, .first = 6};
  Batch batch("name = 'quadratic'\nfunctions = 4\ndimension = 3", "", kTasks, range);
  ASSERT_EQ(batch.coordinates(), kF * kD);
  const std::vector<float> theta = uniform_numbers(1, kTasks * kF * kD);
  const Batch::Evaluation result = batch.evaluate(theta);
  for (std::uint32_t task = 0; task < kTasks; ++task) {
    const RandomKey matrices{range.seed, RandomPurpose::kTaskData, range.first + task, 0};
    const RandomKey targets{range.seed, RandomPurpose::kTaskData, range.first + task, 1};
    double loss = 0.0;
    for (std::size_t f = 0; f < kF; ++f) {
      double gradient[kD] = {};
      const std::size_t offset = (task * kF + f) * kD;
      for (std::size_t i = 0; i < kD; ++i) {
        double row[kD];
        double residual = -double{uniform_from_bits(random_bits(targets, f * kD + i))};
        for (std::size_t j = 0; j < kD; ++j) {
          row[j] = uniform_from_bits(random_bits(matrices, (f * kD + i) * kD + j));
          residual += row[j] * theta[offset + j];
        }
        loss += residual * residual / kF;
        for (std::size_t j = 0; j < kD; ++j) gradient[j] += 2.0 * residual * row[j] / kF;
      }
      // A dozen float operations on numbers of order 1.
      for (std::size_t j = 0; j < kD; ++j) {
        EXPECT_NEAR(result.gradient[offset + j], gradient[j], 1e-6);
      }
    }
    EXPECT_NEAR(result.loss[task], loss, 1e-6);
  }
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

TEST(Registry, InvalidOptionsAreUsageErrors) {
  const struct {
    const char* options;
    const char* says;
  } cases[] = {
      {"", "known names: simple, quadratic"},
      {"name = 'quadratik'", "quadratik"},
      {"name = 'quadratic'\nfunctons = 3", "functions"},
      {"name = 'quadratic'\ndimension = 0", "dimension"},
      {"name = 'quadratic'\ndistribution = 'normal'", "gaussian"},
      {"name = 'simple'\nfunctions = 3", "functions"},
  };
  for (const auto& each : cases) {
    const ThrownError error = error_of([&] { Batch(each.options, "", 1, {}); });
    EXPECT_EQ(error.status, Status::kUsage) << each.options;
    EXPECT_TRUE(error.says(each.says)) << error.message;
  }
  EXPECT_EQ(error_of([] { Batch("name = 'simple'", "", 0, {}); }).status, Status::kUsage);
}

TEST(Registry, ExcessiveSizeIsOutOfMemory) {
  const std::string text = "name = 'quadratic'\nfunctions = 1048576\ndimension = 4096";
  for (const int tasks : {1, 1 << 30}) {
    EXPECT_EQ(error_of([&] { Batch(text, "", tasks, {}); }).status, Status::kOutOfMemory);
  }
}

}  // namespace
}  // namespace l2o
