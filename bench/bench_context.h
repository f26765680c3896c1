// What every bench is given, and the loop that all of them run in.
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <exception>
#include <string>

#include "bench/cost_meter.h"
#include "bench/roofs.h"

namespace l2o {

/// One device at one precision.
struct BenchContext {
  CostMeter& backend;
  std::string data_dir;  ///< MNIST, real or made up

  const DeviceInfo& device() const { return backend.device(); }
  bool is_gpu() const { return device().kind == DeviceKind::kCuda; }
  /// Whether this is where what does not depend on the precision is benched.
  bool is_default_precision() const {
    return !is_gpu() || device().precision == BackendOptions().precision;
  }
  /// What names of benches end with that depend on the precision: "/mixed"; nothing on a processor.
  std::string suffix() const {
    return is_gpu() ? std::string("/") + precision_name(device().precision) : std::string();
  }
};

/// Counters: coordinate-steps/s, GFLOP/s, GB/s, and percent_of_roof: how long the work would take
/// at the measured roofs, over how long it took. `work` is that of all iterations together.
void set_counters(benchmark::State& state, const Work& work, double coordinate_steps,
                  double seconds);

/// Runs operation() once an iteration, waits for the last one, and sets the counters. A device may
/// still be at work on one iteration while the next is queued: that is how it is used.
template <class Operation>
void run_iterations(benchmark::State& state, BenchContext& context,
                    double coordinate_steps_per_iteration, Operation&& operation) {
  CostMeter& backend = context.backend;
  backend.synchronize();
  backend.reset();
  benchmark::IterationCount left = state.max_iterations;
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    operation();
    // Within the last iteration, so that Google Benchmark's clock sees it.
    if (--left == 0) backend.synchronize();
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  set_counters(state, backend.work(),
               coordinate_steps_per_iteration * static_cast<double>(state.iterations()),
               time.count());
}

/// Registers bench(state) under a name, timed by the clock on the wall: work is done by threads.
/// What it throws, memory that is not there say, becomes its result, and the other benches
/// continue.
template <class Bench>
void register_bench(const std::string& name, const Bench& bench) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [bench](benchmark::State& state) {
                                 try {
                                   bench(state);
                                 } catch (const std::exception& error) {
                                   state.SkipWithError(error.what());
                                 }
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

// Each file of benches registers its own; `context` must outlive the run.
void register_optimizer_benches(BenchContext& context);
void register_optimizee_benches(BenchContext& context);
void register_meta_benches(BenchContext& context);

}  // namespace l2o
