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
              "this build has no CUDA backend; use device \"cpu\" or \"auto\"");
}

}  // namespace
#endif

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  const bool use_gpu =
      options.device == DeviceKind::kCuda ||
      (options.device == DeviceKind::kAuto && why_no_accelerator(options.number).empty());
  std::unique_ptr<Backend> backend =
      use_gpu ? make_cuda_backend(options) : make_cpu_backend(options);
  backend->poll_ = options.poll;
  backend->poll_interval_ = options.poll_interval;
  return backend;
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
  for (DeviceInfo& gpu : cuda_device_infos()) devices.push_back(std::move(gpu));
  return devices;
}

}  // namespace l2o
