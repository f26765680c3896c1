// Properties of every optimizee in the registry, with default options where feasible. A new
// optimizee is tested here without a line being added.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/optimizee/batch.h"
#include "tests/support/small_images.h"

namespace l2o {
namespace {

class EveryOptimizee : public testing::TestWithParam<std::string> {
 protected:
  Batch batch(int tasks, const TaskRange& range, int threads = 2) const {
    std::string options = "name = \"" + GetParam() + "\"";
    // The only one that needs data but has no default for it.
    if (GetParam() == "network") options += "\ndata = \"mine.safetensors\"\nloss = \"mse\"";
    // Fewer coordinates, and smooth: finite differences in float32 need large steps.
    if (GetParam() == "cifar10") {
      options +=
          "\nbatch_size = 8\nlayers = [\"conv 4 5\", \"batch_norm\", \"tanh\", \"avg_pool 4\"]";
    }
    return Batch(options, data_->path(), tasks, range, threads);
  }

  static void SetUpTestSuite() {
    data_ = new TemporaryDirectory;
    test::write_small_images(*data_);
  }
  static void TearDownTestSuite() { delete data_; }
  static inline TemporaryDirectory* data_ = nullptr;
};

std::vector<std::string> names() {
  std::vector<std::string> result;
  for (const OptimizeeEntry& entry : optimizee_registry()) result.push_back(entry.name);
  return result;
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryOptimizee, testing::ValuesIn(names()),
                         [](const auto& entry) { return entry.param; });

double norm(const std::vector<double>& vector) {
  return std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0));
}

/// Checks the derivative of one task's loss at theta along a direction.
///
/// Extrapolates central differences at h and 2h: the truncation error is of fourth order in h; the
/// rest is the rounding of the losses. Their relative error is below kLossError; extrapolation
/// multiplies a loss error by at most 1.5 / h in total. h is chosen so that the amplified loss
/// error is half of the allowed error; the other half is left for the truncation.
class DirectionalCheck {
 public:
  static constexpr double kLossError = 32 * 0x1p-24;
  static constexpr double kTolerance = 4e-3;

  DirectionalCheck(Batch& batch, std::vector<float> theta)
      : batch_(batch), theta_(std::move(theta)), at_(batch.evaluate(theta_)) {}

  std::vector<double> gradient(int task) const {
    const auto n = static_cast<std::ptrdiff_t>(batch_.coordinates());
    return {at_.gradient.begin() + task * n, at_.gradient.begin() + (task + 1) * n};
  }

  void expect(int task, const std::vector<double>& direction, const std::string& what) {
    const double error = kTolerance * norm(gradient(task));
    expect_within(error, step_for(task, error), task, direction, what);
  }

  /// Checks coordinates [begin, end) separately, relative to the norm of their part of the
  /// gradient, so that the rest cannot hide an error there. Returns false if that part is too small
  /// to check.
  bool expect_block(int task, std::size_t begin, std::size_t end) {
    constexpr double kBlockTolerance = 0.05;
    constexpr double kLongestStep = 0.25;
    std::vector<double> part(batch_.coordinates());
    const std::vector<double> g = gradient(task);
    std::copy(g.begin() + static_cast<std::ptrdiff_t>(begin),
              g.begin() + static_cast<std::ptrdiff_t>(end),
              part.begin() + static_cast<std::ptrdiff_t>(begin));
    const double error = kBlockTolerance * norm(part);
    if (!(step_for(task, error) <= kLongestStep)) return false;
    expect_within(error, step_for(task, error), task, part,
                  "coordinates [" + std::to_string(begin) + ", " + std::to_string(end) + ")");
    return true;
  }

 private:
  double step_for(int task, double error) const {
    const double loss = std::max(1e-3, std::abs(double{at_.loss[static_cast<std::size_t>(task)]}));
    return 1.5 * kLossError * loss / (0.5 * error);
  }

  void expect_within(double error, double h, int task, std::vector<double> direction,
                     const std::string& what) {
    const double length = norm(direction);
    for (double& value : direction) value /= length;
    const std::vector<double> g = gradient(task);
    const double slope =
        (4.0 * difference(task, direction, h) - difference(task, direction, 2.0 * h)) / 3.0;
    const double expected = std::inner_product(g.begin(), g.end(), direction.begin(), 0.0);
    EXPECT_NEAR(slope, expected, error) << what << " of task " << task << ", h " << h;
  }

  /// (f(theta + h d) - f(theta - h d)) / 2h, using the steps actually taken after rounding to
  /// float32.
  double difference(int task, const std::vector<double>& direction, double h) {
    const std::size_t first = static_cast<std::size_t>(task) * batch_.coordinates();
    std::vector<float> plus = theta_;
    std::vector<float> minus = theta_;
    double taken = 0.0;
    for (std::size_t i = 0; i < direction.size(); ++i) {
      float& up = plus[first + i];
      float& down = minus[first + i];
      up = static_cast<float>(up + h * direction[i]);
      down = static_cast<float>(down - h * direction[i]);
      taken += direction[i] * (double{up} - double{down});
    }
    const auto t = static_cast<std::size_t>(task);
    return (double{batch_.evaluate(plus).loss[t]} - double{batch_.evaluate(minus).loss[t]}) / taken;
  }

  Batch& batch_;
  std::vector<float> theta_;
  Batch::Evaluation at_;
};

TEST_P(EveryOptimizee, GradientMatchesTheLoss) {
  constexpr int kTasks = 2;
  Batch b = batch(kTasks, {.seed = 1, .first = 5});
  // Away from theta_0, where gradients may be atypical.
  std::vector<float> theta = b.initial_parameters();
  const std::vector<float> moved = uniform_numbers(1, theta.size());
  for (std::size_t i = 0; i < theta.size(); ++i) theta[i] += 0.3F * moved[i];
  DirectionalCheck check(b, theta);
  for (int task = 0; task < kTasks; ++task) {
    const std::vector<double> gradient = check.gradient(task);
    ASSERT_GT(norm(gradient), 0.0);
    check.expect(task, gradient, "the gradient's own direction");
    for (std::uint32_t k = 0; k < 8; ++k) {
      // Random signs: every coordinate has the same magnitude as in the gradient.
      const std::vector<float> draws = uniform_numbers(10 + k, gradient.size());
      std::vector<double> direction(gradient.size());
      for (std::size_t i = 0; i < direction.size(); ++i) {
        direction[i] = std::abs(gradient[i]) * (draws[i] < 0.0F ? -1.0 : 1.0);
      }
      check.expect(task, direction, "random signs " + std::to_string(k));
      check.expect(task, {draws.begin(), draws.end()}, "random direction " + std::to_string(k));
    }
    std::vector<std::size_t> order(gradient.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
      return std::abs(gradient[x]) > std::abs(gradient[y]);
    });
    order.resize(std::min<std::size_t>(order.size(), 5));
    for (const std::size_t i : order) {
      std::vector<double> direction(gradient.size());
      direction[i] = 1.0;
      check.expect(task, direction, "coordinate " + std::to_string(i));
    }
  }
}

TEST_P(EveryOptimizee, GradientMatchesTheLossInEveryBlock) {
  Batch b = batch(1, {.seed = 1, .first = 5});
  std::vector<float> theta = b.initial_parameters();
  const std::vector<float> moved = uniform_numbers(2, theta.size());
  for (std::size_t i = 0; i < theta.size(); ++i) theta[i] += 0.3F * moved[i];
  DirectionalCheck check(b, theta);
  const std::size_t n = b.coordinates();
  // Blocks of neighbors, such as one vector of biases, with random boundaries.
  constexpr std::size_t kMeanLength = 12;
  std::uint64_t draw = 0;
  const auto random_below = [&](std::size_t bound) {
    const RandomKey key{.seed = 4, .purpose = RandomPurpose::kTest, .task = 0, .step = 0};
    return static_cast<std::size_t>(random_bits(key, draw++)) % bound;
  };
  std::size_t checked = 0;
  for (std::size_t begin = 0, end = 0; begin < n; begin = end) {
    end = std::min(n, begin + 1 + random_below(2 * kMeanLength));
    if (check.expect_block(0, begin, end)) checked += end - begin;
  }
  EXPECT_GE(checked, n * 9 / 10) << "of " << n;
  for (int k = 0; k < 32; ++k) {
    const std::size_t i = random_below(n);
    check.expect_block(0, i, i + 1);
  }
}

TEST_P(EveryOptimizee, TaskDoesNotDependOnItsBatch) {
  constexpr int kTasks = 3;
  constexpr std::uint32_t kFirst = 7;
  Batch together = batch(kTasks, {.seed = 9, .first = kFirst});
  const std::vector<float> theta_0 = together.initial_parameters();
  const auto n = static_cast<std::ptrdiff_t>(together.coordinates());
  for (const std::uint32_t evaluation : {0U, 4U}) {
    const Batch::Evaluation all = together.evaluate(theta_0, evaluation);
    for (std::uint32_t task = 0; task < kTasks; ++task) {
      Batch alone = batch(1, {.seed = 9, .first = kFirst + task});
      const std::vector<float> own(theta_0.begin() + task * n, theta_0.begin() + (task + 1) * n);
      EXPECT_EQ(alone.initial_parameters(), own);
      const Batch::Evaluation one = alone.evaluate(own, evaluation);
      EXPECT_EQ(one.loss[0], all.loss[task]);
      EXPECT_EQ(one.gradient, std::vector<float>(all.gradient.begin() + task * n,
                                                 all.gradient.begin() + (task + 1) * n));
    }
  }
}

TEST_P(EveryOptimizee, DoesNotDependOnThreads) {
  const TaskRange range{.seed = 2, .first = 0};
  Batch one = batch(2, range, 1);
  const std::vector<float> theta_0 = one.initial_parameters();
  const Batch::Evaluation expected = one.evaluate(theta_0, 1);
  for (const int threads : {2, 3}) {
    Batch several = batch(2, range, threads);
    EXPECT_EQ(several.initial_parameters(), theta_0);
    EXPECT_EQ(several.evaluate(theta_0, 1), expected);
  }
}

TEST_P(EveryOptimizee, IsAPureFunctionOfTaskThetaAndEvaluation) {
  const TaskRange range{.seed = 2, .first = 3};
  Batch b = batch(2, range);
  const std::vector<float> theta_0 = b.initial_parameters();
  const Batch::Evaluation first = b.evaluate(theta_0, 0);
  b.evaluate(theta_0, 1);
  // Different tasks in between, as between episodes.
  b.optimizee().sample({.seed = 4, .first = 100});
  b.evaluate(theta_0, 0);
  b.optimizee().sample(range);
  EXPECT_EQ(b.initial_parameters(), theta_0);
  EXPECT_EQ(b.evaluate(theta_0, 0), first);
}

}  // namespace
}  // namespace l2o
