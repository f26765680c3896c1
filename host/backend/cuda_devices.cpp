// The available GPUs and their properties.
#include <cuda_runtime.h>
#include <fmt/format.h>

#include "host/backend/cuda_backend.h"
#include "host/backend/cuda_errors.h"

namespace l2o {

DeviceInfo cuda_device_info(int number) {
  cudaDeviceProp properties;
  cuda::check(cudaGetDeviceProperties(&properties, number), "the properties of a device");
  DeviceInfo info;
  info.kind = DeviceKind::kCuda;
  info.name = "cuda";
  info.description =
      fmt::format("{}, compute capability {}.{}, {} multiprocessors", properties.name,
                  properties.major, properties.minor, properties.multiProcessorCount);
  info.memory_bytes = properties.totalGlobalMem;
  return info;
}

int count_cuda_devices(std::string* why) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) return count;
  cudaGetLastError();
  int driver = 0;
  const bool has_driver = cudaDriverGetVersion(&driver) == cudaSuccess && driver != 0;
  if (why != nullptr) {
    *why = !has_driver           ? "no NVIDIA driver"
           : code == cudaSuccess ? "no device"
                                 : cudaGetErrorString(code);
  }
  return 0;
}

std::vector<DeviceInfo> cuda_device_infos() {
  std::vector<DeviceInfo> infos;
  const int count = count_cuda_devices(nullptr);
  for (int number = 0; number < count; ++number) {
    translated([&] { infos.push_back(cuda_device_info(number)); });
  }
  return infos;
}

std::string why_no_cuda_device(int number) {
  std::string why;
  if (number >= count_cuda_devices(&why)) return why.empty() ? "no device with this number" : why;
  constexpr int kLeast = 8;  // mma.sync m16n8k16, bfloat16
  int major = 0;
  const cudaError_t code =
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, number);
  if (code != cudaSuccess) {
    cudaGetLastError();
    return cudaGetErrorString(code);
  }
  if (major < kLeast) {
    return fmt::format("compute capability {}, below {}", major, kLeast);
  }
  return "";
}

}  // namespace l2o
