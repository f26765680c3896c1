// The CUDA backend.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

/// Throws kUsage if the device number does not exist, kDeviceUnavailable if the machine has no
/// usable GPU.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

/// Returns the number of GPUs. If there are none, `why`, unless null, receives the reason.
int count_cuda_devices(std::string* why);
DeviceInfo cuda_device_info(int number);
/// Returns the GPUs of this machine, ordered by number; empty without a driver.
std::vector<DeviceInfo> cuda_device_infos();

/// Returns why this GPU cannot be used; empty if it can.
std::string why_no_cuda_device(int number);

}  // namespace l2o
