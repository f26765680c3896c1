#include "host/backend/backend.h"

#include "host/backend/cpu_backend.h"
#include "host/core/error.h"
#ifdef L2O_CUDA
#include "host/backend/cuda_backend.h"
#endif

namespace l2o {

#ifndef L2O_CUDA
namespace {

std::string why_no_cuda_device(int) { return "this build has no CUDA backend"; }
std::vector<DeviceInfo> cuda_device_infos() { return {}; }
std::unique_ptr<Backend> make_cuda_backend(const BackendOptions&) {
  throw Error(Status::kDeviceUnavailable,
              "this build has no CUDA backend; choose the device \"cpu\" or \"auto\"");
}

}  // namespace
#endif

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  switch (options.device) {
    case DeviceKind::kAuto:
      return why_no_accelerator(options.number).empty() ? make_cuda_backend(options)
                                                        : make_cpu_backend(options);
    case DeviceKind::kCpu:
      return make_cpu_backend(options);
    case DeviceKind::kCuda:
      return make_cuda_backend(options);
  }
  throw Error(Status::kInternal, "an unknown kind of device");
}

bool is_built_for_accelerators() {
#ifdef L2O_CUDA
  return true;
#else
  return false;
#endif
}

std::string why_no_accelerator(int number) { return why_no_cuda_device(number); }

std::vector<DeviceInfo> list_devices() {
  std::vector<DeviceInfo> devices = {cpu_device_info({})};
  for (DeviceInfo& card : cuda_device_infos()) devices.push_back(std::move(card));
  return devices;
}

}  // namespace l2o
