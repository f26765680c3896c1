#include "host/meta/unroll.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "host/meta/meta_optimizer.h"
#include "host/meta/rollout.h"
#include "kernels/cells/cell_list.h"
#include "tests/meta/small_problem.h"
#include "tests/support/error_of.h"
#include "tests/support/to_reference.h"
#include "tests/support/unroll_memory.h"

namespace l2o {
namespace {

using test::expect_near_in_norm;
using test::kAll;

constexpr TaskRange kTasks = {3, 40};

reference::Lstm to_reference(const Optimizer& optimizer) {
  const std::vector<float>& phi = optimizer.meta_parameters;
  return test::to_reference(optimizer.cell.lstm, {phi.begin(), phi.end()});
}

TEST(UnrollMemory, MatchesUnroll) {
  const std::string keys = "name = \"simple\"\ndimension = 50000";
  const auto backend = test::cpu();
  test::expect_unroll_takes_its_plan(*backend, *test::optimizee(*backend, 1, keys));

  const auto small = make_backend({.device = DeviceKind::kCpu, .memory_limit = 10'000'000});
  const auto task = test::optimizee(*small, 1, keys);
  CellConfig cell;
  cell.lstm = {.layers = 2, .hidden = 20};
  const Truncation truncation{.num_steps = 50, .unroll_length = 20};
  const ThrownError error =
      error_of([&] { Unroll(*small, {cell}, {{.optimizee = task.get()}}, truncation, {}, 0); });
  EXPECT_EQ(error.status, Status::kOutOfMemory);
  EXPECT_TRUE(error.says("train.unroll_length (20)")) << error.message;
}

/// One unroll, written by hand with only the optimizee and the step.
struct HandMadeUnroll {
  std::vector<std::vector<float>> trace;  // [T+1][N]
  std::vector<float> losses;              // [T+1, B]
};

/// Advances theta and state, as the engine's unroll does.
HandMadeUnroll unroll_by_hand(DeviceOptimizer& optimizer, Optimizee& optimizee,
                              std::uint32_t first_evaluation, int length, Buffer<float>& theta,
                              CoordinateState& state) {
  Backend& backend = optimizer.backend();
  Buffer<float> gradient(backend, theta.size());
  Buffer<float> losses(backend, static_cast<std::size_t>(optimizee.tasks()));
  HandMadeUnroll result;
  optimizee.start_evaluations(first_evaluation);
  const float* const at = theta.data();
  float* const slope = gradient.data();
  for (int t = 0; t <= length; ++t) {
    optimizee.value_and_gradient({&at, 1}, static_cast<std::uint32_t>(t), losses.data(),
                                 {&slope, 1});
    result.trace.push_back(gradient.download());
    for (const float loss : losses.download()) result.losses.push_back(loss);
    if (t < length) {
      step(optimizer, static_cast<std::int64_t>(theta.size()), gradient.data(), state,
           theta.data());
    }
  }
  return result;
}

std::vector<double> meta_gradient(Unroll& unroll, DeviceOptimizer& optimizer) {
  Buffer<float> gradient(optimizer.backend(), optimizer.meta_parameters().size());
  unroll.backward(optimizer, gradient.data());
  const std::vector<float> host = gradient.download();
  return {host.begin(), host.end()};
}

/// The unroll in the form of the reference: the trace, the weights per task and the start state.
reference::Unroll to_reference(const HandMadeUnroll& by_hand, const std::vector<double>& weights,
                               int tasks, const CarriedState& start) {
  reference::Unroll result;
  for (const auto& row : by_hand.trace) result.trace.emplace_back(row.begin(), row.end());
  for (const double weight : weights) result.weights.push_back(weight / tasks);
  const std::size_t n = start.theta.size();
  for (std::size_t i = 0; i < n; ++i) {
    reference::Vector state;
    for (std::size_t s = 0; s < start.state.size() / n; ++s) {
      state.push_back(start.state[s * n + i]);
    }
    result.start_state.push_back(state);
  }
  return result;
}

TEST(Unroll, MatchesTheAuthorsTest) {
  // docs/math.md section 5: x^2 from x = 1, no layers, a zero output layer on the raw gradient.
  LstmConfig lstm;
  lstm.layers = 0;
  lstm.preprocessing = Preprocessing::kIdentity;
  lstm.output_scale = 1.0F;
  const Optimizer initial = make_lstm_optimizer(lstm, OutputInit::kZero, 1);
  const auto backend = test::cpu();
  const auto simple = test::optimizee(*backend, 1, "name = \"simple\"\n");
  DeviceOptimizer optimizer(*backend, initial);
  MetaOptimizer meta_optimizer(*backend, {}, initial.meta_parameters.size());
  Unroll unroll(*backend, {initial.cell}, {{.optimizee = simple.get()}}, {10, 5}, kAll, 0);

  unroll.start_episode({kTasks});
  for (int k = 0; k < 2; ++k) {
    meta_optimizer.set_learning_rate(0.01);
    unroll.forward_and(optimizer, {k}, [&] {
      unroll.backward(optimizer, meta_optimizer.meta_gradient());
      meta_optimizer.update(optimizer, unroll.device_losses(), unroll.loss_count());
    });
    EXPECT_EQ(meta_optimizer.report().applied, 1);
  }
  EXPECT_NEAR(unroll.carried().theta.front(), 0.8558812F, 1e-6);
  EXPECT_NEAR(unroll.losses().back(), 0.7325327F, 1e-6);
}

TEST(Unroll, MatchesHandWrittenLoopWithCarriedState) {
  const auto backend = test::cpu();
  const auto quadratic = test::optimizee(*backend, 2, test::kSmallQuadratic);
  const Optimizer lstm = test::small_lstm();
  DeviceOptimizer optimizer(*backend, lstm);
  const Truncation truncation = {8, 3};  // 3 + 3 + 2 steps
  Unroll unroll(*backend, {lstm.cell}, {{.optimizee = quadratic.get()}}, truncation, kAll, 0);
  unroll.start_episode({kTasks});

  Buffer<float> theta(*backend, static_cast<std::size_t>(unroll.space().n(0)));
  CoordinateState state(*backend, lstm.cell, unroll.space().n(0));
  float* const parameters = theta.data();
  quadratic->initial_parameters({&parameters, 1});
  state.reset();
  for (int k = 0; k < truncation.unrolls(); ++k) {
    unroll.forward(optimizer, k);
    const HandMadeUnroll by_hand =
        unroll_by_hand(optimizer, *quadratic, static_cast<std::uint32_t>(4 * k),
                       truncation.length(k), theta, state);
    EXPECT_EQ(unroll.losses(), by_hand.losses);
    EXPECT_EQ(unroll.carried().theta, theta.download());
  }
}

/// Runs two unrolls of 6 and 4 steps and passes the second, which starts from a non-zero state, to
/// `check` with its reference.
void with_second_unroll(
    const Optimizer& lstm, int tasks, const LossWeights& weights,
    const std::function<void(const reference::Unroll&, const std::vector<double>&)>& check) {
  const auto backend = test::cpu();
  const auto quadratic = test::optimizee(*backend, tasks, test::kSmallQuadratic);
  DeviceOptimizer optimizer(*backend, lstm);
  Unroll unroll(*backend, {lstm.cell}, {{.optimizee = quadratic.get()}}, {10, 6}, weights, 0);
  unroll.start_episode({kTasks});
  unroll.forward(optimizer, 0);
  const CarriedState start = unroll.carried();
  unroll.forward(optimizer, 1);

  Buffer<float> theta(*backend, start.theta.size());
  theta.upload(start.theta);
  CoordinateState state(*backend, lstm.cell, unroll.space().n(0));
  backend->import_state(lstm.cell, unroll.space().n(0), start.state.data(), state.data());
  const HandMadeUnroll by_hand = unroll_by_hand(optimizer, *quadratic, 7, 4, theta, state);
  ASSERT_EQ(unroll.carried().theta, theta.download());

  check(to_reference(by_hand, unroll.weights(1), tasks, start), meta_gradient(unroll, optimizer));
}

constexpr double kFloatSums = 1e-5;

TEST(Unroll, MetaGradientMatchesReference) {
  using Kind = LossWeights::Kind;
  for (const Preprocessing preprocessing : {Preprocessing::kIdentity, Preprocessing::kLogAndSign}) {
    for (const int layers : {0, 1, 2, 3}) {
      for (const LossWeights& weights :
           {LossWeights{Kind::kAll, {}}, LossWeights{Kind::kFinal, {}},
            LossWeights{Kind::kLinear, {}},
            LossWeights{Kind::kList, {9.0, 0.0, 0.25, 0.0, 3.0, 0.5, 1.5}}}) {
        SCOPED_TRACE(testing::Message()
                     << layers << " layers, preprocessing " << static_cast<int>(preprocessing)
                     << ", weights " << static_cast<int>(weights.kind));
        const Optimizer lstm = test::small_lstm(layers, 5, preprocessing);
        with_second_unroll(
            lstm, 2, weights, [&](const reference::Unroll& expected, const auto& actual) {
              expect_near_in_norm(reference::meta_gradient(to_reference(lstm), expected), actual,
                                  kFloatSums);
            });
      }
    }
  }
}

TEST(Unroll, MetaGradientMatchesFiniteDifferencesWithFrozenTrace) {
  const Optimizer lstm = test::small_lstm();
  with_second_unroll(lstm, 2, kAll, [&](const reference::Unroll& expected, const auto& actual) {
    reference::Lstm rule = to_reference(lstm);
    std::vector<double> slopes;
    constexpr double kStep = 1e-5;
    for (double& parameter : rule.phi) {
      const double value = parameter;
      parameter = value + kStep;
      const double above = reference::frozen_meta_loss(rule, expected);
      parameter = value - kStep;
      const double below = reference::frozen_meta_loss(rule, expected);
      parameter = value;
      slopes.push_back((above - below) / (2.0 * kStep));
    }
    expect_near_in_norm(slopes, actual, kFloatSums);
  });
}

TEST(Unroll, MetaGradientOfBatchIsMeanOverTasks) {
  const auto backend = test::cpu();
  const Optimizer lstm = test::small_lstm();
  DeviceOptimizer optimizer(*backend, lstm);
  const auto gradient_of = [&](int tasks, std::uint32_t first) {
    const auto quadratic = test::optimizee(*backend, tasks, test::kSmallQuadratic);
    Unroll unroll(*backend, {lstm.cell}, {{.optimizee = quadratic.get()}}, {5, 5}, kAll, 0);
    unroll.start_episode({{kTasks.seed, first}});
    unroll.forward(optimizer, 0);
    return meta_gradient(unroll, optimizer);
  };
  constexpr int kBatch = 4;
  std::vector<double> mean(lstm.meta_parameters.size(), 0.0);
  for (std::uint32_t task = 0; task < kBatch; ++task) {
    const std::vector<double> single = gradient_of(1, task);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += single[i] / kBatch;
  }
  expect_near_in_norm(mean, gradient_of(kBatch, 0), kFloatSums);
}

TEST(Unroll, ContinuesBitForBitFromCarriedState) {
  const auto backend = test::cpu();
  const auto quadratic = test::optimizee(*backend, 3, test::kSmallQuadratic);
  const Optimizer lstm = test::small_lstm();
  DeviceOptimizer optimizer(*backend, lstm);
  Unroll straight(*backend, {lstm.cell}, {{.optimizee = quadratic.get()}}, {9, 3}, kAll, 0);
  Unroll resumed(*backend, {lstm.cell}, {{.optimizee = quadratic.get()}}, {9, 3}, kAll, 0);

  straight.start_episode({kTasks});
  straight.forward(optimizer, 0);
  const CarriedState carried = straight.carried();
  straight.forward(optimizer, 1);
  quadratic->sample({99, 0});  // other tasks in between
  resumed.resume_episode({kTasks}, carried);
  resumed.forward(optimizer, 1);

  EXPECT_EQ(resumed.losses(), straight.losses());
  EXPECT_EQ(resumed.carried().theta, straight.carried().theta);
  EXPECT_EQ(resumed.carried().state, straight.carried().state);
  EXPECT_EQ(meta_gradient(resumed, optimizer), meta_gradient(straight, optimizer));
}

TEST(Unroll, MetaGradientIsIndependentOfThreadsAndRecomputeBudget) {
  const Optimizer lstm = test::small_lstm(2, 20);
  const auto gradient_of = [&](int threads, std::size_t recompute_budget) {
    const auto backend = test::cpu(threads);
    const auto quadratic = test::optimizee(*backend, 9, test::kSmallQuadratic);  // 135 coordinates
    DeviceOptimizer optimizer(*backend, lstm);
    Unroll unroll(*backend, {lstm.cell}, {{.optimizee = quadratic.get()}}, {11, 11}, kAll,
                  recompute_budget);
    unroll.start_episode({kTasks});
    unroll.forward(optimizer, 0);
    return meta_gradient(unroll, optimizer);
  };
  const std::vector<double> expected = gradient_of(1, 0);
  for (const int threads : {1, 2, 3}) {
    for (const std::size_t budget : {std::size_t{0}, std::size_t{1}, std::size_t{200'000}}) {
      EXPECT_EQ(gradient_of(threads, budget), expected) << threads << " threads, budget " << budget;
    }
  }
}

}  // namespace
}  // namespace l2o
