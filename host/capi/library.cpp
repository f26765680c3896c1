// l2o.h: library.
#include <algorithm>
#include <vector>

#include "host/backend/backend.h"
#include "host/capi/guard.h"
#include "host/include/l2o/l2o.h"

const char* l2o_version(void) { return L2O_VERSION; }

const char* l2o_status_name(l2o_status status) {
  switch (status) {
    case L2O_OK:
      return "L2O_OK";
    case L2O_FAILURE:
      return "L2O_FAILURE";
    case L2O_INVALID_ARGUMENT:
      return "L2O_INVALID_ARGUMENT";
    case L2O_BAD_DATA:
      return "L2O_BAD_DATA";
    case L2O_DEVICE_UNAVAILABLE:
      return "L2O_DEVICE_UNAVAILABLE";
    case L2O_INTERNAL:
      return "L2O_INTERNAL";
    case L2O_OUT_OF_MEMORY:
      return "L2O_OUT_OF_MEMORY";
    case L2O_INPUT_OUTPUT:
      return "L2O_INPUT_OUTPUT";
    case L2O_DIVERGED:
      return "L2O_DIVERGED";
    case L2O_BUSY:
      return "L2O_BUSY";
    case L2O_NOT_FINITE:
      return "L2O_NOT_FINITE";
    case L2O_INTERRUPTED:
      return "L2O_INTERRUPTED";
  }
  return "unknown status";
}

const char* l2o_last_error_message(void) { return l2o::capi::last_error(); }

int l2o_backend_available(l2o_backend backend) {
  switch (backend) {
    case L2O_BACKEND_AUTO:
      return 1;
    case L2O_BACKEND_CPU:
    case L2O_BACKEND_CUDA: {
      const l2o::DeviceKind kind =
          backend == L2O_BACKEND_CUDA ? l2o::DeviceKind::kCuda : l2o::DeviceKind::kCpu;
      bool found = false;
      l2o::capi::guarded([&] {
        const std::vector<l2o::DeviceInfo> devices = l2o::list_devices();
        found = std::any_of(devices.begin(), devices.end(),
                            [&](const l2o::DeviceInfo& device) { return device.kind == kind; });
      });
      return found ? 1 : 0;
    }
  }
  return 0;
}
