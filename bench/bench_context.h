// What every bench is given, and the loop that all of them run in.
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <optional>
#include <string>

#include "bench/cost_meter.h"
#include "bench/roofs.h"

namespace l2o {

struct BenchContext {
  CostMeter& backend;
  std::optional<Roofs> roofs;  ///< none where the device's roofs are not measured
  std::string data_dir;        ///< MNIST, real or made up
};

/// Counters: coordinate-steps/s, GFLOP/s, GB/s, and percent_of_roof: how long the work would take
/// at the measured roofs, over how long it took. `work` is that of all iterations together.
void set_counters(benchmark::State& state, const BenchContext& context, const Work& work,
                  double coordinate_steps, double seconds);

/// Runs operation() once an iteration, waits for it, and sets the counters.
template <class Operation>
void run_iterations(benchmark::State& state, BenchContext& context,
                    double coordinate_steps_per_iteration, Operation&& operation) {
  CostMeter& backend = context.backend;
  backend.synchronize();
  backend.reset();
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    operation();
    backend.synchronize();
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  set_counters(state, context, backend.work(),
               coordinate_steps_per_iteration * static_cast<double>(state.iterations()),
               time.count());
}

/// Registers bench(state) under a name, timed by the clock on the wall: work is done by threads.
template <class Bench>
void register_bench(const std::string& name, Bench&& bench) {
  benchmark::RegisterBenchmark(name.c_str(), std::forward<Bench>(bench))
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

// Each file of benches registers its own; `context` must outlive the run.
void register_optimizer_benches(BenchContext& context);
void register_optimizee_benches(BenchContext& context);
void register_meta_benches(BenchContext& context);

}  // namespace l2o
