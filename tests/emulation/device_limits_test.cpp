// Limits of the GPU used by the backend: memory, shared memory and threads.
#include <gtest/gtest.h>

#include <memory>

#include "host/backend/buffer.h"
#include "host/backend/cuda_memory_pool.h"
#include "kernels/cuda/device.h"
#include "tests/cuda/cuda_device.h"
#include "tests/cuda/lstm_on_device.h"
#include "tests/emulation/emulation.h"

namespace l2o {
namespace {

using emulation::settings;

constexpr std::size_t kMegabyte = 1'000'000;

class DeviceLimits : public testing::Test {
 private:
  const emulation::RestoreSettings restore_;
};

TEST_F(DeviceLimits, ReleasedMemoryOfAnySizeIsReused) {
  const auto backend = test::cuda_backend();
  settings.memory_bytes = backend->memory_in_use() + 60 * kMegabyte;
  for (int blocks = 3; blocks >= 1; --blocks) {  // increasingly large, in the same memory
    std::vector<Buffer<std::byte>> all;
    for (int i = 0; i < blocks; ++i) {
      all.emplace_back(*backend, 60 * kMegabyte / static_cast<std::size_t>(blocks));
    }
  }
}

TEST_F(DeviceLimits, BackendsShareReleasedMemory) {
  const auto first = test::cuda_backend(), second = test::cuda_backend(Precision::kF32);
  settings.memory_bytes = first->memory_in_use() + second->memory_in_use() + 50 * kMegabyte;
  { const Buffer<std::byte> block(*first, 50 * kMegabyte); }
  EXPECT_NO_THROW(Buffer<std::byte>(*second, 40 * kMegabyte));
}

TEST_F(DeviceLimits, PoolLivesAsLongAsABackend) {
  auto backend = test::cuda_backend();
  const std::weak_ptr<CudaMemoryPool> pool = CudaMemoryPool::of_device(0);
  const auto other = test::cuda_backend();
  backend.reset();
  EXPECT_FALSE(pool.expired());
  EXPECT_EQ(pool.lock(), CudaMemoryPool::of_device(0));
}
TEST_F(DeviceLimits, PoolIsDestroyedWithTheLastBackend) {
  auto backend = test::cuda_backend();
  const std::weak_ptr<CudaMemoryPool> pool = CudaMemoryPool::of_device(0);
  EXPECT_FALSE(pool.expired());
  backend.reset();
  EXPECT_TRUE(pool.expired());
}

TEST_F(DeviceLimits, SharedMemoryIsRequestedOnce) {
  const LstmShape shape = {.n = 40, .steps = 2};
  const LstmProblem problem(shape);
  const auto run = [&] {
    const auto backend = test::cuda_backend();
    test::LstmOnDevice device(*backend, problem, shape);
    device.run_steps(2);
    device.meta_gradient();
  };
  run();  // independent of the tests that ran before
  const int before = emulation::function_attributes_set;
  run();
  EXPECT_EQ(emulation::function_attributes_set, before);
}

TEST_F(DeviceLimits, ComeFromTheGpu) {
  settings.multiprocessors = 7;
  settings.threads_per_multiprocessor = 1536;
  settings.shared_bytes = 99 << 10;
  const cuda::Device device = cuda::describe_device(0);
  EXPECT_EQ(device.multiprocessors, 7);
  EXPECT_EQ(device.shared_bytes, std::size_t{99} << 10);
  EXPECT_EQ(device.resident_blocks(512), 7 * 3);
  EXPECT_EQ(device.resident_blocks(1024), 7);
}

}  // namespace
}  // namespace l2o
