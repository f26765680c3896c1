#include "host/meta/episodes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace l2o {
namespace {

EpisodeConfig range(int shortest, int longest) {
  return {.truncation = {.num_steps = longest, .unroll_length = 20},
          .min_steps = shortest,
          .independent = true};
}

TEST(Episodes, AreDeterministic) {
  const EpisodeConfig config = range(60, 1000);
  const Episode once = draw_episode(config, 7, 12'345'678'901);
  draw_episode(config, 7, 3);
  EXPECT_EQ(draw_episode(config, 7, 12'345'678'901).unrolls, once.unrolls);
}

TEST(Episodes, LengthsAreLogUniform) {
  const EpisodeConfig config = range(60, 960);
  constexpr int kDraws = 20'000;
  std::vector<int> of_octave(4, 0);
  double unrolls = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const int length = draw_episode(config, 3, i).unrolls;
    ASSERT_GE(length, 3);
    ASSERT_LE(length, 48);
    ASSERT_EQ(draw_episode(config, 3, i).steps, length * 20);
    unrolls += length;
    ++of_octave[static_cast<std::size_t>(
        std::min(3, static_cast<int>(std::log2(length * 20 / 60.0))))];
  }
  // From 60, 120, 240 and 480 on; rounding to whole unrolls moves a few across a boundary.
  for (const int count : of_octave) EXPECT_NEAR(count, kDraws / 4.0, kDraws / 20.0);
  EXPECT_NEAR(unrolls / kDraws, config.mean_unrolls(), 0.5);
}

TEST(Episodes, OfOneLengthHaveThatLength) {
  const EpisodeConfig config = {.truncation = {.num_steps = 100, .unroll_length = 30},
                                .min_steps = 100};
  EXPECT_EQ(config.mean_unrolls(), 4);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(draw_episode(config, 1, i).unrolls, 4);
  EXPECT_EQ(draw_episode(config, 1, 0).steps, 100);
  // A minimum above the length does not count.
  EXPECT_EQ(range(100, 40).mean_unrolls(), 2);
  EXPECT_EQ(draw_episode(range(100, 40), 1, 0).unrolls, 2);
  // A minimum of less than an unroll is one unroll.
  EXPECT_EQ(draw_episode(range(1, 20), 1, 0).unrolls, 1);
}

TEST(Episodes, MixedSchedulesAreEquallyLikely) {
  EpisodeConfig config = range(60, 1000);
  const auto cosines = [&](EpisodeConfig::Schedule schedule) {
    config.schedule = schedule;
    int count = 0;
    for (int i = 0; i < 1000; ++i) {
      count += draw_episode(config, 1, i).schedule == UpdateSchedule::kCosine ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(cosines(EpisodeConfig::Schedule::kConstant), 0);
  EXPECT_EQ(cosines(EpisodeConfig::Schedule::kCosine), 1000);
  EXPECT_NEAR(cosines(EpisodeConfig::Schedule::kMixed), 500, 60);
}

TEST(UpdateSchedule, StartsAtOneAndDecreases) {
  for (const UpdateSchedule schedule :
       {UpdateSchedule::kConstant, UpdateSchedule::kCosine, UpdateSchedule::kLinear}) {
    EXPECT_EQ(update_scale(schedule, 0, 10), 1.0);
  }
  EXPECT_EQ(update_scale(UpdateSchedule::kConstant, 9, 10), 1.0);
  EXPECT_NEAR(update_scale(UpdateSchedule::kCosine, 5, 10), 0.5, 1e-15);
  EXPECT_NEAR(update_scale(UpdateSchedule::kLinear, 9, 10), 0.1, 1e-15);
}

}  // namespace
}  // namespace l2o
