// Sums of partials: the lanes of a warp process adjacent values, the warps of a block a slice of
// the partials each; the slices' sums are then added in order.
#include "kernels/cuda/reduce_partials.h"

#include "kernels/cuda/launch.cuh"

namespace l2o::cuda {
namespace {

// A slice is one chain of additions, each of which waits for the previous one; slices run side by
// side. Their number determines the order of additions: another one changes the bits of results.
constexpr int kSlices = 16;
constexpr int kThreads = kSlices * kWarpSize;

__global__ void __launch_bounds__(kThreads) reduce_partials_kernel(ReducePartialsArgs args) {
  auto* slice_sums = reinterpret_cast<double*>(shared_memory());  // [kSlices][kWarpSize]
  const int slice = thread_index() / kWarpSize, lane = thread_index() % kWarpSize;
  const std::int64_t index = std::int64_t{block_index()} * kWarpSize + lane;

  double sum = 0.0;
  if (index < args.size) {
    const std::int64_t end = (slice + 1) * args.count / kSlices;
#pragma unroll 8
    for (std::int64_t partial = slice * args.count / kSlices; partial < end; ++partial) {
      sum += static_cast<double>(args.partials[partial * args.size + index]);
    }
  }
  slice_sums[thread_index()] = sum;
  synchronize_block();
  if (slice > 0 || index >= args.size) return;
  double total = 0.0;
  for (int s = 0; s < kSlices; ++s) total += slice_sums[s * kWarpSize + lane];
  args.sums[index] = static_cast<float>(total);
}

}  // namespace

void reduce_partials(const ReducePartialsArgs& args, const Device& device) {
  const LaunchShape shape = {
      .blocks = ceil_div(args.size, kWarpSize),
      .threads = kThreads,
      .shared_bytes = kThreads * sizeof(double),
  };
  launch("reduce_partials", reduce_partials_kernel, device, shape, args);
}

}  // namespace l2o::cuda
