#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "host/backend/buffer.h"
#include "host/backend/checked_size.h"
#include "kernels/cells/cell_list.h"
#include "tests/support/error_of.h"

namespace l2o {
namespace {

std::unique_ptr<Backend> cpu(int threads = 2) { return make_backend({DeviceKind::kCpu, threads}); }

CellConfig cell_of_kind(int kind) {
  CellConfig cell;
  cell.kind = kind;
  return cell;
}

TEST(Devices, CpuIsAlwaysAvailable) {
  const bool cpu_only = !why_no_accelerator().empty();
  EXPECT_EQ(make_backend({DeviceKind::kAuto, 3})->device().kind == DeviceKind::kCpu, cpu_only);
  EXPECT_EQ(make_backend({DeviceKind::kCpu, 3})->device().kind, DeviceKind::kCpu);
  const std::vector<DeviceInfo> devices = list_devices();
  ASSERT_FALSE(devices.empty());
  const auto backend = cpu(0);
  EXPECT_EQ(devices[0].name, "cpu");
  EXPECT_EQ(devices[0].description, backend->device().description);
  EXPECT_FALSE(devices[0].description.empty());
  EXPECT_GE(devices[0].threads, 1);
  EXPECT_EQ(devices[0].threads, backend->device().threads);
  EXPECT_GT(devices[0].memory_bytes, 0U);
  EXPECT_EQ(cpu(3)->device().threads, 3);
}

TEST(Devices, UnavailableOnesAndBadThreadCountsAreRejected) {
  if (!why_no_accelerator().empty()) {
    const ThrownError cuda = error_of([] { make_backend({DeviceKind::kCuda, 0}); });
    EXPECT_EQ(cuda.status, Status::kDeviceUnavailable);
    EXPECT_TRUE(cuda.says("CUDA")) << cuda.message;
  }
  for (const int threads : {-1, 1025}) {
    const ThrownError error = error_of([&] { cpu(threads); });
    EXPECT_EQ(error.status, Status::kUsage);
    EXPECT_TRUE(error.says(std::to_string(threads))) << error.message;
  }
}

/// Bytes of address space that this process uses.
std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

TEST(DevicesDeathTest, FailureToStartThreadsIsAnError) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer aborts if it cannot allocate its own stack for a thread";
#endif
  const auto start_too_many = [] {
    // The stacks of 1024 threads usually take 8 GiB.
    const rlim_t room = address_space() + (std::size_t{1} << 30);
    const rlimit limit = {room, room};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    const ThrownError error = error_of([] { cpu(BackendOptions::kMaxThreads); });
    std::fputs(error.message.c_str(), stderr);
    _exit(error.status == Status::kOutOfMemory ? 0 : 1);
  };
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // the libraries may have threads already
  EXPECT_EXIT(start_too_many(), testing::ExitedWithCode(0), "1024 threads");
}

TEST(Memory, IsAlignedAndCopied) {
  const auto backend = cpu();
  for (const std::size_t bytes : {0U, 1U, 63U, 64U, 65U, 4096U, 5U << 20}) {
    void* memory = backend->allocate(bytes);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0U);
    std::vector<std::uint8_t> source(bytes);
    for (std::size_t i = 0; i < bytes; ++i) source[i] = static_cast<std::uint8_t>(i * 7 + 1);
    std::vector<std::uint8_t> back(bytes);
    backend->upload(memory, source.data(), bytes);
    backend->download(back.data(), memory, bytes);
    EXPECT_EQ(back, source);
    void* copy = backend->allocate(bytes);
    backend->copy(copy, memory, bytes);
    backend->fill_zero(memory, bytes);
    backend->download(back.data(), copy, bytes);
    EXPECT_EQ(back, source);
    backend->download(back.data(), memory, bytes);
    EXPECT_EQ(back, std::vector<std::uint8_t>(bytes));
    backend->release(copy);
    backend->release(memory);
  }
}

TEST(Memory, OutOfMemoryErrorStatesTheSize) {
  const auto backend = cpu();
  const std::size_t usable = backend->device().memory_bytes;
  for (const std::size_t bytes : {std::numeric_limits<std::size_t>::max(),
                                  std::numeric_limits<std::size_t>::max() / 2, usable + 1}) {
    const ThrownError error = error_of([&] { backend->release(backend->allocate(bytes)); });
    EXPECT_EQ(error.status, Status::kOutOfMemory);
    EXPECT_TRUE(error.says(std::to_string(bytes))) << error.message;
  }
  EXPECT_EQ(Buffer<float>(*backend, 16).bytes(), 64U);
}

TEST(CheckedSize, MultipliesOrThrows) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(checked_size({}), 1U);
  EXPECT_EQ(checked_size({3, 4, 5}), 60U);
  EXPECT_EQ(checked_size({kMax}), static_cast<std::size_t>(kMax));
  EXPECT_EQ(checked_size({0, kMax, kMax}), 0U);
  EXPECT_EQ(checked_size({std::int64_t{1} << 31, std::int64_t{1} << 31}), std::size_t{1} << 62);
  EXPECT_EQ(error_of([] { checked_size({kMax, 2}); }).status, Status::kOutOfMemory);
  EXPECT_TRUE(error_of([] { checked_size({kMax / 2, 3}); }).says(std::to_string(kMax / 2)));
  EXPECT_EQ(error_of([] { checked_size({-1, 2}); }).status, Status::kInternal);
}

TEST(State, BytesAreExactIn64Bits) {
  const auto backend = cpu();
  const CellConfig lstm = cell_of_kind(kLstmKind);  // 2 layers of 20 units: 80 values
  EXPECT_EQ(backend->state_bytes(lstm, 0), 0U);
  EXPECT_EQ(backend->state_bytes(lstm, 1), 32U * 80 * 4);
  EXPECT_EQ(backend->state_bytes(lstm, 32), 32U * 80 * 4);
  EXPECT_EQ(backend->state_bytes(lstm, 33), 64U * 80 * 4);
  // 80 N exceeds 2^31 at 26.8 million coordinates.
  EXPECT_EQ(backend->state_bytes(lstm, 27'000'000), std::size_t{27'000'000} * 80 * 4);
  const auto overflow = [&] {
    backend->state_bytes(lstm, std::numeric_limits<std::int64_t>::max());
  };
  EXPECT_EQ(error_of(overflow).status, Status::kOutOfMemory);
}

TEST(State, ExportInvertsImport) {
  const auto backend = cpu();
  for (int kind = 0; kind < kCellCount; ++kind) {
    const CellConfig cell = cell_of_kind(kind);
    const int size = cell_state_size(cell);
    for (const std::int64_t n : {0, 1, 31, 32, 33, 100}) {
      std::vector<float> host(static_cast<std::size_t>(size * n));
      std::iota(host.begin(), host.end(), 1.0F);
      Buffer<float> state(*backend, backend->state_bytes(cell, n) / sizeof(float));
      for (std::size_t i = 0; i < state.size(); ++i) state.data()[i] = -1.0F;
      backend->import_state(cell, n, host.data(), state.data());

      std::vector<float> back(host.size());
      backend->export_state(cell, n, state.data(), back.data());
      EXPECT_EQ(back, host) << cell_name(cell) << ", n = " << n;

      // The layout that every kernel reads: [tile][S][32], the last tile padded with zeros.
      std::size_t index = 0;
      for (std::int64_t tile = 0; tile < (n + 31) / 32; ++tile) {
        for (int s = 0; s < size; ++s) {
          for (std::int64_t lane = 0; lane < 32; ++lane, ++index) {
            const std::int64_t coordinate = 32 * tile + lane;
            const float expected =
                coordinate < n ? host[static_cast<std::size_t>(s * n + coordinate)] : 0.0F;
            ASSERT_EQ(state.data()[index], expected);
          }
        }
      }
      EXPECT_EQ(index, state.size());
    }
  }
}

TEST(Segments, FollowTheBudget) {
  const auto backend = cpu();
  for (const int layers : {0, 1, 2, 3}) {
    CellConfig cell = cell_of_kind(kLstmKind);
    cell.lstm.layers = layers;
    for (const int unroll_length : {1, 20, 100}) {
      constexpr std::size_t kEverything = std::size_t{1} << 40;
      EXPECT_EQ(backend->plan_segment_length(cell, unroll_length, kEverything), unroll_length);
      const int least = backend->plan_segment_length(cell, unroll_length, 1);
      const int best = backend->plan_segment_length(cell, unroll_length, 0);
      EXPECT_GE(least, 1);
      EXPECT_LE(least, best);
      EXPECT_LE(best, unroll_length);
    }
  }
}

/// A step of the learned rule uses the tuned kernels if there are layers and the generic driver
/// otherwise; both use the same layout of theta.
TEST(Step, RunsEveryCell) {
  const auto backend = cpu();
  for (int kind = 0; kind < kCellCount; ++kind) {
    for (const int layers : {0, 1}) {
      CellConfig cell = cell_of_kind(kind);
      cell.lstm.layers = layers;
      cell.hyper[0] = 0.5F;
      constexpr std::int64_t kN = 40;
      Buffer<float> meta(*backend, static_cast<std::size_t>(cell_meta_size(cell)));
      for (std::size_t i = 0; i < meta.size(); ++i) meta.data()[i] = 0.1F;
      Buffer<std::byte> packed(*backend, backend->packed_bytes(cell));
      backend->pack({.cell = cell, .meta = meta.data(), .packed = packed.data()});
      Buffer<std::byte> state(*backend, backend->state_bytes(cell, kN));
      state.fill_zero();
      Buffer<float> gradient(*backend, kN);
      Buffer<float> theta(*backend, kN);
      theta.fill_zero();
      for (std::size_t i = 0; i < kN; ++i) gradient.data()[i] = 1.0F;
      backend->step({.cell = cell,
                     .n = kN,
                     .packed = packed.data(),
                     .gradient = gradient.data(),
                     .state = state.data(),
                     .theta = theta.data()});
      for (std::size_t i = 0; i < kN; ++i) {
        ASSERT_NE(theta.data()[i], 0.0F) << cell_name(cell) << ", coordinate " << i;
        ASSERT_EQ(theta.data()[i], theta.data()[0])
            << "coordinates with equal gradients move equally";
      }
    }
  }
}

}  // namespace
}  // namespace l2o
