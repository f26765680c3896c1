#include "host/backend/recompute_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "host/core/error.h"

namespace l2o {
namespace {

TEST(RecomputePlan, PicksTheLongestBalancedSegmentThatFits) {
  struct Case {
    int unroll_length;
    ReplayBytes cost;
    std::size_t budget;
    int expected;
  };
  const Case cases[] = {
      {1, {10, 1}, 0, 1},       // nothing fits, and there is only one choice
      {20, {10, 1}, 200, 20},   // the whole unroll fits exactly
      {20, {10, 1}, 199, 10},   // one byte less: two segments, 10 * 10 + 1
      {20, {10, 1}, 101, 10},   //
      {20, {10, 1}, 100, 7},    // three: 7 * 10 + 2
      {20, {10, 1}, 71, 5},     // four: 5 * 10 + 3
      {100, {10, 1}, 256, 25},  // four: 25 * 10 + 3 = 253
      {7, {10, 1}, 42, 4},      // two, unequal: 4 + 3
      {20, {10, 1}, 1, 2},      // none fits; 2 * 10 + 9 is the least
      {20, {10, 100}, 1, 20},   // none fits, and checkpoints cost more than steps
      {16, {1, 1}, 1, 4},       // none fits; 4 + 3 is the least
      {20, {0, 0}, 0, 20},      // a cell without state
  };
  for (const Case& c : cases) {
    EXPECT_EQ(plan_recompute_segment(c.unroll_length, c.cost, c.budget), c.expected)
        << c.unroll_length << " steps, budget " << c.budget;
  }
}

TEST(RecomputePlan, AgreesWithTryingEveryLength) {
  const ReplayBytes cost{7, 3};
  for (int unroll_length = 1; unroll_length <= 60; ++unroll_length) {
    std::size_t least = recompute_bytes(unroll_length, 1, cost);
    for (int length = 1; length <= unroll_length; ++length) {
      least = std::min(least, recompute_bytes(unroll_length, length, cost));
    }
    for (std::size_t budget = 0; budget <= 450; ++budget) {
      const int planned = plan_recompute_segment(unroll_length, cost, budget);
      ASSERT_GE(planned, 1);
      ASSERT_LE(planned, unroll_length);
      const std::size_t bytes = recompute_bytes(unroll_length, planned, cost);
      if (least > budget) {
        EXPECT_EQ(bytes, least);
        continue;
      }
      ASSERT_LE(bytes, budget);
      // Fewer segments would not have fitted.
      const int segments = (unroll_length + planned - 1) / planned;
      if (segments > 1) {
        const int longer = (unroll_length + segments - 2) / (segments - 1);
        EXPECT_GT(recompute_bytes(unroll_length, longer, cost), budget);
      }
    }
  }
}

TEST(RecomputePlan, BytesCountOneSegmentAndTheOtherCheckpoints) {
  EXPECT_EQ(recompute_bytes(20, 20, {10, 3}), 200U);
  EXPECT_EQ(recompute_bytes(20, 7, {10, 3}), 70U + 2 * 3U);
  EXPECT_EQ(recompute_bytes(20, 1, {10, 3}), 10U + 19 * 3U);
}

TEST(RecomputePlan, AnEmptyUnrollIsABug) {
  EXPECT_THROW(plan_recompute_segment(0, {1, 1}, 1), Error);
}

}  // namespace
}  // namespace l2o
