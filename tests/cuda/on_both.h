// Runs an op on the CPU and on a CUDA device: uploads its inputs, downloads its results, and
// compares them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "host/backend/buffer.h"
#include "kernels/math/philox.h"
#include "tests/cuda/cuda_device.h"

namespace l2o::test {

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// `count` numbers from U[-scale, scale); each `stream` is a different stream.
inline std::vector<float> numbers(std::uint32_t stream, std::int64_t count, float scale = 1.0F) {
  const RandomKey key{.seed = 7, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = scale * (2.0F * uniform_from_bits(random_bits(key, i)) - 1.0F);
  }
  return values;
}

/// Host values in the memory of a backend, `offset` elements after its start, so that pointers can
/// be aligned to only one element.
template <class T>
class OnBackend {
 public:
  OnBackend(Backend& backend, const std::vector<T>& values, int offset = 0)
      : offset_(static_cast<std::size_t>(offset)), memory_(backend, values.size() + offset_) {
    backend.upload(data(), values.data(), values.size() * sizeof(T));
  }
  T* data() { return memory_.data() + offset_; }
  std::vector<T> values() const {
    std::vector<T> all = memory_.download();
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(offset_));
    return all;
  }

 private:
  std::size_t offset_;
  Buffer<T> memory_;
};

/// Results of an op: one vector for each output.
using Results = std::vector<std::vector<float>>;

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

/// The largest distance between the two, relative to the largest finite expected number. Infinite
/// if only one is NaN, or if one is infinite and the other is different.
inline double distance(const std::vector<float>& actual, const std::vector<float>& expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::infinity();
  double largest = 0.0;
  for (const float value : expected) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(double{value}));
  }
  double distance = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (actual[i] == expected[i] || (std::isnan(actual[i]) && std::isnan(expected[i]))) continue;
    const double error = std::abs(double{actual[i]} - double{expected[i]});
    if (!std::isfinite(error)) return std::numeric_limits<double>::infinity();
    distance = std::max(distance, error);
  }
  return distance == 0.0 ? 0.0 : distance / largest;
}

/// Tests that need both devices; skipped if there is no GPU.
class OnBoth : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cuda_device()) GTEST_SKIP() << why_no_accelerator();
    cpu_ = make_backend({.device = DeviceKind::kCpu, .threads = 1});
    cuda_ = cuda_backend();
  }

  /// Results of an op(backend) -> Results on the GPU. Expects a second run to give the same bits.
  template <class Op>
  Results on_cuda(const Op& op) {
    Results results = op(*cuda_);
    const Results again = op(*cuda_);
    EXPECT_EQ(results.size(), again.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      EXPECT_TRUE(same_bits(results[i], again[i])) << "result " << i << " is not repeated";
    }
    return results;
  }
  template <class Op>
  void expect_same_bits(const Op& op) {
    const Results cuda = on_cuda(op), cpu = op(*cpu_);
    for (std::size_t i = 0; i < cpu.size(); ++i) {
      EXPECT_TRUE(same_bits(cuda[i], cpu[i]))
          << "result " << i << ", at a distance of " << distance(cuda[i], cpu[i]);
    }
  }
  template <class Op>
  void expect_close(double tolerance, const Op& op) {
    const Results cuda = on_cuda(op), cpu = op(*cpu_);
    for (std::size_t i = 0; i < cpu.size(); ++i) {
      EXPECT_LE(distance(cuda[i], cpu[i]), tolerance) << "result " << i;
    }
  }

  std::unique_ptr<Backend> cpu_, cuda_;
};

}  // namespace l2o::test
