#include "host/cli/device_flags.h"

namespace l2o::cli {

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
}

std::unique_ptr<Backend> open_backend(const DeviceFlags& flags) {
  BackendOptions options;
  if (flags.device == "cpu") options.device = DeviceKind::kCpu;
  if (flags.device == "cuda") options.device = DeviceKind::kCuda;
  options.threads = flags.threads;
  return make_backend(options);
}

}  // namespace l2o::cli
