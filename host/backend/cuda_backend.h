// A CUDA card as a device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

/// Throws kUsage where there is no card of that number, kDeviceUnavailable where there is none at
/// all or it cannot run this build's kernels.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

/// The cards of this machine, by number; none where there is no driver.
std::vector<DeviceInfo> cuda_device_infos();

/// Why there is none; empty where there is one.
std::string why_no_cuda_device();

}  // namespace l2o
