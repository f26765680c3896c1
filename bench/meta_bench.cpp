// One whole unroll of meta-training, T = 20: the steps with their gradients, the meta-gradient,
// Adam on phi, and packing phi for the next one.
#include <fmt/format.h>

#include "bench/bench_context.h"
#include "host/meta/meta_optimizer.h"
#include "host/meta/unroll.h"
#include "host/optimizer/optimizer.h"

namespace l2o {
namespace {

constexpr int kUnrollLength = 20;

struct MetaCase {
  const char* optimizee;
  int tasks;
};

constexpr MetaCase kCases[] = {{"quadratic", 1}, {"quadratic", 16}, {"mnist", 1}, {"mnist", 8}};

void bench_meta_training_unroll(benchmark::State& state, BenchContext& context,
                                const MetaCase& what) {
  CostMeter& backend = context.backend;
  ConfigReader options =
      ConfigReader::from_text(fmt::format("name = \"{}\"\n", what.optimizee), "bench");
  const std::unique_ptr<Optimizee> optimizee =
      make_optimizee({backend, what.tasks, context.data_dir}, options);
  DeviceOptimizer rule(backend, make_lstm_optimizer({}, OutputInit::kZero, 1));
  rule.pack();
  Unroll unroll(backend, rule.cell(), *optimizee,
                {.num_steps = kUnrollLength, .unroll_length = kUnrollLength}, {}, 0);
  MetaOptimizer meta_optimizer(backend, {}, rule.meta_parameters().size());
  meta_optimizer.set_learning_rate(1e-3);
  unroll.start_episode({.seed = 1, .first = 0});
  run_iterations(state, context, static_cast<double>(unroll.n()) * kUnrollLength, [&] {
    unroll.forward_and(rule, 0, [&] {
      unroll.backward(rule, meta_optimizer.meta_gradient());
      meta_optimizer.update(rule, unroll.device_losses(), unroll.loss_count());
    });
  });
}

}  // namespace

void register_meta_benches(BenchContext& context) {
  for (const MetaCase& what : kCases) {
    register_bench(fmt::format("meta_training_unroll/{}/tasks:{}", what.optimizee, what.tasks),
                   [&context, &what](benchmark::State& state) {
                     bench_meta_training_unroll(state, context, what);
                   });
  }
}

}  // namespace l2o
