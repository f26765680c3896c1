#include "kernels/cuda/device.h"

#include <map>
#include <mutex>
#include <utility>

namespace l2o::cuda {
namespace {

int attribute_of(int number, cudaDeviceAttr attribute) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, attribute, number), "an attribute of the device");
  return value;
}

}  // namespace

Device describe_device(int number) {
  Device device;
  device.number = number;
  device.multiprocessors = attribute_of(number, cudaDevAttrMultiProcessorCount);
  device.threads_per_multiprocessor = attribute_of(number, cudaDevAttrMaxThreadsPerMultiProcessor);
  device.shared_bytes =
      static_cast<std::size_t>(attribute_of(number, cudaDevAttrMaxSharedMemoryPerBlockOptin));
  return device;
}

void allow_shared_memory(const void* kernel, std::size_t bytes, const Device& device,
                         const char* name) {
  constexpr std::size_t kUnasked = std::size_t{48} << 10;
  if (bytes <= kUnasked) return;
  static std::mutex mutex;
  static std::map<std::pair<const void*, int>, std::size_t> allowed_bytes;  // kernel, GPU
  const std::lock_guard lock(mutex);
  std::size_t& allowed = allowed_bytes[{kernel, device.number}];
  if (bytes <= allowed) return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(device.shared_bytes)),
        name);
  allowed = device.shared_bytes;
}

}  // namespace l2o::cuda
