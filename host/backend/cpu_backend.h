// The CPU as a device.
#pragma once

#include <memory>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

/// Starts options.threads workers; 0 = one per core on which this process may run. Throws kUsage if
/// the number is out of range, kOutOfMemory if the system cannot start that many.
std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options);

/// Returns make_cpu_backend(options)->device() without starting workers.
DeviceInfo cpu_device_info(const BackendOptions& options);

}  // namespace l2o
