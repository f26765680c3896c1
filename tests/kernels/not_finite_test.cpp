#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

using Limits = std::numeric_limits<float>;

const std::vector<float> kFinite = {0.0F,
                                    -0.0F,
                                    1.0F,
                                    -3.5F,
                                    Limits::denorm_min(),
                                    -Limits::denorm_min(),
                                    Limits::min(),
                                    Limits::max(),
                                    Limits::lowest()};
const std::vector<float> kNotFinite = {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                                       -Limits::quiet_NaN(), Limits::signaling_NaN()};

std::int64_t count(const std::vector<float>& values, int threads) {
  cpu::ThreadPool pool(threads);
  std::int64_t result = -1;
  cpu::count_not_finite({static_cast<std::int64_t>(values.size()), values.data(), &result}, pool);
  return result;
}

std::vector<float> zeroed(const std::vector<float>& values, int threads) {
  cpu::ThreadPool pool(threads);
  std::vector<float> result(values.size(), 7.0F);
  cpu::zero_not_finite({static_cast<std::int64_t>(values.size()), values.data(), result.data()},
                       pool);
  return result;
}

/// `size` numbers: finite ones with all of kNotFinite spread among them, including first and last.
std::vector<float> spread(std::size_t size) {
  std::vector<float> values;
  for (std::size_t i = 0; i < size; ++i) values.push_back(kFinite[i % kFinite.size()]);
  for (std::size_t k = 0; k < kNotFinite.size(); ++k) {
    values[k * (size - 1) / (kNotFinite.size() - 1)] = kNotFinite[k];
  }
  return values;
}

TEST(NotFinite, EmptyInputHasCountZero) { EXPECT_EQ(count({}, 1), 0); }

TEST(NotFinite, FiniteNumbersKeepValueAndSign) {
  EXPECT_EQ(count(kFinite, 1), 0);
  const std::vector<float> kept = zeroed(kFinite, 1);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_EQ(kept[i], kFinite[i]);
    EXPECT_EQ(std::signbit(kept[i]), std::signbit(kFinite[i]));
  }
}

TEST(NotFinite, FindsNonFiniteNumbersForAnySizeAndThreadCount) {
  for (const std::size_t size : {5U, 31U, 1000U, (1U << 15), (1U << 15) + 1U, 100'003U}) {
    const std::vector<float> values = spread(size);
    for (const int threads : {1, 3}) {
      EXPECT_EQ(count(values, threads), static_cast<std::int64_t>(kNotFinite.size())) << size;
      const std::vector<float> result = zeroed(values, threads);
      for (std::size_t i = 0; i < size; ++i) {
        ASSERT_EQ(result[i], std::isfinite(values[i]) ? values[i] : 0.0F) << size << ": " << i;
      }
    }
  }
}

}  // namespace
}  // namespace l2o
