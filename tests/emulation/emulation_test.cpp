// The emulation itself: what it must notice is noticed, and what it computes is right.
#include "tests/emulation/emulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/cuda/launch.cuh"

namespace l2o::cuda {
namespace {

__global__ void index_kernel(int* out) {
  out[block_index() * block_threads() + thread_index()] = block_index() * 1000 + thread_index();
}

TEST(Emulation, RunsEveryThread) {
  void* memory = nullptr;
  ASSERT_EQ(cudaMallocAsync(&memory, 3 * 64 * sizeof(int), nullptr), cudaSuccess);
  launch("index_kernel", index_kernel, Device(), {3, 64}, static_cast<int*>(memory));
  for (int i = 0; i < 3 * 64; ++i) EXPECT_EQ(static_cast<int*>(memory)[i], i / 64 * 1000 + i % 64);
  cudaFreeAsync(memory, nullptr);
}

}  // namespace
}  // namespace l2o::cuda
