// Counts and removes non-finite numbers. Both ops are memory-bound.
#include <cub/device/device_reduce.cuh>

#include <cstddef>
#include <cstdint>
#include <functional>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/vectors.h"
#include "kernels/math/finite.h"

namespace l2o::cuda {
namespace {

struct IsNonFinite {
  L2O_HOST_DEVICE std::int64_t operator()(float value) const {
    return is_not_finite(value) ? 1 : 0;
  }
};

constexpr int kThreads = 256;

L2O_DEVICE float finite_or_zero(float value) { return is_not_finite(value) ? 0.0F : value; }

/// The first 4 * vectors values are copied 16 bytes at a time.
__global__ void __launch_bounds__(kThreads)
    zero_not_finite_kernel(ZeroNotFiniteArgs args, std::int64_t vectors) {
  const std::int64_t thread = std::int64_t{block_index()} * kThreads + thread_index();
  const std::int64_t step = std::int64_t{block_count()} * kThreads;
  for (std::int64_t i = thread; i < vectors; i += step) {
    const auto values = load_vector<float4>(args.values + 4 * i);
    store_vector(args.out + 4 * i, float4{finite_or_zero(values.x), finite_or_zero(values.y),
                                          finite_or_zero(values.z), finite_or_zero(values.w)});
  }
  for (std::int64_t i = 4 * vectors + thread; i < args.n; i += step) {
    args.out[i] = finite_or_zero(args.values[i]);
  }
}

}  // namespace

/// Uses CUB: a sum of integers is the same in any order.
void count_not_finite(const CountNotFiniteArgs& args, const Device& device) {
  const auto reduce = [&](void* memory, std::size_t& bytes) {
    check(cub::DeviceReduce::TransformReduce(memory, bytes, args.values, args.count, args.n,
                                             std::plus<std::int64_t>(), IsNonFinite(),
                                             std::int64_t{0}, device.stream),
          "count_not_finite");
  };
  std::size_t bytes = 0;
  reduce(nullptr, bytes);
  if (bytes > Device::kWorkspaceSize * sizeof(double)) {
    throw CudaError(cudaErrorMemoryAllocation, "count_not_finite: the workspace is too small");
  }
  reduce(device.workspace, bytes);
}

void zero_not_finite(const ZeroNotFiniteArgs& args, const Device& device) {
  if (args.n == 0) return;
  const std::int64_t vectors =
      is_aligned<float4>(args.values) && is_aligned<float4>(args.out) ? args.n / 4 : 0;
  const std::int64_t items = vectors > 0 ? vectors + 3 : args.n;
  launch("zero_not_finite", zero_not_finite_kernel, device,
         {blocks_for(items, kThreads, device.resident_blocks(kThreads)), kThreads}, args, vectors);
}

}  // namespace l2o::cuda
