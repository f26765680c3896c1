// The processor as a device.
#pragma once

#include <memory>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

/// options.threads workers; 0 = one per core that this process may run on. Throws kUsage when out
/// of range.
std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options);

/// What make_cpu_backend(options)->device() says, without starting workers.
DeviceInfo cpu_device_info(const BackendOptions& options);

}  // namespace l2o
