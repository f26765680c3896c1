// A CUDA GPU as a device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

/// Throws kUsage if there is no GPU with that number, and kDeviceUnavailable if there is no GPU or
/// it cannot run this build's kernels.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

/// The GPUs of this machine in the order of their numbers; empty without a driver.
std::vector<DeviceInfo> cuda_device_infos();

/// Why the GPU of that number is of no use here; empty where it is.
std::string why_no_cuda_device(int number);

}  // namespace l2o
