// The CUDA backend as a device: memory, limits, state in and out.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/backend/buffer.h"
#include "host/meta/unroll.h"
#include "host/optimizer/optimizer.h"
#include "kernels/cells/cell_list.h"
#include "tests/cuda/cuda_device.h"
#include "tests/meta/small_problem.h"
#include "tests/support/error_of.h"
#include "tests/support/unroll_memory.h"

namespace l2o {
namespace {

class CudaBackendTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
  }

  static std::unique_ptr<Optimizee> simple(Backend& backend, std::int64_t dimension) {
    return test::optimizee(backend, 1,
                           "name = \"simple\"\ndimension = " + std::to_string(dimension));
  }
};

constexpr Precision kPrecisions[] = {Precision::kF32, Precision::kMixed, Precision::kHalf};
constexpr std::size_t kMegabyte = 1'000'000;

TEST_F(CudaBackendTest, IsListedAndChosenByAuto) {
  EXPECT_EQ(make_backend({})->device().kind, DeviceKind::kCuda);
  EXPECT_EQ(make_backend({})->device().precision, Precision::kMixed);
  const std::vector<DeviceInfo> devices = list_devices();
  ASSERT_GE(devices.size(), 2U);
  EXPECT_EQ(devices[1].name, "cuda");
  EXPECT_FALSE(devices[1].description.empty());
  EXPECT_GT(devices[1].memory_bytes, 0U);
}

TEST_F(CudaBackendTest, MissingGpuIsRejected) {
  const ThrownError error =
      error_of([] { make_backend({.device = DeviceKind::kCuda, .number = 99}); });
  EXPECT_EQ(error.status, Status::kUsage);
  EXPECT_TRUE(error.says("99")) << error.message;
}

TEST_F(CudaBackendTest, StateRoundTrips) {
  constexpr std::int64_t kN = 45;
  for (const Precision precision : kPrecisions) {
    const auto backend = test::cuda_backend(precision);
    CellConfig cell;
    cell.lstm = {.layers = 2, .hidden = 8};
    std::vector<float> rows(static_cast<std::size_t>(cell_state_size(cell) * kN));
    // Numbers that are exact in float16.
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i % 512) / 256 - 1;
    Buffer<std::byte> state(*backend, backend->state_bytes(cell, kN));
    backend->import_state(cell, kN, rows.data(), state.data());
    std::vector<float> again(rows.size());
    backend->export_state(cell, kN, state.data(), again.data());
    EXPECT_EQ(again, rows) << precision_name(precision);
  }
}

TEST_F(CudaBackendTest, StateIsSmallerAtLowerPrecision) {
  CellConfig cell;
  cell.lstm = {.layers = 2, .hidden = 20};
  const auto bytes = [&](Precision precision) {
    return test::cuda_backend(precision)->state_bytes(cell, 320);
  };
  EXPECT_EQ(bytes(Precision::kF32), 320U * 320U);
  EXPECT_EQ(bytes(Precision::kMixed), 320U * 240U);
  EXPECT_EQ(bytes(Precision::kHalf), 320U * 160U);
  cell.lstm.hidden = 21;  // a size without tensor-core kernels
  EXPECT_EQ(bytes(Precision::kHalf), 320U * 336U);
}

TEST_F(CudaBackendTest, FailedAllocationLeaksNothing) {
  const auto backend = make_backend({.device = DeviceKind::kCuda, .memory_limit = 200 * kMegabyte});
  EXPECT_EQ(backend->device().memory_bytes, 200 * kMegabyte);
  const std::size_t before = backend->memory_in_use();
  Buffer<std::byte> first(*backend, 60 * kMegabyte);
  EXPECT_GE(backend->memory_in_use(), before + 60 * kMegabyte);
  const ThrownError error = error_of([&] { Buffer<std::byte>(*backend, 150 * kMegabyte); });
  EXPECT_EQ(error.status, Status::kOutOfMemory);
  EXPECT_TRUE(error.says("150000000 bytes requested")) << error.message;
  first = {};
  EXPECT_EQ(backend->memory_in_use(), before);
  EXPECT_NO_THROW(Buffer<std::byte>(*backend, 100 * kMegabyte));
}

TEST_F(CudaBackendTest, UnrollAllocatesWhatIsPlanned) {
  for (const Precision precision : kPrecisions) {
    const auto backend = test::cuda_backend(precision);
    SCOPED_TRACE(precision_name(precision));
    const auto task = simple(*backend, 200'000);
    const UnrollMemory plan = test::expect_unroll_takes_its_plan(*backend, *task);
    EXPECT_EQ(plan.trace, 21U * 200'000U * 4U);
  }
}

TEST_F(CudaBackendTest, UnrollThatDoesNotFitNamesWhatToReduce) {
  const auto backend = make_backend({.device = DeviceKind::kCuda, .memory_limit = 100 * kMegabyte});
  const auto task = simple(*backend, 1'000'000);
  CellConfig cell;
  cell.lstm = {.layers = 2, .hidden = 20};
  const std::size_t before = backend->memory_in_use();
  const ThrownError error =
      error_of([&] { Unroll(*backend, {cell}, {{.optimizee = task.get()}}, {}, {}, 0); });
  EXPECT_EQ(error.status, Status::kOutOfMemory);
  for (const char* part : {"gradient trace 84", "train.tasks", "train.unroll_length (20)"}) {
    EXPECT_TRUE(error.says(part)) << error.message;
  }
  EXPECT_EQ(backend->memory_in_use(), before);
  const auto small = simple(*backend, 1000);
  const std::vector<Member> members = {{.optimizee = small.get()}};
  EXPECT_NO_THROW(Unroll(*backend, {cell}, members, {}, {}, 0));
}

}  // namespace
}  // namespace l2o
