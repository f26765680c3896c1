// Counts and removes non-finite numbers. Both loops are memory-bound and branch-free.

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "kernels/cpu/launchers.h"
#include "kernels/math/finite.h"

namespace l2o::cpu {
namespace {

/// Values that a worker takes at a time: 128 KiB.
constexpr std::int64_t kChunk = std::int64_t{1} << 15;

/// Calls task(first, end) for pieces of [0, n).
template <class Task>
void for_chunks(std::int64_t n, ThreadPool& pool, const Task& task) {
  pool.parallel_for(n / kChunk + (n % kChunk != 0), [&](std::int64_t chunk, int /*worker*/) {
    task(chunk * kChunk, std::min((chunk + 1) * kChunk, n));
  });
}

}  // namespace

void count_not_finite(const CountNotFiniteArgs& args, ThreadPool& pool) {
  std::atomic<std::int64_t> total{0};
  for_chunks(args.n, pool, [&](std::int64_t first, std::int64_t end) {
    std::uint32_t count = 0;
    for (std::int64_t i = first; i < end; ++i) count += is_not_finite(args.values[i]) ? 1U : 0U;
    total.fetch_add(count, std::memory_order_relaxed);
  });
  *args.count = total.load(std::memory_order_relaxed);
}

void zero_not_finite(const ZeroNotFiniteArgs& args, ThreadPool& pool) {
  for_chunks(args.n, pool, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t i = first; i < end; ++i) {
      args.out[i] = is_not_finite(args.values[i]) ? 0.0F : args.values[i];
    }
  });
}

}  // namespace l2o::cpu
