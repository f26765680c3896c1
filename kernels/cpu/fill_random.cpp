// Random numbers from the counter-based generator: draw i of a stream is a pure function of the
// stream's key and i, so that any thread can fill any part.

#include <algorithm>
#include <cmath>

#include "kernels/cpu/launchers.h"
#include "kernels/math/normal.h"

namespace l2o::cpu {
namespace {

/// Values that a worker fills at once; a multiple of the four draws of a Philox block.
constexpr std::int64_t kChunk = 4096;

/// out[i] = a + b * draw(i) for first <= i < end; first is a multiple of 4.
template <class DrawFromBits>
void fill_range(const FillRandomArgs& args, const RandomKey& key, std::int64_t first,
                std::int64_t end, float* out, DrawFromBits draw_from_bits) {
  for (std::int64_t i = first; i < end; i += 4) {
    const PhiloxBlock block = random_block(key, static_cast<std::uint64_t>(i) / 4);
    const auto draws = static_cast<int>(std::min<std::int64_t>(4, end - i));
    for (int k = 0; k < draws; ++k) {
      out[i + k] = std::fma(args.b, draw_from_bits(block.word[k]), args.a);
    }
  }
}

}  // namespace

void fill_random(const FillRandomArgs& args, ThreadPool& pool) {
  const std::int64_t chunks_per_task = (args.count + kChunk - 1) / kChunk;
  pool.parallel_for(args.batch * chunks_per_task, [&](std::int64_t index, int /*worker*/) {
    const std::int64_t task = index / chunks_per_task;
    const std::int64_t first = index % chunks_per_task * kChunk;
    const std::int64_t end = std::min(first + kChunk, args.count);
    RandomKey key = args.key;
    key.task += static_cast<std::uint32_t>(task);
    float* out = args.out + task * args.stride;
    if (args.distribution == Distribution::kUniform) {
      fill_range(args, key, first, end, out, uniform_from_bits);
    } else {
      fill_range(args, key, first, end, out, normal_from_bits);
    }
  });
}

}  // namespace l2o::cpu
