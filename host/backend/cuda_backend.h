// A CUDA GPU as a device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

/// Throws kUsage where there is no GPU of that number, kDeviceUnavailable where there is none at
/// all or it cannot run this build's kernels.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

/// The GPUs of this machine, by number; none where there is no driver.
std::vector<DeviceInfo> cuda_device_infos();

/// Why the GPU of that number is of no use here; empty where it is.
std::string why_no_cuda_device(int number);

}  // namespace l2o
