#include "host/cli/device_flags.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <regex>
#include <string>
#include <system_error>

#include "host/cli/checked_option.h"
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

/// Of what the conversion to bytes would read otherwise than meant: signs, fractions, hexadecimal
/// digits, numbers beyond 64 bits. Leading zeros, which it takes for octal, are removed.
std::string plain_number_with_unit(std::string& text) {
  static const std::regex pattern("([0-9]+)( *[A-Za-z]*)");
  std::smatch parts;
  std::uint64_t number = 0;
  if (std::regex_match(text, parts, pattern)) {
    const std::string digits = parts[1], unit = parts[2];
    const auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error == std::errc()) {
      text = std::to_string(number) + unit;
      return "";
    }
  }
  return "'" + text + "' is not a number of bytes; expected one like 16GB or 500MiB";
}

}  // namespace

CLI::Option* add_device_option(CLI::App& verb, std::string& device, const char* description) {
  return verb.add_option("--device", device, description)
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->type_name("DEVICE");
}

CLI::Option* add_precision_option(CLI::App& verb, std::string& precision) {
  return verb
      .add_option("--precision", precision,
                  "of the learned rule on tensor cores: f32, mixed or half")
      ->check(CLI::IsMember({"f32", "mixed", "half"}))
      ->type_name("PRECISION")
      ->capture_default_str();
}

void add_device_flags(CLI::App& verb, DeviceFlags& flags) {
  add_device_option(verb, flags.device, "auto (the best there is), cpu or cuda")
      ->capture_default_str();
  add_integer_option(verb, "--threads", flags.threads,
                     "CPU threads; 0: one per core. Never changes a result", "N", 0,
                     int{BackendOptions::kMaxThreads});
  add_precision_option(verb, flags.precision);
  verb.add_option("--memory-budget", flags.memory_budget,
                  "memory of the device that may be taken, e.g. 16GB; 0: all there is")
      ->transform(CLI::AsSizeValue(true))
      ->transform(CLI::Validator(plain_number_with_unit, ""))  // before the other
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
