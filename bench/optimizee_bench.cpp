// Benchmarks value_and_gradient of each optimizee on a batch of tasks.
#include <fmt/format.h>

#include "bench/bench_context.h"
#include "host/backend/buffer.h"
#include "host/optimizee/optimizee.h"

namespace l2o {
namespace {

struct OptimizeeCase {
  const char* name;
  int tasks;
  const char* options;  // TOML
};

// The paper's quadratics have 1,280 coordinates per task, its networks on MNIST 15,910 and on
// CIFAR-10 22,762.
constexpr OptimizeeCase kOptimizeeCases[] = {
    {"simple", 1, "dimension = 100000"},
    {"quadratic", 1, ""},
    {"quadratic", 64, ""},
    {"mnist", 1, ""},
    {"mnist", 8, ""},
    {"cifar10", 1, ""},
    {"cifar10", 4, ""},
};

void bench_value_and_gradient(benchmark::State& state, BenchContext& context,
                              const OptimizeeCase& what) {
  CostMeter& backend = context.backend;
  ConfigReader options =
      ConfigReader::from_text(fmt::format("name = \"{}\"\n{}\n", what.name, what.options), "bench");
  const std::unique_ptr<Optimizee> optimizee =
      make_optimizee({backend, what.tasks, context.data_dir}, options);
  const auto n = static_cast<std::size_t>(optimizee->coordinates() * what.tasks);
  Buffer<float> theta(backend, n);
  Buffer<float> gradient(backend, n);
  Buffer<float> loss(backend, static_cast<std::size_t>(what.tasks));
  optimizee->sample({.seed = 1, .first = 0});
  float* const parameters = theta.data();
  const float* const at = parameters;
  float* const out = gradient.data();
  optimizee->initial_parameters({&parameters, 1});
  optimizee->start_evaluations(0);

  std::uint32_t evaluation = 0;
  run_iterations(state, context, static_cast<double>(n), [&] {
    optimizee->value_and_gradient({&at, 1}, evaluation++, loss.data(), {&out, 1});
  });
}

}  // namespace

void register_optimizee_benches(BenchContext& context) {
  if (!context.is_default_precision()) return;
  for (const OptimizeeCase& what : kOptimizeeCases) {
    register_bench(fmt::format("optimizee/{}/tasks:{}", what.name, what.tasks),
                   [&context, &what](benchmark::State& state) {
                     bench_value_and_gradient(state, context, what);
                   });
  }
}

}  // namespace l2o
