// The flags that say where a verb computes.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "host/backend/backend.h"

namespace l2o::cli {

struct DeviceFlags {
  std::string device = "auto";
  int threads = 0;
};

/// Adds --device and --threads.
void add_device_flags(CLI::App& verb, DeviceFlags& flags);

std::unique_ptr<Backend> open_backend(const DeviceFlags& flags);

}  // namespace l2o::cli
