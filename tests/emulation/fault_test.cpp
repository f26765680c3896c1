// Forbidden operations of kernels are detected and attributed to the right thread.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <type_traits>

#include "kernels/cuda/launch.cuh"
#include "tests/emulation/emulation.h"
#include "tests/emulation/gpu_memory.h"

namespace l2o::cuda {
namespace {

using emulation::EmulationFault;
using emulation::GpuMemory;
using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

constexpr LaunchShape kTwoWarps = {.blocks = 1, .threads = 64, .shared_bytes = 256};

/// The error message of a launch; empty if it succeeds.
template <class... Parameters>
std::string fault_of(void (*kernel)(Parameters...), const LaunchShape& shape,
                     const std::type_identity_t<Parameters>&... parameters) {
  try {
    launch("bad_kernel", kernel, describe_device(0), shape, parameters...);
  } catch (const EmulationFault& fault) {
    return fault.what();
  }
  return "";
}

/// Runs every test with several orders of threads: faults do not depend on it.
class Fault : public testing::TestWithParam<int> {
 protected:
  Fault() { emulation::settings.seed = static_cast<std::uint64_t>(GetParam()); }
  emulation::RestoreSettings restore_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, Fault, testing::Range(0, 4));

// ------------------------------------------------------------------------- divergence and barriers

__global__ void two_shuffles_kernel() {
  if (thread_index() % kWarpSize < 5) {
    shuffle_xor(1.0F, 1);
  } else {
    shuffle(1.0F, 0);
  }
}
TEST_P(Fault, LanesInDifferentFunctions) {
  EXPECT_THAT(fault_of(two_shuffles_kernel, {.blocks = 1, .threads = 64}),
              AllOf(MatchesRegex("bad_kernel, block 0, thread [0-9]+: is in shuffle.*"),
                    HasSubstr("while other lanes of its warp wait in shuffle")));
}

__global__ void two_places_kernel() {
  if (thread_index() % 2 == 0) shuffle(1.0F, 0);
  if (thread_index() % 2 == 1) shuffle(1.0F, 0);
}
TEST_P(Fault, LanesInDifferentPlaces) {
  EXPECT_THAT(fault_of(two_places_kernel, kTwoWarps), HasSubstr("fault_test.cpp"));
}

__global__ void missing_lane_kernel() {
  if (block_index() == 1 && thread_index() == 37) return;
  shuffle_xor(1.0F, 1);
}
TEST_P(Fault, LaneThatHasEnded) {
  EXPECT_THAT(fault_of(missing_lane_kernel, {.blocks = 2, .threads = 64}),
              AllOf(StartsWith("bad_kernel, block 1, thread "), HasSubstr("waits in shuffle_xor"),
                    HasSubstr("for thread 37 of its warp, which has ended")));
}

__global__ void lane_at_barrier_kernel() {
  const auto wait = [] { synchronize_block(); };
  if (thread_index() == 37) wait();
  shuffle_xor(1.0F, 1);
  if (thread_index() != 37) wait();
}
TEST_P(Fault, LaneThatWaitsElsewhere) {
  EXPECT_THAT(fault_of(lane_at_barrier_kernel, kTwoWarps),
              HasSubstr("for thread 37 of its warp, which waits in synchronize_block"));
}

__global__ void skipped_barrier_kernel(int skipping) {
  for (int i = 0; i < 3; ++i) {
    if (thread_index() == skipping && i == 1) continue;
    synchronize_block();
  }
}
TEST_P(Fault, BarrierThatOneThreadSkips) {
  EXPECT_EQ(fault_of(skipped_barrier_kernel, kTwoWarps, -1), "");
  EXPECT_THAT(
      fault_of(skipped_barrier_kernel, kTwoWarps, 50),
      AllOf(HasSubstr("waits in synchronize_block"), HasSubstr("for thread 50, which has ended")));
}

__global__ void two_barriers_kernel() {
  if (thread_index() < kWarpSize) synchronize_block();
  if (thread_index() >= kWarpSize) synchronize_block();
}
TEST_P(Fault, BarriersInDifferentPlaces) {
  EXPECT_THAT(fault_of(two_barriers_kernel, kTwoWarps),
              HasSubstr("while other threads wait in synchronize_block"));
}

__global__ void shuffle_from_kernel(int lane) { shuffle(1.0F, lane); }
TEST_P(Fault, LaneThatDoesNotExist) {
  EXPECT_EQ(fault_of(shuffle_from_kernel, kTwoWarps, 31), "");
  EXPECT_THAT(fault_of(shuffle_from_kernel, kTwoWarps, 32), HasSubstr("no such lane"));
  EXPECT_THAT(fault_of(shuffle_from_kernel, kTwoWarps, -1), HasSubstr("no such lane"));
}

// -------------------------------------------------------------------------------------- alignment

enum class Access {
  kLoadVector,
  kStoreVector,
  kLoadStreaming,
  kStoreStreaming,
  kStoreFragment,
  kStoreHalfFragment,
  kFragmentStride,
  kLoadTransposed,
  kCopyAsyncTo,
  kCopyAsyncFrom,
};

/// The word that begins at 16-bit number `offset`.
std::uint32_t* word_at(float* memory, int offset) {
  return reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::uint16_t*>(memory) + offset);
}

/// Thread 33 performs the access at float32 number `offset` of an array in device or shared memory;
/// copy_async at 16-bit number `offset`.
__global__ void access_kernel(Access access, float* memory, int offset) {
  auto* const shared = reinterpret_cast<float*>(shared_memory());
  float* const place = shared + (thread_index() == 33 ? offset : 0);
  auto* const halves = reinterpret_cast<std::uint16_t*>(place);
  std::uint32_t words[4] = {}, two_words[2] = {};
  const bool own = thread_index() == 33;
  switch (access) {
    case Access::kLoadVector:
      if (own) load_vector<float4>(place);
      return;
    case Access::kStoreVector:
      if (own) store_vector(place, make_uint2(1, 2));
      return;
    case Access::kLoadStreaming:
      if (own) load_streaming(reinterpret_cast<const float4*>(memory + offset));
      return;
    case Access::kStoreStreaming:
      if (own) store_streaming(reinterpret_cast<uint2*>(memory + offset), make_uint2(1, 2));
      return;
    case Access::kStoreFragment:
      return store_fragment(halves, 16, words);
    case Access::kStoreHalfFragment:
      if (own) store_fragment(halves, 8, two_words);
      return;
    case Access::kFragmentStride:
      return store_fragment(reinterpret_cast<std::uint16_t*>(shared), 16 + 2 * offset, words);
    case Access::kLoadTransposed:
      return load_transposed(words, halves);
    case Access::kCopyAsyncTo:
      if (own) copy_async(word_at(shared, offset), word_at(memory, 0));
      return;
    case Access::kCopyAsyncFrom:
      if (own) copy_async(word_at(shared, 0), word_at(memory, offset));
      return;
  }
}

TEST_P(Fault, MisalignedAccess) {
  const GpuMemory<float> memory(16);
  const LaunchShape shape = {.blocks = 1, .threads = 64, .shared_bytes = 1024};
  const auto fault = [&](Access access, int offset) {
    return fault_of(access_kernel, shape, access, memory.data(), offset);
  };
  for (int i = 0; i <= static_cast<int>(Access::kCopyAsyncFrom); ++i) {
    const auto access = static_cast<Access>(i);
    EXPECT_EQ(fault(access, 0), "") << i;
    EXPECT_THAT(fault(access, 1), HasSubstr(": misaligned")) << i;
    if (access != Access::kFragmentStride) {
      EXPECT_THAT(fault(access, 1), StartsWith("bad_kernel, block 0, thread 33: ")) << i;
    }
  }
}

__global__ void own_block_kernel() {
  const std::uint32_t words[4] = {};
  auto* const memory = reinterpret_cast<std::uint16_t*>(shared_memory());
  store_fragment(memory + (thread_index() == 7 ? 8 : 0), 16, words);
}
TEST_P(Fault, LanesThatStoreDifferentFragments) {
  EXPECT_THAT(fault_of(own_block_kernel, {.blocks = 1, .threads = 32, .shared_bytes = 1024}),
              HasSubstr("different blocks"));
}

// ----------------------------------------------------------------------------------------- memory

__global__ void write_kernel(float* memory, std::int64_t offset) {
  if (thread_index() == 3) memory[offset] = 1.0F;
}
__global__ void read_kernel(const float* memory, std::int64_t offset, float* out) {
  if (thread_index() == 3) *out = memory[offset];
}
TEST_P(Fault, AccessPastAnAllocation) {
  const GpuMemory<float> memory(32), out(1);  // 128 bytes: to the page's last one
  EXPECT_EQ(fault_of(write_kernel, kTwoWarps, memory.data(), 31), "");
  EXPECT_EQ(fault_of(write_kernel, kTwoWarps, memory.data(), 32),
            "bad_kernel, block 0, thread 3: accesses " +
                testing::PrintToString(static_cast<void*>(memory.end())) +
                ", 0 bytes past the end of an allocation of 128 bytes");
  EXPECT_THAT(fault_of(read_kernel, kTwoWarps, memory.data(), 33, out.data()),
              HasSubstr(", 4 bytes past the end of an allocation of 128 bytes"));
}
TEST_P(Fault, WriteJustOutsideOfAnAllocation) {
  const GpuMemory<float> memory(3);
  EXPECT_EQ(fault_of(write_kernel, kTwoWarps, memory.data(), 2), "");
  EXPECT_EQ(fault_of(write_kernel, kTwoWarps, memory.data(), 3),
            "bad_kernel: wrote just outside of an allocation of 12 bytes");
  const GpuMemory<float> other(3);
  memory[3] = std::nanf("");
  std::memset(&memory[3], 0xFF, sizeof(float));
  EXPECT_EQ(fault_of(write_kernel, kTwoWarps, other.data(), -1),
            "bad_kernel: wrote just outside of an allocation of 12 bytes");
  std::memset(&other[0] - 1, 0xFF, sizeof(float));
}
TEST_P(Fault, AccessToFreedMemory) {
  const GpuMemory<float> out(1);
  void* memory = nullptr;
  ASSERT_EQ(cudaMallocAsync(&memory, 4000, nullptr), cudaSuccess);
  ASSERT_EQ(cudaFreeAsync(memory, nullptr), cudaSuccess);
  const auto* const values = static_cast<const float*>(memory);
  EXPECT_THAT(fault_of(read_kernel, kTwoWarps, values, 10, out.data()),
              HasSubstr("accesses memory that was freed, 4000 bytes"));
}
TEST_P(Fault, NullPointer) {
  EXPECT_THAT(fault_of(write_kernel, kTwoWarps, nullptr, 0), HasSubstr("null pointer"));
}

__global__ void shared_kernel(int offset) {
  if (thread_index() == 35) reinterpret_cast<volatile float*>(shared_memory())[offset] = 1.0F;
}
TEST_P(Fault, AccessPastSharedMemory) {
  EXPECT_EQ(fault_of(shared_kernel, kTwoWarps, 63), "");
  EXPECT_EQ(fault_of(shared_kernel, kTwoWarps, 64),
            "bad_kernel, block 0, thread 35: accesses shared memory 0 bytes past the end of its "
            "256 bytes");
  const LaunchShape odd = {.blocks = 1, .threads = 64, .shared_bytes = 252};
  EXPECT_EQ(fault_of(shared_kernel, odd, 63),
            "bad_kernel, block 0: wrote outside of its shared memory");
  EXPECT_EQ(fault_of(shared_kernel, odd, -1),
            "bad_kernel, block 0: wrote outside of its shared memory");
}

__global__ void wrong_memory_kernel(int which, float* memory) {
  std::uint32_t words[4] = {};
  auto* const shared = reinterpret_cast<float*>(shared_memory());
  if (which == 0) load_streaming(shared);
  if (which == 1) store_streaming(shared, 1.0F);
  if (which == 2) load_transposed(words, reinterpret_cast<const std::uint16_t*>(memory));
  if (which == 3) store_fragment(reinterpret_cast<std::uint16_t*>(memory), 16, words);
  if (which == 4) copy_async(word_at(memory, 0), word_at(memory, 2));
  if (which == 5) copy_async(word_at(shared, 0), word_at(shared, 2));
}
TEST_P(Fault, WrongKindOfMemory) {
  const GpuMemory<float> memory(64);
  const char* const faults[] = {
      "load_streaming: in shared memory",      "store_streaming: in shared memory",
      "load_transposed: not in shared memory", "store_fragment: not in shared memory",
      "copy_async: not in shared memory",      "copy_async: in shared memory",
  };
  for (int i = 0; i < static_cast<int>(std::size(faults)); ++i) {
    EXPECT_THAT(fault_of(wrong_memory_kernel, kTwoWarps, i, memory.data()), HasSubstr(faults[i]));
  }
}

struct Arguments {
  std::int64_t n;
  const float* values;
};
__global__ void arguments_kernel(Arguments) {}
TEST_P(Fault, HostMemoryForAKernel) {
  const GpuMemory<float> memory(4);
  const float host = 0.0F;
  EXPECT_EQ(fault_of(arguments_kernel, kTwoWarps, {4, memory.data()}), "");
  EXPECT_EQ(fault_of(arguments_kernel, kTwoWarps, {4, memory.end()}), "");
  EXPECT_EQ(fault_of(arguments_kernel, kTwoWarps, {4, nullptr}), "");
  EXPECT_EQ(fault_of(arguments_kernel, kTwoWarps, {4, &host}),
            "bad_kernel: at byte 8, a parameter points to host memory");
}

__global__ void uninitialised_kernel(float* out) {
  const auto* const shared = reinterpret_cast<const float*>(shared_memory());
  if (block_index() == 1) out[thread_index()] = shared[thread_index()];
  reinterpret_cast<float*>(shared_memory())[thread_index()] = 1.0F;
}
TEST_P(Fault, UninitializedMemoryIsNan) {
  const GpuMemory<float> out(64), fresh(5);
  EXPECT_TRUE(std::isnan(fresh[4]));
  EXPECT_EQ(
      fault_of(uninitialised_kernel, {.blocks = 2, .threads = 64, .shared_bytes = 256}, out.data()),
      "");
  for (const float value : out) EXPECT_TRUE(std::isnan(value));
}

// ----------------------------------------------------------------------------------- other faults

int recurse(int depth) {  // NOLINT(misc-no-recursion)
  volatile char frame[4096] = {};
  return depth == 0 ? frame[0] : recurse(depth - 1) + frame[depth % 4096];
}
__global__ void deep_kernel(int depth, int* out) { *out = recurse(depth); }
TEST_P(Fault, StackOverflow) {
  const GpuMemory<int> out(1);
  EXPECT_EQ(fault_of(deep_kernel, kTwoWarps, 10, out.data()), "");
  EXPECT_THAT(fault_of(deep_kernel, kTwoWarps, 1000, out.data()), HasSubstr("more stack"));
}

__global__ void division_kernel(int divisor, int* out) { *out = 7 / divisor; }
TEST_P(Fault, DivisionByZero) {
  const GpuMemory<int> out(1);
  EXPECT_THAT(fault_of(division_kernel, kTwoWarps, 0, out.data()), HasSubstr("by zero"));
}

__global__ void nothing_kernel() {}
TEST_P(Fault, InvalidShape) {
  EXPECT_EQ(fault_of(nothing_kernel, {.blocks = 0, .threads = 64}), "");
  EXPECT_THAT(fault_of(nothing_kernel, {.blocks = 1, .threads = 48}), HasSubstr("whole warps"));
  EXPECT_THAT(fault_of(nothing_kernel, {.blocks = 1, .threads = 1056}), HasSubstr("at most 1024"));
  EXPECT_THROW(launch("k", nothing_kernel, describe_device(0), {.blocks = -1, .threads = 64}),
               CudaError);
  const std::size_t most = emulation::settings.shared_bytes;
  EXPECT_EQ(fault_of(nothing_kernel, {.blocks = 1, .threads = 64, .shared_bytes = most}), "");
  EXPECT_THROW(launch("k", nothing_kernel, describe_device(0),
                      {.blocks = 1, .threads = 64, .shared_bytes = most + 1}),
               CudaError);
}

TEST_P(Fault, LeavesTheEmulationUsable) {
  const GpuMemory<float> memory(32);
  for (int i = 0; i < 300; ++i) {
    EXPECT_NE(fault_of(skipped_barrier_kernel, {.blocks = 1, .threads = 1024}, 9), "");
    EXPECT_NE(fault_of(write_kernel, kTwoWarps, memory.data(), 32), "");
    EXPECT_EQ(fault_of(skipped_barrier_kernel, {.blocks = 1, .threads = 1024}, -1), "");
  }
}

}  // namespace
}  // namespace l2o::cuda
