// The arithmetic of suites, against values computed by hand.
#include "host/engine/suite_arithmetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "host/engine/suite.h"

namespace l2o {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(SuiteArithmetic, FinalLossIsTheMeanOfTheLastTwentyEvaluations) {
  std::vector<float> curve(80, 100.0F);
  for (int i = 1; i <= 20; ++i) curve.push_back(static_cast<float>(i));
  EXPECT_EQ(final_loss(curve), 10.5);
  EXPECT_EQ(final_loss({1.0F, 2.0F, 6.0F}), 3.0) << "all of a shorter curve";
}

TEST(SuiteArithmetic, MeansAndStandardErrors) {
  EXPECT_EQ(mean_of({1.0, 2.0, 6.0}), 3.0);
  // Deviations -2, -1, 3: variance 14 / 2, standard error sqrt(7 / 3).
  EXPECT_NEAR(standard_error({1.0, 2.0, 6.0}), std::sqrt(7.0 / 3.0), 1e-12);
  EXPECT_EQ(standard_error({5.0}), 0.0);
}

TEST(SuiteArithmetic, InterquartileMeanOmitsAQuarterAtEachEnd) {
  EXPECT_EQ(interquartile_mean({8.0, 1.0, 2.0, 100.0, 3.0, 4.0, -50.0, 7.0}), 4.0);  // 2, 3, 4, 7
  EXPECT_EQ(interquartile_mean({1.0, 2.0, 6.0}), 3.0) << "a quarter of three is none";
  EXPECT_EQ(interquartile_mean({1.0, std::nan(""), 3.0, 2.0}), 2.5) << "one run of four diverged";
  EXPECT_EQ(interquartile_mean({1.0, kInfinity, std::nan(""), 2.0}), kInfinity);
}

TEST(SuiteArithmetic, RatioUsesMeansAndItsErrorUsesPairs) {
  const auto ratio = ratio_of({1.0, 3.0}, {2.0, 6.0});
  ASSERT_TRUE(ratio);
  EXPECT_EQ(ratio->value, 0.5);
  EXPECT_EQ(ratio->se, 0.0) << "the runs differ, but their ratio does not";
  const auto other = ratio_of({2.0, 2.0}, {3.0, 5.0});
  // Differences 2 - 0.5 * 3 = 0.5 and -0.5: standard error 0.5, over a mean of 4.
  EXPECT_NEAR(other->se, 0.125, 1e-12);
}

TEST(SuiteArithmetic, RatioToZeroIsNone) {
  EXPECT_FALSE(ratio_of({1.0}, {0.0}));
  EXPECT_FALSE(ratio_of({1.0}, {kInfinity}));
  EXPECT_FALSE(ratio_of({1.0}, {std::nan("")}));
  EXPECT_EQ(ratio_of({std::nan("")}, {1.0})->value, kInfinity) << "a rule that diverged has lost";
}

TEST(SuiteArithmetic, StepsToReachAverageTwentyEvaluations) {
  // One lucky minibatch is not enough: the mean over 20 reaches 1 only after 20 ones.
  std::vector<double> curve(30, 3.0);
  curve[5] = 0.0;
  curve.insert(curve.end(), 30, 1.0);
  EXPECT_EQ(steps_to_reach(curve, 1.0), 49);
  EXPECT_EQ(steps_to_reach(curve, 2.0), 39);
  EXPECT_EQ(steps_to_reach(curve, 3.0), 0);
  EXPECT_FALSE(steps_to_reach(curve, 0.9));
  curve[2] = std::nan("");
  EXPECT_EQ(steps_to_reach(curve, 1.0), 49) << "non-finite values are forgotten";
}

TEST(SuiteArithmetic, ThinningKeepsShortCurvesAndMeans) {
  EXPECT_EQ(thinned_curve({3.0, 2.0, 1.0}), (std::vector<double>{3.0, 2.0, 1.0}));
  EXPECT_EQ(thinned_steps(2), (std::vector<double>{0.0, 1.0, 2.0}));
  std::vector<double> curve;
  for (int i = 0; i < 1000; ++i) curve.push_back(i);
  const std::vector<double> points = thinned_curve(curve);
  ASSERT_EQ(points.size(), 100U);
  EXPECT_EQ(points[0], 4.5);
  EXPECT_EQ(points[99], 994.5);
  EXPECT_EQ(thinned_steps(999), points) << "of the curve f(t) = t";
}

TEST(SuiteArithmetic, GeometricMean) {
  EXPECT_NEAR(geometric_mean({0.5, 2.0, 8.0}), 2.0, 1e-12);
  EXPECT_EQ(geometric_mean({0.5, kInfinity}), kInfinity);
  EXPECT_EQ(geometric_mean({0.0, kInfinity, 0.0}), kInfinity);
  EXPECT_EQ(geometric_mean({0.5, 0.0}), 0.0);
}

Contest contest_of(const std::string& member, int steps, std::optional<double> ratio,
                   double reference_ratio) {
  Contest contest;
  contest.member = member;
  contest.steps = steps;
  contest.learned.resize(1);
  if (ratio) contest.learned[0].ratio = Ratio{*ratio, 0.0};
  contest.learned[0].reference_ratio = Ratio{reference_ratio, 0.0};
  return contest;
}

TEST(SuiteSummary, CountsByLengthAndOverall) {
  SuiteReport report;
  report.models = {"m"};
  report.contests = {contest_of("a", 100, 0.5, 0.25), contest_of("a", 1000, 1.0, 0.5),
                     contest_of("b", 100, 2.0, 4.0), contest_of("c", 100, std::nullopt, 1.0)};
  const std::vector<Summary> summaries = report.summaries();
  ASSERT_EQ(summaries.size(), 3U);
  EXPECT_EQ(summaries[0].steps, 100);
  EXPECT_EQ(summaries[0].contests, 2) << "one has no ratio";
  EXPECT_NEAR(summaries[0].geometric_mean, 1.0, 1e-12);
  EXPECT_EQ(summaries[0].worst, 2.0);
  EXPECT_EQ(summaries[0].worst_member, "b");
  EXPECT_EQ(summaries[0].wins, 1);
  EXPECT_NEAR(summaries[0].reference_geometric_mean, 1.0, 1e-12);
  EXPECT_EQ(summaries[0].reference_worst_member, "b");
  EXPECT_EQ(summaries[0].reference_wins, 1);
  EXPECT_EQ(summaries[1].steps, 1000);
  EXPECT_EQ(summaries[1].wins, 0) << "a tie is not a win";
  EXPECT_FALSE(summaries[2].steps);
  EXPECT_EQ(summaries[2].contests, 3);
  EXPECT_EQ(summaries[2].worst_steps, 100);
}

}  // namespace
}  // namespace l2o
