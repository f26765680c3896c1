#include "bench/roofs.h"

#include <algorithm>

#include "bench/cpu_roofs.h"
#ifdef L2O_CUDA
#include "bench/cuda_roofs.h"
#endif

namespace l2o {

double Roofs::seconds(double flops, double bytes, bool on_tensor_cores) const {
  const double peak = on_tensor_cores ? tensor_flops_per_second : flops_per_second;
  return std::max(flops / peak, bytes / bytes_per_second);
}

Roofs measure_roofs(const DeviceInfo& device, std::size_t memory_bytes) {
  // Far more than the caches hold, if there is that much memory.
  const bool is_gpu = device.kind == DeviceKind::kCuda;
  const std::size_t enough = std::size_t{is_gpu ? 4096U : 768U} << 20;
  std::size_t most = memory_bytes == 0 ? enough : memory_bytes;
  if (device.memory_bytes != 0) most = std::min(most, device.memory_bytes / (is_gpu ? 4 : 8));
#ifdef L2O_CUDA
  if (is_gpu) return measure_cuda_roofs(most);
#endif
  return measure_cpu_roofs(device.threads, most);
}

TensorCores tensor_cores_of([[maybe_unused]] const DeviceInfo& device,
                            [[maybe_unused]] const CellConfig& cell) {
#ifdef L2O_CUDA
  if (device.kind == DeviceKind::kCuda && runs_on_tensor_cores(cell)) return device.precision;
#endif
  return {};
}

}  // namespace l2o
