// Sums of partials on a CUDA device.
#include "kernels/cuda/reduce_partials.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "host/backend/buffer.h"
#include "tests/cuda/cuda_device.h"

namespace l2o {
namespace {

// 24-bit integers: their sums are exact in double and far from exact in float32, so every order
// gives the same result.
TEST(ReducePartials, SumsInDouble) {
  if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
  const auto backend = test::cuda_backend();
  cuda::Device device;
  device.stream = static_cast<cudaStream_t>(backend->stream());
  std::mt19937 random(1);
  for (const auto& [count, size] : std::vector<std::pair<std::size_t, std::size_t>>{
           {0, 5}, {1, 1}, {3, 33}, {15, 31}, {16, 32}, {17, 100}, {1024, 70}, {5, 0}}) {
    std::vector<float> partials(count * size);
    std::vector<double> expected(size, 0.0);
    for (std::size_t i = 0; i < partials.size(); ++i) {
      partials[i] = static_cast<float>(random() % (1 << 24));
      expected[i % size] += double{partials[i]};
    }
    Buffer<float> on_device(*backend, partials.size()), sums(*backend, size);
    on_device.upload(partials);
    sums.upload(std::vector<float>(size, -1.0F));
    cuda::reduce_partials({.count = static_cast<std::int64_t>(count),
                           .size = static_cast<std::int64_t>(size),
                           .partials = on_device.data(),
                           .sums = sums.data()},
                          device);
    EXPECT_EQ(sums.download(), std::vector<float>(expected.begin(), expected.end()))
        << count << " partials of " << size;
  }
}

}  // namespace
}  // namespace l2o
