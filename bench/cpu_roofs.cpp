#include "bench/cpu_roofs.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernels/cpu/simd_targets.h"
#include "kernels/cpu/thread_pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/cpu_roofs.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace l2o {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Independent chains of fused multiply-adds: at least latency times pipes of the CPUs that have
/// those registers. x86 with 16 has two pipes of at most 5 cycles; AVX-512 and NEON have 32,
/// and some Arm CPUs four pipes of 4 cycles.
constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64;
constexpr int kChains = kManyRegisters ? 24 : 12;

/// Returns the number of FLOPs. `values` [0..3) are read and [3] is written, so that nothing can be
/// precomputed or omitted.
double fused_multiply_adds(std::int64_t rounds, float* values) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, values[0]);
  const auto addend = hn::Set(d, values[1]);
  hn::Vec<decltype(d)> chain[kChains];
  L2O_UNROLL
  for (int c = 0; c < kChains; ++c) chain[c] = hn::Set(d, values[2] + static_cast<float>(c));
  for (std::int64_t round = 0; round < rounds; ++round) {
    L2O_UNROLL
    for (int c = 0; c < kChains; ++c) chain[c] = hn::MulAdd(chain[c], factor, addend);
  }
  auto sum = chain[0];
  L2O_UNROLL
  for (int c = 1; c < kChains; ++c) sum = hn::Add(sum, chain[c]);
  values[3] = hn::GetLane(hn::SumOfLanes(d, sum));
  return 2.0 * kChains * static_cast<double>(hn::Lanes(d)) * static_cast<double>(rounds);
}

/// a = factor a, in place: every line is read and written back once, as a step does with the state.
void scale_in_place(float factor, float* a, std::size_t count) {
  const hn::ScalableTag<float> d;
  const auto factors = hn::Set(d, factor);
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::Store(hn::Mul(hn::Load(d, a + i), factors), d, a + i);
  }
}

/// a = b + factor c, the triad of McCalpin's STREAM.
void triad(float factor, const float* b, const float* c, float* a, std::size_t count) {
  const hn::ScalableTag<float> d;
  const auto factors = hn::Set(d, factor);
  for (std::size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::Store(hn::MulAdd(hn::Load(d, c + i), factors, hn::Load(d, b + i)), d, a + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace l2o
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace l2o {
namespace {

HWY_EXPORT(fused_multiply_adds);
HWY_EXPORT(scale_in_place);
HWY_EXPORT(triad);

constexpr int kTrials = 5;  // the best one counts: a roof is an upper bound

template <class Work>
double seconds(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double measure_flops(cpu::ThreadPool& pool) {
  constexpr std::int64_t kRounds = 20'000'000;  // about 0.1 s
  double best = 0.0;
  for (int trial = 0; trial < kTrials; ++trial) {
    double flops_of_one = 0.0;
    const double time = seconds([&] {
      pool.parallel_for(pool.threads(), [&](std::int64_t index, int) {
        float values[4] = {0.999F, 0.001F, 1.0F, 0.0F};
        const double flops = HWY_DYNAMIC_DISPATCH(fused_multiply_adds)(kRounds, values);
        if (index == 0) flops_of_one = flops;
      });
    });
    best = std::max(best, flops_of_one * pool.threads() / time);
  }
  return best;
}

struct Free {
  void operator()(float* memory) const { std::free(memory); }
};

double measure_bandwidth(cpu::ThreadPool& pool, std::size_t memory_bytes) {
  // Three arrays of whole pieces; a thread processes one piece at a time.
  constexpr std::size_t kPiece = std::size_t{1} << 18;  // floats: 1 MiB
  const std::size_t pieces = std::max<std::size_t>(memory_bytes / (3 * kPiece * sizeof(float)), 1);
  const std::size_t third = pieces * kPiece;
  const std::unique_ptr<float, Free> memory(
      static_cast<float*>(std::aligned_alloc(64, 3 * third * sizeof(float))));
  float* const a = memory.get();
  if (a == nullptr) return 0.0;
  std::memset(a, 0, 3 * third * sizeof(float));

  const auto pieces_of_all = static_cast<std::int64_t>(pieces);
  double best = 0.0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const double scale_time = seconds([&] {
      pool.parallel_for(3 * pieces_of_all, [&](std::int64_t piece, int) {
        HWY_DYNAMIC_DISPATCH(scale_in_place)
        (1.5F, a + static_cast<std::size_t>(piece) * kPiece, kPiece);
      });
    });
    const double triad_time = seconds([&] {
      pool.parallel_for(pieces_of_all, [&](std::int64_t piece, int) {
        float* const out = a + static_cast<std::size_t>(piece) * kPiece;
        HWY_DYNAMIC_DISPATCH(triad)(1.5F, out + third, out + 2 * third, out, kPiece);
      });
    });
    const auto bytes_of_third = static_cast<double>(third * sizeof(float));
    best = std::max({best, 6.0 * bytes_of_third / scale_time, 3.0 * bytes_of_third / triad_time});
  }
  return best;
}

}  // namespace

Roofs measure_cpu_roofs(int threads, std::size_t memory_bytes) {
  cpu::ThreadPool pool(threads);
  Roofs roofs;
  roofs.flops_per_second = measure_flops(pool);
  roofs.bytes_per_second = measure_bandwidth(pool, memory_bytes);
  return roofs;
}

}  // namespace l2o
#endif  // HWY_ONCE
