// The counter-based generator, its uniform and normal draws, and fill_random.

#include "kernels/math/philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/launchers.h"
#include "kernels/math/normal.h"

namespace l2o {
namespace {

constexpr RandomKey kKey = {.seed = 7, .purpose = RandomPurpose::kTest, .task = 2, .step = 3};

std::vector<std::uint32_t> words(const PhiloxBlock& block) { return {block.word, block.word + 4}; }

TEST(Philox, KnownAnswers) {
  // Random123's kat_vectors for philox4x32-10: zeros, ones, digits of pi.
  constexpr std::uint32_t kOnes = 0xFFFFFFFFU;
  EXPECT_EQ(words(philox4x32({{0, 0, 0, 0}}, 0)),
            (std::vector<std::uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(philox4x32({{kOnes, kOnes, kOnes, kOnes}}, ~std::uint64_t{0})),
            (std::vector<std::uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      words(philox4x32({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0x299f31d0a4093822)),
      (std::vector<std::uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EveryPartOfTheKeySelectsAnotherStream) {
  const auto first = [](const RandomKey& key) { return random_bits(key, 0); };
  RandomKey seed = kKey, high_seed = kKey, purpose = kKey, task = kKey, step = kKey;
  seed.seed += 1;
  high_seed.seed += std::uint64_t{1} << 32;
  purpose.purpose = RandomPurpose::kMinibatch;
  task.task += 1;
  step.step += 1;
  std::vector<std::uint32_t> draws = {
      first(kKey), first(seed), first(high_seed),     first(purpose),
      first(task), first(step), random_bits(kKey, 1), random_bits(kKey, std::uint64_t{1} << 34)};
  std::sort(draws.begin(), draws.end());
  EXPECT_EQ(std::adjacent_find(draws.begin(), draws.end()), draws.end());
}

/// Largest distance between the distribution function of the draws and the exact one.
template <class Draw, class Distribution>
double kolmogorov_distance(int count, Draw draw, Distribution distribution) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(draw(random_bits(kKey, std::uint64_t(i))));
  std::sort(values.begin(), values.end());
  double distance = 0.0;
  for (int i = 0; i < count; ++i) {
    const double exact = distribution(values[std::size_t(i)]);
    distance = std::max({distance, exact - double(i) / count, double(i + 1) / count - exact});
  }
  return distance;
}

double normal_distribution(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

constexpr int kDraws = 1 << 18;
// A correct generator exceeds 1.95 / sqrt(n) with probability 1e-3; the key is fixed.
const double kKolmogorovBound = 1.95 / std::sqrt(double(kDraws));

TEST(Uniform, Distribution) {
  EXPECT_LT(kolmogorov_distance(kDraws, uniform_from_bits, [](double x) { return x; }),
            kKolmogorovBound);
  EXPECT_EQ(uniform_from_bits(0), 0.0F);
  EXPECT_LT(uniform_from_bits(0xFFFFFFFFU), 1.0F);
}

TEST(Index, ReachesEveryRow) {
  for (const std::int64_t count : {1L, 10L, 60'000L, 1L << 24, (1L << 24) + 1, 1L << 32}) {
    EXPECT_EQ(index_from_bits(0, count), 0) << count;
    EXPECT_EQ(index_from_bits(0xFFFFFFFFU, count), count - 1) << count;
  }
  for (std::uint64_t i = 0; i < 100; ++i) {
    const std::uint32_t bits = random_bits(kKey, i);
    EXPECT_EQ(index_from_bits(bits, 60'000),
              static_cast<std::int64_t>(double{uniform_from_bits(bits)} * 60'000));
    EXPECT_EQ(index_from_bits(bits, 1L << 25), bits >> 7) << "odd rows are drawn, too";
  }
}

TEST(Normal, Distribution) {
  EXPECT_LT(kolmogorov_distance(kDraws, normal_from_bits, normal_distribution), kKolmogorovBound);
  double moment[5] = {};
  for (int i = 0; i < kDraws; ++i) {
    const double x = normal_from_bits(random_bits(kKey, std::uint64_t(i)));
    for (int k = 1; k <= 4; ++k) moment[k] += std::pow(x, k) / kDraws;
  }
  // Four standard errors: the variances of x .. x^4 are 1, 2, 15, 96.
  const double variance[] = {0, 1, 2, 15, 96}, expected[] = {0, 0, 1, 0, 3};
  for (int k = 1; k <= 4; ++k) {
    EXPECT_NEAR(moment[k], expected[k], 4.0 * std::sqrt(variance[k] / kDraws)) << "moment " << k;
  }
}

TEST(Normal, InvertsTheDistributionFunction) {
  // Cells over the whole range, and all of the last thousand in the tail.
  std::vector<std::uint32_t> cells;
  for (std::uint32_t cell = 0; cell < 0x7FFF0000U; cell += 30011) cells.push_back(cell);
  for (std::uint32_t k = 0; k < 1000; ++k) cells.push_back(0x7FFFFFFFU - k);
  double last = 0.0;
  for (const std::uint32_t cell : cells) {
    const double x = normal_from_bits(cell);
    // One Newton step on P(|X| > x) = upper gives the distance to the exact value.
    const double upper = (double(0x7FFFFFFFU - cell) + 0.5) * 0x1p-31;
    const double density = std::sqrt(2.0 / M_PI) * std::exp(-0.5 * x * x);
    const double error = (std::erfc(x / std::sqrt(2.0)) - upper) / density;
    ASSERT_LT(std::abs(error), 1e-6 * x + 1e-15 / density) << "cell " << cell << ", x " << x;
    ASSERT_GT(x, 0.0);
    last = std::max(last, x);
  }
  EXPECT_NEAR(last, 6.338, 1e-3);  // P(|X| > x) = 2^-32
}

TEST(Normal, IsSymmetric) {
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const std::uint32_t bits = random_bits(kKey, i);
    EXPECT_EQ(normal_from_bits(bits), -normal_from_bits(bits ^ 0x80000000U));
  }
}

TEST(Normal, GoldenBits) {
  // Every backend must produce these: a change here changes the tasks of every seed.
  std::vector<std::uint32_t> actual;
  for (const std::uint32_t bits : {0x00000000U, 0x12345678U, 0x40000000U, 0x7FFFFF00U, 0x7FFFFFFFU,
                                   0x9E3779B9U, 0xFFFFFFFFU}) {
    actual.push_back(std::bit_cast<std::uint32_t>(normal_from_bits(bits)));
  }
  EXPECT_EQ(actual, (std::vector<std::uint32_t>{0x2fa06c98, 0x3e37812a, 0x3f2cab5c, 0x40a97126,
                                                0x40cad08d, 0xbe99c3b9, 0xc0cad08d}));
}

// ----------------------------------------------------------------------------------- fill_random

class FillRandom : public testing::TestWithParam<Distribution> {};

TEST_P(FillRandom, IsAFunctionOfKeyAndIndexOnAnyNumberOfThreads) {
  constexpr int kBatch = 3;
  constexpr std::int64_t kCount = 10001, kStride = 10010;  // several chunks and a tail of one
  for (const int threads : {1, 3}) {
    cpu::ThreadPool pool(threads);
    std::vector<float> values(kBatch * kStride, -99.0F);
    cpu::fill_random({.distribution = GetParam(),
                      .a = 0.5F,
                      .b = 2.0F,
                      .key = kKey,
                      .batch = kBatch,
                      .count = kCount,
                      .out = values.data(),
                      .stride = kStride},
                     pool);
    for (int task = 0; task < kBatch; ++task) {
      RandomKey key = kKey;
      key.task += std::uint32_t(task);
      for (std::int64_t i = 0; i < kStride; ++i) {
        const std::uint32_t bits = random_bits(key, std::uint64_t(i));
        const float draw =
            GetParam() == Distribution::kUniform ? uniform_from_bits(bits) : normal_from_bits(bits);
        const float expected = i < kCount ? std::fma(2.0F, draw, 0.5F) : -99.0F;
        ASSERT_EQ(values[std::size_t(task * kStride + i)], expected) << task << ", " << i;
      }
    }
  }
}

TEST_P(FillRandom, ZeroCountIsNoOp) {
  cpu::ThreadPool pool(2);
  cpu::fill_random({.distribution = GetParam(), .key = kKey, .batch = 3, .count = 0}, pool);
  cpu::fill_random({.distribution = GetParam(), .key = kKey, .batch = 0, .count = 5}, pool);
}

INSTANTIATE_TEST_SUITE_P(Distributions, FillRandom,
                         testing::Values(Distribution::kUniform, Distribution::kNormal));

}  // namespace
}  // namespace l2o
