// The small pure functions of host/meta: truncation, loss weights, learning-rate schedules.
#include <gtest/gtest.h>

#include <set>

#include "host/meta/loss_weights.h"
#include "host/meta/meta_optimizer.h"
#include "host/meta/truncation.h"

namespace l2o {
namespace {

TEST(Truncation, SplitsEpisodeIntoUnrollsCoveringAllSteps) {
  for (int num_steps = 1; num_steps <= 25; ++num_steps) {
    for (int unroll_length = 1; unroll_length <= 30; ++unroll_length) {
      const Truncation truncation{num_steps, unroll_length};
      int steps = 0;
      std::set<std::uint32_t> evaluations;
      for (int k = 0; k < truncation.unrolls(); ++k) {
        const int length = truncation.length(k);
        ASSERT_GE(length, 1);
        ASSERT_LE(length, truncation.longest());
        steps += length;
        for (int t = 0; t <= length; ++t) {
          evaluations.insert(truncation.first_evaluation(k) + static_cast<std::uint32_t>(t));
        }
      }
      EXPECT_EQ(steps, num_steps);
      // Each of the length + 1 evaluations of each unroll has a unique number.
      EXPECT_EQ(evaluations.size(), static_cast<std::size_t>(num_steps + truncation.unrolls()));
    }
  }
}

TEST(LossWeights, MatchTheirKind) {
  using Kind = LossWeights::Kind;
  using Weights = std::vector<double>;
  EXPECT_EQ((LossWeights{Kind::kAll, {}}.of_unroll(2)), (Weights{1, 1, 1}));
  EXPECT_EQ((LossWeights{Kind::kFinal, {}}.of_unroll(2)), (Weights{0, 0, 1}));
  EXPECT_EQ((LossWeights{Kind::kLinear, {}}.of_unroll(4)), (Weights{0, 0.25, 0.5, 0.75, 1}));
  const LossWeights list{Kind::kList, {5, 0, 2, 1}};
  EXPECT_EQ(list.of_unroll(3), (Weights{5, 0, 2, 1}));
  EXPECT_EQ(list.of_unroll(1), (Weights{2, 1}));
}

TEST(LearningRateSchedule, GoesFromRateToFinalFraction) {
  using Kind = LearningRateSchedule::Kind;
  const LearningRateSchedule constant{Kind::kConstant, 0.5, 0.25};
  const LearningRateSchedule cosine{Kind::kCosine, 0.5, 0.25};
  const LearningRateSchedule exponential{Kind::kExponential, 0.5, 0.25};
  for (const auto& schedule : {constant, cosine, exponential}) EXPECT_EQ(schedule.at(0.0), 0.5);
  EXPECT_EQ(constant.at(1.0), 0.5);
  EXPECT_DOUBLE_EQ(cosine.at(1.0), 0.125);
  EXPECT_DOUBLE_EQ(cosine.at(0.5), 0.5 * (1.0 + 0.25) / 2.0);
  EXPECT_DOUBLE_EQ(exponential.at(1.0), 0.125);
  EXPECT_DOUBLE_EQ(exponential.at(0.5), 0.25);
}

}  // namespace
}  // namespace l2o
