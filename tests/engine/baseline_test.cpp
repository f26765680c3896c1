#include "host/engine/baseline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "tests/support/error_of.h"

namespace l2o {
namespace {

TEST(Baselines, InvalidNamesAreUsageErrors) {
  for (const char* name :
       {"adam@", "adam@x", "adam@0", "adam@-1", "adam@1e-3x", "adam@inf", "@1", "lstm@1", ""}) {
    EXPECT_EQ(error_of([&] { parse_baseline(name); }).status, Status::kUsage) << name;
  }
  EXPECT_EQ(parse_baseline("adam@1e-3").fixed_rate, 1e-3);
  EXPECT_FALSE(parse_baseline("adam").fixed_rate.has_value());
  expect_error(Status::kUsage, {"x: cosine is listed twice"}, [] {
    parse_schedules({"cosine", "cosine"}, "x");
  });
}

/// The loss of every rate, by the rate's exponent in 16ths.
using LossAt = std::function<double(int exponent)>;

/// A search, and the exponents of the rates that it tried, in order.
struct Searched {
  TunedRate tuned;
  std::vector<int> tried;

  /// The lowest and highest rate that it tried.
  std::pair<int, int> range() const {
    const auto [low, high] = std::ranges::minmax(tried);
    return {low, high};
  }
  /// The same of the coarse grid alone, in which exponents are multiples of 8: finer grids are
  /// between those.
  std::pair<int, int> coarse_range() const {
    int low = 1000, high = -1000;
    for (const int exponent : tried) {
      if (exponent % 8 != 0) continue;
      low = std::min(low, exponent);
      high = std::max(high, exponent);
    }
    return {low, high};
  }
};

template <class Search>
Searched record(const LossAt& loss_at, const Search& search) {
  Searched searched;
  searched.tuned = search([&](double rate, int, int) {
    searched.tried.push_back(static_cast<int>(std::lround(16.0 * std::log10(rate))));
    return loss_at(searched.tried.back());
  });
  return searched;
}

Searched searched_thoroughly(const LossAt& loss_at) {
  return record(loss_at, [](const RateTrial& trial) { return search_thoroughly(2, trial); });
}

Searched searched_frugally(std::optional<int> start, const LossAt& loss_at) {
  return record(loss_at, [&](const RateTrial& trial) { return search_frugally(2, start, trial); });
}

/// A loss with its minimum at the rate 10^best.
LossAt parabola(double best) {
  return [best](int exponent) { return 1.0 + std::pow(exponent / 16.0 - best, 2.0); };
}

using Range = std::pair<int, int>;
constexpr int kLowestRate = -8 * 16, kHighestRate = 6 * 16;

TEST(ThoroughSearch, FindsTheClosestRate) {
  EXPECT_EQ(searched_thoroughly(parabola(-0.3)).tuned.exponent, -5);
  // Three steps of SGD on f(x) = x^2 multiply x by (1 - 2 rate)^3. Of the powers of 10^(1/16),
  // 10^(-5/16) = 0.487 is the closest to the optimal 0.5.
  const TunedRate tuned =
      search_thoroughly(2, [](double rate, int, int) { return std::pow(1.0 - 2.0 * rate, 6.0); });
  EXPECT_NEAR(tuned.rate, std::pow(10.0, -5.0 / 16.0), 1e-6);
}

TEST(ThoroughSearch, ExtendsTheGridInEitherDirection) {
  for (const double best : {-7.5, -6.0, 4.0, 5.5}) {
    EXPECT_EQ(searched_thoroughly(parabola(best)).tuned.exponent, std::lround(16.0 * best));
  }
}

TEST(ThoroughSearch, StopsAtItsBounds) {
  const Searched rising = searched_thoroughly([](int exponent) { return 1e3 + exponent; });
  EXPECT_EQ(rising.coarse_range(), (Range{kLowestRate, 16}));
  // The finer grids are on both sides of the best: first 3 times 2 16ths, then one more.
  EXPECT_EQ(rising.range(), (Range{kLowestRate - 7, 16}));
  EXPECT_EQ(rising.tuned.exponent, kLowestRate - 7);

  const Searched falling = searched_thoroughly([](int exponent) { return 1e3 - exponent; });
  EXPECT_EQ(falling.coarse_range(), (Range{-64, kHighestRate}));
  EXPECT_EQ(falling.range(), (Range{-64, kHighestRate + 7}));
  EXPECT_EQ(falling.tuned.exponent, kHighestRate + 7);
}

TEST(FrugalSearch, TriesFullGridOnceThenNeighborsOfBest) {
  const Searched fresh = searched_frugally(std::nullopt, parabola(-2.2));
  EXPECT_EQ(fresh.tuned.exponent, -36) << "-2.25: powers of 10^(1/4)";
  EXPECT_EQ(fresh.tried.size(), 11U + 2 + 2) << "coarse, finer, the best two again";
  const Searched near = searched_frugally(-2 * 16, parabola(-2.2));
  EXPECT_EQ(near.tuned.exponent, -36);
  EXPECT_EQ(near.tried.size(), 3U + 2 + 2);
}

TEST(FrugalSearch, FollowsMovedOptimum) {
  EXPECT_EQ(searched_frugally(-3 * 16, parabola(-0.3)).tuned.exponent, -4);
  EXPECT_EQ(searched_frugally(-3 * 16, parabola(-4.8)).tuned.exponent, -76);
}

TEST(FrugalSearch, StopsAtItsBounds) {
  for (const std::optional<int> start :
       {std::optional<int>{}, std::optional{kLowestRate}, std::optional{kHighestRate}}) {
    SCOPED_TRACE(start.value_or(0));
    // The finer grid is 4 16ths to either side of the best.
    const Searched rising = searched_frugally(start, [](int exponent) { return 1e3 + exponent; });
    EXPECT_EQ(rising.coarse_range().first, kLowestRate);
    EXPECT_EQ(rising.range().first, kLowestRate - 4);
    EXPECT_EQ(rising.tuned.exponent, kLowestRate - 4);

    const Searched falling = searched_frugally(start, [](int exponent) { return 1e3 - exponent; });
    EXPECT_EQ(falling.coarse_range().second, kHighestRate);
    EXPECT_EQ(falling.range().second, kHighestRate + 4);
    EXPECT_EQ(falling.tuned.exponent, kHighestRate + 4);
  }
}

TEST(FrugalSearch, MoreTasksDecideBetweenBestTwo) {
  // On the first two tasks 0.1 looks slightly better; the next two show that it is not.
  const TunedRate tuned = search_frugally(2, -16, [](double rate, int first, int) {
    const double distance = std::abs(std::log10(rate) + 1.0);
    return distance < 0.1 && first == 2 ? 5.0 : 1.0 + distance;
  });
  EXPECT_NEAR(std::abs(std::log10(tuned.rate) + 1.0), 0.25, 1e-6);
  EXPECT_NEAR(tuned.loss, 1.25, 1e-6) << "the mean over all its tasks";
}

// Both searches.

TEST(LearningRateSearch, IsNotExtendedWithoutGain) {
  // All rates are equal: the grid is extended once beyond its lowest rate, 1e-4, without gain, and
  // the search stops. Ties go to the lowest rate.
  const LossAt equal = [](int) { return 1.0; };
  for (const Searched& search :
       {searched_thoroughly(equal), searched_frugally(std::nullopt, equal)}) {
    EXPECT_EQ(search.range(), (Range{-72, 16}));
    EXPECT_EQ(search.tuned.exponent, -72);
  }
}

TEST(LearningRateSearch, OfARuleThatAlwaysDivergesHasAnInfiniteLoss) {
  const LossAt diverging = [](int) { return std::nan(""); };
  for (const Searched& search :
       {searched_thoroughly(diverging), searched_frugally(std::nullopt, diverging)}) {
    EXPECT_TRUE(std::isinf(search.tuned.loss));
    EXPECT_GT(search.tuned.rate, 0.0);
    EXPECT_EQ(search.range(), (Range{kLowestRate, 16})) << "lower rates diverge less";
  }
}

}  // namespace
}  // namespace l2o
