#include "host/backend/backend.h"
#include "host/backend/cpu_backend.h"
#include "host/core/error.h"

namespace l2o {

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  switch (options.device) {
    case DeviceKind::kAuto:
    case DeviceKind::kCpu:
      return make_cpu_backend(options.threads);
    case DeviceKind::kCuda:
      throw Error(Status::kDeviceUnavailable,
                  "this build has no CUDA backend; choose the device \"cpu\" or \"auto\"");
  }
  throw Error(Status::kInternal, "an unknown kind of device");
}

std::vector<DeviceInfo> list_devices() { return {cpu_device_info(0)}; }

}  // namespace l2o
