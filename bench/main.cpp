// l2o_bench: measures the roofs of this machine, then everything against them. Flags:
// --l2o_device, --l2o_threads, --l2o_data, and Google Benchmark's own (--help lists them).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>

#include "bench/bench_context.h"
#include "bench/roofs.h"
#include "bench/synthetic_mnist.h"
#include "host/backend/backend.h"

namespace l2o {
namespace {

constexpr const char* kHelp =
    "l2o_bench [--l2o_device=auto|cpu|cuda] [--l2o_threads=0 (one per core)]\n"
    "          [--l2o_data=DIR (MNIST; made-up images without it)] [flags of Google Benchmark:]\n";

void print_help() {
  std::fputs(kHelp, stdout);
  benchmark::PrintDefaultHelp();
}

struct Flags {
  DeviceKind device = DeviceKind::kAuto;
  int threads = 0;
  std::string data_dir;
};

/// What Google Benchmark has left of the command line. Throws CLI::ParseError.
Flags parse(int argc, char** argv) {
  Flags flags;
  CLI::App app;
  const std::map<std::string, DeviceKind> devices = {
      {"auto", DeviceKind::kAuto}, {"cpu", DeviceKind::kCpu}, {"cuda", DeviceKind::kCuda}};
  app.add_option("--l2o_device", flags.device)->transform(CLI::Transformer(devices));
  app.add_option("--l2o_threads", flags.threads);
  app.add_option("--l2o_data", flags.data_dir);
  app.parse(argc, argv);
  return flags;
}

/// Roofs of the processor. What a GPU can do is measured on the GPU, by its own means.
std::optional<Roofs> roofs_of(const DeviceInfo& device) {
  if (device.kind != DeviceKind::kCpu) return std::nullopt;
  constexpr std::size_t kBeyondCaches = std::size_t{768} << 20;
  const std::size_t most = device.memory_bytes == 0 ? kBeyondCaches : device.memory_bytes / 8;
  return measure_roofs(device.threads, std::min(kBeyondCaches, most));
}

void run(const Flags& flags) {
  const std::unique_ptr<Backend> backend =
      make_backend({.device = flags.device, .threads = flags.threads});
  const DeviceInfo& device = backend->device();
  const std::optional<Roofs> roofs = roofs_of(device);
  CostMeter meter(*backend, roofs);

  benchmark::AddCustomContext("l2o_version", L2O_VERSION);
  benchmark::AddCustomContext("device", fmt::format("{}: {}", device.name, device.description));
  benchmark::AddCustomContext("threads", std::to_string(device.threads));
  if (roofs) {
    benchmark::AddCustomContext("fma_peak_gflops",
                                fmt::format("{:.1f}", roofs->flops_per_second * 1e-9));
    benchmark::AddCustomContext("memory_gigabytes_per_second",
                                fmt::format("{:.2f}", roofs->bytes_per_second * 1e-9));
  }

  std::unique_ptr<SyntheticMnist> synthetic;
  if (flags.data_dir.empty()) synthetic = std::make_unique<SyntheticMnist>();
  BenchContext context{.backend = meter,
                       .roofs = roofs,
                       .data_dir = synthetic ? synthetic->directory() : flags.data_dir};
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
