// A CUDA GPU as a device.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"

namespace l2o {

/// Throws kUsage for a device number that does not exist, and kDeviceUnavailable if the machine has
/// no usable GPU.
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options);

/// How many GPUs there are; `why`, unless null, says why there are none.
int count_cuda_devices(std::string* why);
DeviceInfo cuda_device_info(int number);
/// The GPUs of this machine in the order of their numbers; empty without a driver.
std::vector<DeviceInfo> cuda_device_infos();

/// Why the GPU of that number is of no use here; empty where it is.
std::string why_no_cuda_device(int number);

}  // namespace l2o
