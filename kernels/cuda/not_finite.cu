// Finds and removes numbers that are not finite. Both kernels are bound by memory: where it is
// aligned they read it by 16 bytes.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/vectors.h"
#include "kernels/math/finite.h"

namespace l2o::cuda {
namespace {

// ----------------------------------------------------------------------------------------- count

constexpr int kCountThreads = 1024;
constexpr std::int64_t kValuesPerBlock = std::int64_t{1} << 15;

L2O_DEVICE int count_in(const float4& values) {
  return static_cast<int>(is_not_finite(values.x)) + static_cast<int>(is_not_finite(values.y)) +
         static_cast<int>(is_not_finite(values.z)) + static_cast<int>(is_not_finite(values.w));
}

/// The first 4 * vectors values are read by 16 bytes. Counts of blocks, which doubles hold exactly,
/// go to partials [blocks], or straight to where they belong if there is one block.
__global__ void __launch_bounds__(kCountThreads)
    count_not_finite_kernel(CountNotFiniteArgs args, std::int64_t vectors, double* partials) {
  const std::int64_t thread = std::int64_t{block_index()} * kCountThreads + thread_index();
  const std::int64_t step = std::int64_t{block_count()} * kCountThreads;
  std::int64_t count = 0;
  for (std::int64_t i = thread; i < vectors; i += step) {
    count += count_in(load_vector<float4>(args.values + 4 * i));
  }
  for (std::int64_t i = 4 * vectors + thread; i < args.n; i += step) {
    count += static_cast<int>(is_not_finite(args.values[i]));
  }
  const double sum = block_sum(static_cast<double>(count));
  if (thread_index() == 0) {
    if (block_count() == 1) {
      *args.count = static_cast<std::int64_t>(sum);
    } else {
      partials[block_index()] = sum;
    }
  }
}

__global__ void __launch_bounds__(kCountThreads)
    sum_counts_kernel(const double* partials, std::int64_t size, std::int64_t* count) {
  double sum = 0.0;
  for (std::int64_t i = thread_index(); i < size; i += kCountThreads) sum += partials[i];
  sum = block_sum(sum);
  if (thread_index() == 0) *count = static_cast<std::int64_t>(sum);
}

// ------------------------------------------------------------------------------------------ zero

constexpr int kZeroThreads = 256;

L2O_DEVICE float finite_or_zero(float value) { return is_not_finite(value) ? 0.0F : value; }

/// The first 4 * vectors values are copied by 16 bytes.
__global__ void __launch_bounds__(kZeroThreads)
    zero_not_finite_kernel(ZeroNotFiniteArgs args, std::int64_t vectors) {
  const std::int64_t thread = std::int64_t{block_index()} * kZeroThreads + thread_index();
  const std::int64_t step = std::int64_t{block_count()} * kZeroThreads;
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

void count_not_finite(const CountNotFiniteArgs& args, const Device& device) {
  const std::int64_t vectors = is_aligned<float4>(args.values) ? args.n / 4 : 0;
  // At least one block, which writes the count of nothing.
  const std::int64_t blocks = std::max<std::int64_t>(
      blocks_for(
          args.n, kValuesPerBlock,
          std::min<std::int64_t>(device.resident_blocks(kCountThreads), Device::kWorkspaceSize)),
      1);
  constexpr std::size_t kSharedBytes = block_sum_bytes(kCountThreads);
  launch("count_not_finite", count_not_finite_kernel, device, {blocks, kCountThreads, kSharedBytes},
         args, vectors, device.workspace);
  if (blocks > 1) {
    launch("count_not_finite", sum_counts_kernel, device, {1, kCountThreads, kSharedBytes},
           device.workspace, blocks, args.count);
  }
}

void zero_not_finite(const ZeroNotFiniteArgs& args, const Device& device) {
  if (args.n == 0) return;
  const std::int64_t vectors =
      is_aligned<float4>(args.values) && is_aligned<float4>(args.out) ? args.n / 4 : 0;
  const std::int64_t items = vectors > 0 ? vectors + 3 : args.n;
  launch("zero_not_finite", zero_not_finite_kernel, device,
         {blocks_for(items, kZeroThreads, device.resident_blocks(kZeroThreads)), kZeroThreads},
         args, vectors);
}

}  // namespace l2o::cuda
