// l2o_bench: measures the roofs of this machine, then everything against them. Flags:
// --l2o_device, --l2o_precision, --l2o_threads, --l2o_target, --l2o_data, --l2o_roof_memory, and
// Google Benchmark's own (--help lists them).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <string>

#include "bench/bench_context.h"
#include "bench/roofs.h"
#include "bench/synthetic_images.h"
#include "host/backend/backend.h"
#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

constexpr const char* kHelp =
    "l2o_bench [--l2o_device=auto|cpu|cuda] [--l2o_threads=0 (one per core)]\n"
    "          [--l2o_precision=mixed|f32|half (on a GPU)]\n"
    "          [--l2o_target=NAME (instruction set of the CPU, e.g. AVX2; default: the best)]\n"
    "          [--l2o_data=DIR (MNIST; default: synthetic images)]\n"
    "          [--l2o_roof_memory=BYTES (to measure the bandwidth with; 0: enough)]\n"
    "          [flags of Google Benchmark:]\n";

void print_help() {
  std::fputs(kHelp, stdout);
  benchmark::PrintDefaultHelp();
}

struct Flags {
  DeviceKind device = DeviceKind::kAuto;
  Precision precision = Precision::kMixed;
  int threads = 0;
  std::string target;
  std::string data_dir;
  std::size_t roof_memory = 0;
};

/// Parses the arguments that Google Benchmark has not consumed. Throws CLI::ParseError.
Flags parse(int argc, char** argv) {
  Flags flags;
  CLI::App app;
  const std::map<std::string, DeviceKind> devices = {
      {"auto", DeviceKind::kAuto}, {"cpu", DeviceKind::kCpu}, {"cuda", DeviceKind::kCuda}};
  app.add_option("--l2o_device", flags.device)->transform(CLI::Transformer(devices));
  const std::map<std::string, Precision> precisions = {
      {"f32", Precision::kF32}, {"mixed", Precision::kMixed}, {"half", Precision::kHalf}};
  app.add_option("--l2o_precision", flags.precision)->transform(CLI::Transformer(precisions));
  app.add_option("--l2o_threads", flags.threads);
  app.add_option("--l2o_target", flags.target)->check(CLI::IsMember(cpu::simd_targets()));
  app.add_option("--l2o_data", flags.data_dir);
  app.add_option("--l2o_roof_memory", flags.roof_memory);
  app.parse(argc, argv);
  return flags;
}

void describe(const DeviceInfo& device, const Roofs& roofs) {
  const auto add = [](const std::string& name, const char* format, double value) {
    benchmark::AddCustomContext(name, fmt::format(fmt::runtime(format), value));
  };
  benchmark::AddCustomContext("l2o_version", L2O_VERSION);
  benchmark::AddCustomContext("device", fmt::format("{}: {}", device.name, device.description));
  benchmark::AddCustomContext("threads", std::to_string(device.threads));
  add("fma_peak_gflops", "{:.1f}", roofs.flops_per_second * 1e-9);
  add("memory_gigabytes_per_second", "{:.2f}", roofs.bytes_per_second * 1e-9);
  if (roofs.tensor_flops_per_second > 0.0) {
    add("tensor_peak_gflops", "{:.1f}", roofs.tensor_flops_per_second * 1e-9);
  }
  for (const auto& [name, value] : roofs.remarks) add(name, "{:.4g}", value);
}

void run(const Flags& flags) {
  if (!flags.target.empty()) cpu::use_simd_target(flags.target);
  const std::unique_ptr<Backend> backend = make_backend(
      {.device = flags.device, .threads = flags.threads, .precision = flags.precision});
  const Roofs roofs = measure_roofs(backend->device(), flags.roof_memory);
  describe(backend->device(), roofs);
  std::unique_ptr<SyntheticImages> synthetic;
  if (flags.data_dir.empty()) synthetic = std::make_unique<SyntheticImages>();

  CostMeter meter(*backend, roofs);
  BenchContext context = {meter, synthetic ? synthetic->directory() : flags.data_dir};
  register_optimizer_benches(context);
  register_optimizee_benches(context);
  register_meta_benches(context);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::ClearRegisteredBenchmarks();
}

}  // namespace
}  // namespace l2o

int main(int argc, char** argv) {
  try {
    benchmark::Initialize(&argc, argv, l2o::print_help);
    l2o::run(l2o::parse(argc, argv));
    benchmark::Shutdown();
    return 0;
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "l2o_bench: %s\n%s", error.what(), l2o::kHelp);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "l2o_bench: %s\n", error.what());
    return 1;
  }
}
