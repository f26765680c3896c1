// Random numbers from the counter-based generator, the same bits as on every backend: a thread
// computes one block of four draws at a time.
#include <cmath>
#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/vectors.h"
#include "kernels/math/normal.h"

namespace l2o::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kDraws = 4;  // per Philox block

L2O_DEVICE float draw(const FillRandomArgs& args, std::uint32_t bits) {
  const float number =
      args.distribution == Distribution::kNormal ? normal_from_bits(bits) : uniform_from_bits(bits);
  const float value = std::fma(args.b, number, args.a);
  return args.distribution == Distribution::kLogUniform ? std::exp(value) : value;
}

/// Number of draws of the first Philox block that precede draw number `first`.
L2O_HOST_DEVICE int draws_before(const FillRandomArgs& args) {
  return args.one_draw ? 0 : static_cast<int>(args.first % kDraws);
}

/// philox_blocks: number per task. whole_vectors: every Philox block starts at a multiple of 16
/// bytes.
__global__ void __launch_bounds__(kThreads)
    fill_random_kernel(FillRandomArgs args, std::int64_t philox_blocks, bool whole_vectors) {
  const std::int64_t step = std::int64_t{block_count()} * kThreads;
  for (std::int64_t index = std::int64_t{block_index()} * kThreads + thread_index();
       index < args.batch * philox_blocks; index += step) {
    const std::int64_t task = index / philox_blocks, philox_block = index % philox_blocks;
    RandomKey key = args.key;
    key.task += static_cast<std::uint32_t>(task);
    float values[kDraws];
    if (args.one_draw) {
      const float value = draw(args, random_bits(key, static_cast<std::uint64_t>(args.first)));
      for (float& each : values) each = value;
    } else {
      const auto number = static_cast<std::uint64_t>(args.first / kDraws + philox_block);
      const PhiloxBlock bits = random_block(key, number);
      for (int k = 0; k < kDraws; ++k) values[k] = draw(args, bits.word[k]);
    }

    const std::int64_t at = philox_block * kDraws - draws_before(args);
    float* out = args.out + task * args.stride;
    if (whole_vectors && args.count - at >= kDraws) {
      store_vector(out + at, float4{values[0], values[1], values[2], values[3]});
    } else {
      for (int k = 0; k < kDraws; ++k) {
        if (0 <= at + k && at + k < args.count) out[at + k] = values[k];
      }
    }
  }
}

}  // namespace

void fill_random(const FillRandomArgs& args, const Device& device) {
  if (args.batch == 0 || args.count == 0) return;
  const int before = draws_before(args);
  const std::int64_t philox_blocks = (before + args.count - 1) / kDraws + 1;
  const bool whole_vectors =
      before == 0 && is_aligned<float4>(args.out) && args.stride % kDraws == 0;
  const std::int64_t blocks =
      blocks_for(args.batch * philox_blocks, kThreads, device.resident_blocks(kThreads));
  launch("fill_random", fill_random_kernel, device, {blocks, kThreads}, args, philox_blocks,
         whole_vectors);
}

}  // namespace l2o::cuda
