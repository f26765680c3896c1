// The processor as a device.
#pragma once

#include <memory>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

/// `threads` workers; 0 = one per core that this process may run on. Throws kUsage when out of
/// range.
std::unique_ptr<Backend> make_cpu_backend(int threads);

/// What make_cpu_backend(threads)->device() says, without starting workers.
DeviceInfo cpu_device_info(int threads);

}  // namespace l2o
