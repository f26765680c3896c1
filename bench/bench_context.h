// The context passed to every benchmark, and the loop that all of them run in.
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
  std::string data_dir;  ///< directory with MNIST or synthetic images

  const DeviceInfo& device() const { return backend.device(); }
  bool is_gpu() const { return device().kind == DeviceKind::kCuda; }
  /// Whether precision-independent benchmarks run in this context: once per device, at its default
  /// precision.
  bool is_default_precision() const {
    return !is_gpu() || device().precision == BackendOptions().precision;
  }
  /// Suffix for the names of precision-dependent benchmarks, e.g. "/mixed"; empty on a CPU.
  std::string suffix() const {
    return is_gpu() ? std::string("/") + precision_name(device().precision) : std::string();
  }
};

/// Counters: coordinate-steps/s, GFLOP/s, GB/s, and percent_of_roof: the time the work would take
/// at the measured roofs, as a percentage of the time it took. `work` is that of all iterations
/// together.
void set_counters(benchmark::State& state, const Work& work, double coordinate_steps,
                  double seconds);

/// Runs operation() once per iteration, waits for the last one, and sets the counters. Iterations
/// are queued without waiting in between, as in real use.
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

/// Registers bench(state) under a name, timed by wall clock, because worker threads do the work. An
/// exception, such as out of memory, is reported as the benchmark's error, and the others still
/// run.
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

// Each file registers its own benchmarks; `context` must outlive the run.
void register_optimizer_benches(BenchContext& context);
void register_optimizee_benches(BenchContext& context);
void register_meta_benches(BenchContext& context);

}  // namespace l2o
