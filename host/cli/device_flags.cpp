#include "host/cli/device_flags.h"

#include "host/cli/output.h"

namespace l2o::cli {
namespace {

Precision precision_of(const std::string& name) {
  for (const Precision precision : {Precision::kF32, Precision::kMixed}) {
    if (name == precision_name(precision)) return precision;
  }
  return Precision::kHalf;  // no other name passes the flag's check
}

}  // namespace

void add_device_flags(CLI::App& verb, DeviceFlags& flags) {
  verb.add_option("--device", flags.device, "auto (the best there is), cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->type_name("DEVICE")
      ->capture_default_str();
  verb.add_option("--threads", flags.threads,
                  "CPU threads; 0: one per core. Never changes a result")
      ->check(CLI::Range(0, BackendOptions::kMaxThreads))
      ->type_name("N")
      ->capture_default_str();
  verb.add_option("--precision", flags.precision,
                  "of the learned rule on tensor cores: f32, mixed or half")
      ->check(CLI::IsMember({"f32", "mixed", "half"}))
      ->type_name("PRECISION")
      ->capture_default_str();
  verb.add_option("--memory-budget", flags.memory_budget,
                  "memory of the device that may be taken, e.g. 16GB; 0: all there is")
      ->transform(CLI::AsSizeValue(true))
      ->type_name("BYTES");
}

std::unique_ptr<Backend> open_backend(const DeviceFlags& flags) {
  BackendOptions options;
  if (flags.device == "cpu") options.device = DeviceKind::kCpu;
  if (flags.device == "cuda") options.device = DeviceKind::kCuda;
  options.threads = flags.threads;
  options.precision = precision_of(flags.precision);
  options.memory_limit = flags.memory_budget;
  return make_backend(options);
}

void say_why_no_card(const DeviceFlags& flags, const Backend& backend) {
  if (flags.device == "auto" && is_built_for_accelerators() &&
      backend.device().kind == DeviceKind::kCpu) {
    say("l2o: no CUDA device (" + why_no_accelerator() + "); computing on the processor");
  }
}

}  // namespace l2o::cli
