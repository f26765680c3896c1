// The flags that select the device of a verb.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "host/backend/backend.h"
#include "host/cli/ranks.h"

namespace l2o::cli {

struct DeviceFlags {
  std::string device = "auto";
  int threads = 0;
  std::string precision = "mixed";
  std::size_t memory_budget = 0;
};

CLI::Option* add_device_option(CLI::App& verb, std::string& device, const char* description);
CLI::Option* add_precision_option(CLI::App& verb, std::string& precision);
/// Adds --device, --threads, --precision and --memory-budget.
void add_device_flags(CLI::App& verb, DeviceFlags& flags);

/// For the rank that this process is: of several on a machine, each takes the GPU of its number
/// there unless --device names one, and its share of the CPU unless --threads says otherwise.
std::unique_ptr<Backend> open_backend(const DeviceFlags& flags, const Rank& rank = {only_rank()});

/// Reports the device chosen by "auto", and why it is not another.
void say_what_auto_chose(const DeviceFlags& flags, const Backend& backend);

}  // namespace l2o::cli
