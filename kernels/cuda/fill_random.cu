// Random numbers from the counter-based generator, the same bits as on every backend: a thread
// takes one block of four draws at a time.
#include <cmath>
#include <cstdint>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/vectors.h"
#include "kernels/math/normal.h"

namespace l2o::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kDraws = 4;  // of a Philox block

L2O_DEVICE float draw(const FillRandomArgs& args, std::uint32_t bits) {
  const float value = args.distribution == Distribution::kUniform ? uniform_from_bits(bits)
                                                                  : normal_from_bits(bits);
  return std::fma(args.b, value, args.a);
}

/// quads: Philox blocks of a task. whole_vectors: every one of them starts at whole 16 bytes.
__global__ void __launch_bounds__(kThreads)
    fill_random_kernel(FillRandomArgs args, std::int64_t quads, bool whole_vectors) {
  const std::int64_t step = std::int64_t{block_count()} * kThreads;
  for (std::int64_t index = std::int64_t{block_index()} * kThreads + thread_index();
       index < args.batch * quads; index += step) {
    const std::int64_t task = index / quads, quad = index % quads;
    RandomKey key = args.key;
    key.task += static_cast<std::uint32_t>(task);
    const PhiloxBlock bits = random_block(key, static_cast<std::uint64_t>(quad));
    float values[kDraws];
    for (int k = 0; k < kDraws; ++k) values[k] = draw(args, bits.word[k]);

    float* out = args.out + task * args.stride + quad * kDraws;
    const std::int64_t left = args.count - quad * kDraws;
    if (whole_vectors && left >= kDraws) {
      store_vector(out, float4{values[0], values[1], values[2], values[3]});
    } else {
      for (int k = 0; k < kDraws; ++k) {
        if (k < left) out[k] = values[k];
      }
    }
  }
}

}  // namespace

void fill_random(const FillRandomArgs& args, const Device& device) {
  if (args.batch == 0 || args.count == 0) return;
  const std::int64_t quads = (args.count - 1) / kDraws + 1;
  const bool whole_vectors = is_aligned<float4>(args.out) && args.stride % kDraws == 0;
  const std::int64_t blocks =
      blocks_for(args.batch * quads, kThreads, device.resident_blocks(kThreads));
  launch("fill_random", fill_random_kernel, device, {blocks, kThreads}, args, quads, whole_vectors);
}

}  // namespace l2o::cuda
