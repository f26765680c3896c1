// The order of threads: every order that hardware may choose occurs for some seed, and results that
// do not depend on it stay the same. Also the hardware faults that tests can inject.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "kernels/cuda/launch.cuh"
#include "tests/emulation/emulation.h"
#include "tests/emulation/gpu_memory.h"

namespace l2o::cuda {
namespace {

using emulation::EmulationFault;
using emulation::GpuMemory;
using testing::Each;
using testing::HasSubstr;

constexpr int kThreads = 128, kSeeds = 20;

class Order : public testing::Test {
 protected:
  /// The contents of `out` after a kernel ran with one seed.
  static std::vector<float> run(void (*kernel)(float*), int seed, int blocks = 1) {
    emulation::settings.seed = static_cast<std::uint64_t>(seed);
    const GpuMemory<float> out(static_cast<std::size_t>(blocks) * kThreads);
    launch("kernel", kernel, Device(), {blocks, kThreads, kThreads * sizeof(float)}, out.data());
    return {out.begin(), out.end()};
  }
  /// The distinct results of many seeds.
  static std::set<std::vector<float>> results(void (*kernel)(float*)) {
    std::set<std::vector<float>> all;
    for (int seed = 0; seed < kSeeds; ++seed) {
      std::vector<float> result = run(kernel, seed);
      // NaN is not equal to itself.
      for (float& value : result) value = std::isnan(value) ? -1.0F : value;
      all.insert(std::move(result));
    }
    return all;
  }
  emulation::RestoreSettings restore_;
};

__global__ void index_kernel(float* out) {
  const int index = block_index() * block_threads() + thread_index();
  out[index] = static_cast<float>(index + 1000 * block_count());
}
TEST_F(Order, EveryThreadRunsOnce) {
  std::vector<float> expected(5 * kThreads);
  std::iota(expected.begin(), expected.end(), 5000.0F);
  for (int seed = 0; seed < kSeeds; ++seed) EXPECT_EQ(run(index_kernel, seed, 5), expected);
}

/// Every thread gets a number in the order of arrival.
int come_by = 0;
__global__ void order_kernel(float* out) {
  shuffle_xor(0.0F, 1);
  out[block_index() * block_threads() + thread_index()] = static_cast<float>(come_by++);
}
TEST_F(Order, DiffersForEverySeed) {
  std::set<std::vector<float>> orders;
  for (int seed = 0; seed < kSeeds; ++seed) {
    come_by = 0;
    const std::vector<float> order = run(order_kernel, seed, 3);
    come_by = 0;
    EXPECT_EQ(run(order_kernel, seed, 3), order);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), kSeeds);
}

/// Sums by halves through shared memory, with a barrier after every write or without the second.
template <bool correct>
__global__ void sum_kernel(float* out) {
  auto* const sums = reinterpret_cast<float*>(shared_memory());
  sums[thread_index()] = static_cast<float>(1 << thread_index() % 16);
  synchronize_block();
  for (int half = block_threads() / 2; half > 0; half /= 2) {
    if (thread_index() < half) sums[thread_index()] += sums[thread_index() + half];
    if (correct) synchronize_block();
  }
  synchronize_block();
  out[thread_index()] = sums[0];
}
TEST_F(Order, DoesNotAffectACorrectKernel) {
  const std::set<std::vector<float>> all = results(sum_kernel<true>);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_THAT(*all.begin(), Each(8.0F * 65535));
}
TEST_F(Order, ExposesAMissingBarrier) { EXPECT_GT(results(sum_kernel<false>).size(), 3U); }

/// Warp 0 writes, and all warps read after a barrier; the next write needs a barrier before it,
/// whose absence is visible only if a warp runs ahead.
template <bool correct>
__global__ void exchange_kernel(float* out) {
  auto* const slots = reinterpret_cast<float*>(shared_memory());
  float sum = 0.0F;
  for (int step = 0; step < 4; ++step) {
    if (thread_index() < kWarpSize) slots[thread_index()] = static_cast<float>(step);
    synchronize_block();
    sum = 10.0F * sum + slots[(thread_index() + 1) % kWarpSize];
    if (correct) synchronize_block();
  }
  out[thread_index()] = sum;
}
TEST_F(Order, LetsAWarpRunAhead) {
  EXPECT_EQ(results(exchange_kernel<true>).size(), 1U);
  EXPECT_GT(results(exchange_kernel<false>).size(), 3U);
}

/// Lanes that exchange values through memory as if they ran in lockstep.
__global__ void in_step_kernel(float* out) {
  auto* const slots = reinterpret_cast<float*>(shared_memory());
  slots[thread_index()] = static_cast<float>(thread_index());
  out[thread_index()] = slots[thread_index() ^ 1];
}
TEST_F(Order, LanesDoNotRunInStep) { EXPECT_GT(results(in_step_kernel).size(), 3U); }

// ------------------------------------------------------------------------------ faulty hardware

TEST_F(Order, DroppedBarriersAreDetected) {
  EXPECT_EQ(results(sum_kernel<true>).size(), 1U);
  // The barriers of the loop are numbers 1 .. 7 of 9.
  emulation::settings.mutations.barrier_period = 9;
  for (const int dropped : {1, 3, 6}) {
    emulation::settings.mutations.dropped_barrier = dropped;
    EXPECT_GT(results(sum_kernel<true>).size(), 1U) << dropped;
  }
  emulation::settings.mutations.dropped_barrier = 8;  // directly after another one
  EXPECT_EQ(results(sum_kernel<true>).size(), 1U);
}

__global__ void shuffle_sum_kernel(float* out) {
  float sum = static_cast<float>(thread_index() % kWarpSize);
  for (int mask = 1; mask < kWarpSize; mask *= 2) sum += shuffle_xor(sum, mask);
  out[thread_index()] = sum;
}
TEST_F(Order, SkippedShufflesAreDivergence) {
  for (int seed = 0; seed < kSeeds; ++seed) {
    emulation::settings.mutations.skip_shuffles = false;
    EXPECT_THAT(run(shuffle_sum_kernel, seed), Each(31.0F * 16));
    emulation::settings.mutations.skip_shuffles = true;
    EXPECT_THROW(run(shuffle_sum_kernel, seed), EmulationFault);
  }
}

__global__ void product_kernel(float* out) {
  float sums[4] = {};
  const std::uint32_t a[4] = {0x3C003C00U, 0x3C003C00U, 0, 0};  // ones in columns 0 .. 7
  multiply_float16_k16(sums, a, 0x40004000U, 0);                // twos in rows 0 .. 7
  multiply_bfloat16_k16(sums, a, 0, 0);
  out[thread_index()] = sums[3];
}
TEST_F(Order, SwappedHalvesOfProductsAreDetected) {
  EXPECT_THAT(run(product_kernel, 1), Each(16.0F));
  emulation::settings.mutations.swap_product_halves = true;
  EXPECT_THAT(run(product_kernel, 1), Each(0.0F));
}

__global__ void transposed_kernel(float* out) {
  std::uint32_t blocks[2];
  load_transposed(blocks, reinterpret_cast<const std::uint16_t*>(shared_memory()));
  out[thread_index()] = 0.0F;
}
TEST_F(Order, MisalignedRowsAreFaults) {
  EXPECT_THAT(run(transposed_kernel, 1), Each(0.0F));
  emulation::settings.mutations.misalign_rows = true;
  try {
    run(transposed_kernel, 1);
    FAIL();
  } catch (const EmulationFault& fault) {
    EXPECT_THAT(fault.what(), HasSubstr("load_transposed: misaligned"));
  }
}

}  // namespace
}  // namespace l2o::cuda
