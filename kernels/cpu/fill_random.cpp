// Random numbers from the counter-based generator: draw i of a stream is a pure function of the
// stream's key and i, so that any thread can fill any part.

#include <algorithm>
#include <cmath>

#include "kernels/cpu/launchers.h"
#include "kernels/math/normal.h"

namespace l2o::cpu {
namespace {

/// Values that a worker fills at a time.
constexpr std::int64_t kChunk = 4096;

/// out[i] = value(draw first + i) for `count` values.
template <class ValueFromBits>
void fill_range(const RandomKey& key, std::uint64_t first, std::int64_t count, float* out,
                const ValueFromBits& value_from_bits) {
  PhiloxBlock block = random_block(key, first / 4);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t draw = first + static_cast<std::uint64_t>(i);
    if (i > 0 && draw % 4 == 0) block = random_block(key, draw / 4);
    out[i] = value_from_bits(block.word[draw % 4]);
  }
}

/// Calls visitor(value of 32 random bits).
template <class Visitor>
void visit_distribution(const FillRandomArgs& args, const Visitor& visitor) {
  const float a = args.a, b = args.b;
  switch (args.distribution) {
    case Distribution::kUniform:
      visitor([=](std::uint32_t bits) { return std::fma(b, uniform_from_bits(bits), a); });
      return;
    case Distribution::kNormal:
      visitor([=](std::uint32_t bits) { return std::fma(b, normal_from_bits(bits), a); });
      return;
    case Distribution::kLogUniform:
      visitor(
          [=](std::uint32_t bits) { return std::exp(std::fma(b, uniform_from_bits(bits), a)); });
      return;
  }
}

}  // namespace

void fill_random(const FillRandomArgs& args, ThreadPool& pool) {
  const std::int64_t chunks_per_task = (args.count + kChunk - 1) / kChunk;
  visit_distribution(args, [&](auto value_from_bits) {
    pool.parallel_for(args.batch * chunks_per_task, [&](std::int64_t index, int /*worker*/) {
      const std::int64_t task = index / chunks_per_task;
      const std::int64_t begin = index % chunks_per_task * kChunk;
      const std::int64_t count = std::min(kChunk, args.count - begin);
      RandomKey key = args.key;
      key.task += static_cast<std::uint32_t>(task);
      float* const out = args.out + task * args.stride + begin;
      const auto first = static_cast<std::uint64_t>(args.first);
      if (args.one_draw) {
        std::fill_n(out, count, value_from_bits(random_bits(key, first)));
      } else {
        fill_range(key, first + static_cast<std::uint64_t>(begin), count, out, value_from_bits);
      }
    });
  });
}

}  // namespace l2o::cpu
