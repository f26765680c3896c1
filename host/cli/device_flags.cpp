#include "host/cli/device_flags.h"

#include <fmt/format.h>

#include <regex>
#include <string>

#include "host/cli/output.h"
#include "host/cli/stop_signal.h"

namespace l2o::cli {
namespace {

Precision precision_of(const std::string& name) {
  for (const Precision precision : {Precision::kF32, Precision::kMixed}) {
    if (name == precision_name(precision)) return precision;
  }
  return Precision::kHalf;  // no other name passes the flag's check
}

/// Of what the conversion to bytes would read otherwise than meant: signs, octal and hexadecimal
/// digits, numbers beyond 64 bits.
std::string whole_number_with_unit(std::string& text) {
  static const std::regex pattern("(0|[1-9][0-9]{0,18}) *[A-Za-z]*");
  if (std::regex_match(text, pattern)) return "";
  return "'" + text + "' is no number of bytes; expected one like 16GB or 500MiB";
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
      ->transform(CLI::Validator(whole_number_with_unit, ""))  // before the other
      ->type_name("BYTES");
}

std::unique_ptr<Backend> open_backend(const DeviceFlags& flags) {
  BackendOptions options;
  if (flags.device == "cpu") options.device = DeviceKind::kCpu;
  if (flags.device == "cuda") options.device = DeviceKind::kCuda;
  options.threads = flags.threads;
  options.precision = precision_of(flags.precision);
  options.memory_limit = flags.memory_budget;
  options.poll = throw_if_stopped;
  return make_backend(options);
}

void say_what_auto_chose(const DeviceFlags& flags, const Backend& backend) {
  if (flags.device != "auto") return;
  const DeviceInfo& device = backend.device();
  say(device.kind == DeviceKind::kCpu
          ? fmt::format("l2o: --device auto: the processor, for there is no CUDA device: {}",
                        why_no_accelerator())
          : fmt::format("l2o: --device auto: {}, {}", device.name, device.description));
}

}  // namespace l2o::cli
