#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"

namespace l2o {
namespace {

using test::cpu_context;
using test::optimizer;
using test::Owned;

/// An objective that blocks until it is released, so that a call is certain to be inside its
/// context.
struct Standstill {
  std::atomic<bool> inside{false};
  std::atomic<bool> go_on{false};

  static int initial_parameters(void*, std::size_t, float* parameters, void*) {
    parameters[0] = 1.0F;
    return 0;
  }
  static int value_and_gradient(void* user, std::size_t, std::uint32_t, const float* parameters,
                                float* loss, float* gradient, void*) {
    auto& self = *static_cast<Standstill*>(user);
    self.inside = true;
    while (!self.go_on) std::this_thread::yield();
    *loss = parameters[0] * parameters[0];
    *gradient = 2.0F * parameters[0];
    return 0;
  }

  Owned<l2o_optimizee> optimizee(const Owned<l2o_context>& context) {
    l2o_objective objective;
    l2o_objective_init(&objective);
    objective.user = this;
    objective.coordinates = 1;
    objective.initial_parameters = initial_parameters;
    objective.value_and_gradient = value_and_gradient;
    Owned<l2o_optimizee> made;
    EXPECT_OK(l2o_optimizee_create_callback(context.get(), &objective, 1, made.out()));
    return made;
  }
};

TEST(ThreadSafety, ASecondThreadInAContextIsRejected) {
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  const Owned<l2o_run> run = test::run(context, rule, 3);
  Standstill standstill;
  const Owned<l2o_optimizee> optimizee = standstill.optimizee(context);

  std::thread first([&] {
    float losses[2];
    EXPECT_OK(l2o_evaluate(context.get(), rule.get(), optimizee.get(), 1, 0, 1, losses, 2));
  });
  while (!standstill.inside) std::this_thread::yield();
  float values[3] = {1.0F, 2.0F, 3.0F};
  const float gradient[3] = {1.0F, 1.0F, 1.0F};
  test::expect_refused(l2o_run_step(run.get(), gradient, values), L2O_BUSY, "in use");
  test::expect_refused(l2o_context_synchronize(context.get()), L2O_BUSY, "in use");
  EXPECT_EQ(values[0], 1.0F);
  // Another context is free, and the rule can be shared.
  const Owned<l2o_context> other = cpu_context();
  EXPECT_OK(l2o_run_step(test::run(other, rule, 3).get(), gradient, values));
  standstill.go_on = true;
  first.join();
  EXPECT_OK(l2o_run_step(run.get(), gradient, values));
}

TEST(ThreadSafety, ManyThreadsEnterARunOneAtATime) {
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  constexpr std::size_t kN = 500;
  const Owned<l2o_run> run = test::run(context, rule, kN);
  const std::vector<float> gradient = test::Numbers(1).gradients(kN);
  std::vector<float> parameters(kN, 0.0F);
  constexpr int kThreads = 4, kSteps = 50;
  std::vector<std::thread> threads;
  for (int k = 0; k < kThreads; ++k) {
    threads.emplace_back([&] {
      for (int t = 0; t < kSteps;) {
        const l2o_status status = l2o_run_step(run.get(), gradient.data(), parameters.data());
        ASSERT_TRUE(status == L2O_OK || status == L2O_BUSY);
        if (status == L2O_OK) ++t;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  // The same number of sequential steps gives the same result.
  const Owned<l2o_run> again = test::run(context, rule, kN);
  std::vector<float> expected(kN, 0.0F);
  for (int t = 0; t < kThreads * kSteps; ++t) {
    ASSERT_OK(l2o_run_step(again.get(), gradient.data(), expected.data()));
  }
  EXPECT_EQ(parameters, expected);
}

TEST(ThreadSafety, ManyThreadsShareOneOptimizer) {
  constexpr std::size_t kN = 200;
  constexpr int kThreads = 8;
  const Owned<l2o_optimizer> rule = optimizer();
  const std::size_t p = l2o_optimizer_meta_parameter_count(rule.get());
  std::vector<std::thread> threads;
  for (int k = 0; k < kThreads; ++k) {
    threads.emplace_back([&, k] {
      const Owned<l2o_context> context = cpu_context(1 + k % 2);
      const Owned<l2o_run> run = test::run(context, rule, kN);
      const std::vector<float> gradient =
          test::Numbers(static_cast<std::uint64_t>(k)).gradients(kN);
      std::vector<float> parameters(kN, 0.0F), phi(p);
      const std::vector<float> meta_gradient(p, 1e-3F);
      for (int t = 0; t < 20; ++t) {
        EXPECT_OK(l2o_run_step(run.get(), gradient.data(), parameters.data()));
        EXPECT_OK(l2o_optimizer_get_meta_parameters(rule.get(), phi.data(), p));
        if (k == 0) {
          EXPECT_OK(l2o_optimizer_apply_meta_gradient(rule.get(), meta_gradient.data(), p, 1e-3F));
        }
        if (k == 1) {
          EXPECT_OK(l2o_optimizer_set_meta_parameters(rule.get(), phi.data(), p));
        }
        if (t % 5 == 4) {
          EXPECT_OK(l2o_run_reset(run.get()));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ThreadSafety, HandlesMayBeDestroyedWhileInUse) {
  const Owned<l2o_context> context = cpu_context();
  const Owned<l2o_optimizer> rule = optimizer();
  Standstill standstill;
  Owned<l2o_optimizee> optimizee = standstill.optimizee(context);
  l2o_optimizee* const handle = optimizee.get();
  std::thread first([&] {
    float losses[2];
    EXPECT_OK(l2o_evaluate(context.get(), rule.get(), handle, 1, 0, 1, losses, 2));
  });
  while (!standstill.inside) std::this_thread::yield();
  optimizee = {};
  standstill.go_on = true;
  first.join();
  float losses[2];
  test::expect_refused(l2o_evaluate(context.get(), rule.get(), handle, 1, 0, 1, losses, 2),
                       L2O_INVALID_ARGUMENT, "not a live handle");
}

}  // namespace
}  // namespace l2o
