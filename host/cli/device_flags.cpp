#include "host/cli/device_flags.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <regex>
#include <string>
#include <string_view>
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

/// Rejects sizes that the conversion to bytes would misread: signs, fractions, hexadecimal digits,
/// numbers beyond 64 bits. Removes leading zeros, which it would read as octal.
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
  return "'" + text + "' is not a valid size; expected e.g. 16GB or 500MiB";
}

constexpr std::string_view kNumberedGpu = "cuda:";

/// Returns K of "cuda:K", or -1 if K is not a number.
int gpu_number(const std::string& device) {
  const char* const end = device.data() + device.size();
  int number = -1;
  const auto [stop, error] = std::from_chars(device.data() + kNumberedGpu.size(), end, number);
  return error == std::errc() && stop == end ? number : -1;
}

std::string known_device(const std::string& device) {
  const bool is_known = device == "auto" || device == "cpu" || device == "cuda" ||
                        (device.starts_with(kNumberedGpu) && gpu_number(device) >= 0);
  return is_known ? "" : "'" + device + "' is not a device; expected auto, cpu, cuda or cuda:K";
}

/// Returns the number of threads for a rank, so that the ranks of a machine together use one per
/// core, whether or not the launcher binds ranks to cores.
int share_of_cores(const Rank& rank) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  const int bound = sched_getaffinity(0, sizeof(mine), &mine) == 0 ? CPU_COUNT(&mine) : 1;
  const auto all = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return std::max(1, std::min(bound, all / rank.local_size));
}

/// Returns the number of GPUs visible to this process: a launcher may hide all but one.
int visible_gpus() {
  const std::vector<DeviceInfo> devices = list_devices();
  return static_cast<int>(std::ranges::count(devices, DeviceKind::kCuda, &DeviceInfo::kind));
}

}  // namespace

CLI::Option* add_device_option(CLI::App& verb, std::string& device, const char* description) {
  return verb.add_option("--device", device, description)->check(known_device)->type_name("DEVICE");
}

CLI::Option* add_precision_option(CLI::App& verb, std::string& precision) {
  return verb
      .add_option("--precision", precision,
                  "precision of the learned rule on tensor cores: f32, mixed or half")
      ->check(CLI::IsMember({"f32", "mixed", "half"}))
      ->type_name("PRECISION")
      ->capture_default_str();
}

void add_device_flags(CLI::App& verb, DeviceFlags& flags) {
  add_device_option(verb, flags.device,
                    "auto (the best available), cpu or cuda; cuda:K is GPU number K")
      ->capture_default_str();
  add_integer_option(verb, "--threads", flags.threads,
                     "CPU threads; 0: one per core. Never changes a result", "N", 0,
                     int{BackendOptions::kMaxThreads});
  add_precision_option(verb, flags.precision);
  verb.add_option("--memory-budget", flags.memory_budget,
                  "device memory that may be used, e.g. 16GB; 0: all of it")
      ->transform(CLI::AsSizeValue(true))
      ->transform(CLI::Validator(plain_number_with_unit, ""))  // runs before the other
      ->type_name("BYTES");
}

std::unique_ptr<Backend> open_backend(const DeviceFlags& flags, const Rank& rank) {
  BackendOptions options;
  if (flags.device == "cpu") options.device = DeviceKind::kCpu;
  if (rank.local_size > 1) options.number = rank.local_rank % std::max(1, visible_gpus());
  if (flags.device.starts_with("cuda")) options.device = DeviceKind::kCuda;
  if (flags.device.starts_with(kNumberedGpu)) options.number = gpu_number(flags.device);
  options.threads = flags.threads;
  if (options.threads == 0 && rank.local_size > 1) options.threads = share_of_cores(rank);
  options.precision = precision_of(flags.precision);
  options.memory_limit = flags.memory_budget;
  options.poll = throw_if_stopped;
  return make_backend(options);
}

void say_what_auto_chose(const DeviceFlags& flags, const Backend& backend) {
  if (flags.device != "auto") return;
  const DeviceInfo& device = backend.device();
  say(device.kind == DeviceKind::kCpu
          ? fmt::format("l2o: --device auto: the CPU, because there is no CUDA device: {}",
                        why_no_accelerator())
          : fmt::format("l2o: --device auto: {}, {}", device.name, device.description));
}

}  // namespace l2o::cli
