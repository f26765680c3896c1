#include "host/meta/rollout.h"

#include <gtest/gtest.h>

#include <set>

#include "host/backend/buffer.h"
#include "kernels/cells/cell_list.h"
#include "tests/meta/small_problem.h"

namespace l2o {
namespace {

TEST(Rollout, EvaluatesBeforeFirstAndAfterEachStep) {
  const auto backend = test::cpu();
  const auto simple = test::optimizee(*backend, 2, "name = \"simple\"\ninitial = 3.0\n");
  DeviceOptimizer sgd(*backend, make_hand_designed_optimizer("sgd", 0.25F));
  const auto curves = rollout(sgd, *simple, {1, 0}, 2);

  // f = x^2, x <- x - 0.25 * 2 x = x / 2.
  const std::vector<float> expected = {9.0F, 2.25F, 0.5625F};
  EXPECT_EQ(curves, (std::vector<std::vector<float>>{expected, expected}));
}

TEST(Rollout, TaskIsIndependentOfItsBatch) {
  const auto backend = test::cpu();
  const auto three = test::optimizee(*backend, 3, test::kSmallQuadratic);
  const auto one = test::optimizee(*backend, 1, test::kSmallQuadratic);
  DeviceOptimizer optimizer(*backend, test::small_lstm());

  const auto batch = rollout(optimizer, *three, {5, 10}, 7);
  ASSERT_EQ(batch.size(), 3U);
  for (std::uint32_t task = 0; task < 3; ++task) {
    EXPECT_EQ(batch[task], rollout(optimizer, *one, {5, 10 + task}, 7).front());
  }
  EXPECT_NE(batch[0], batch[1]);
}

TEST(RolloutTasks, CoverRunsEvenlyWithinBounds) {
  CellConfig cell;
  cell.kind = find_cell("sgd");  // no state
  EXPECT_EQ(rollout_tasks({cell}, 10, 7, 1000), 7);
  EXPECT_EQ(rollout_tasks({cell}, 10, 7, 40), 4);
  EXPECT_EQ(rollout_tasks({cell}, 10, 9, 40), 3);
  EXPECT_EQ(rollout_tasks({cell}, 10, 3, 1), 1) << "at least one task";
  EXPECT_EQ(rollout_tasks({cell}, 0, 3, 1), 1);

  // 3 layers of 64: 384 numbers per coordinate, so 256 MiB hold 174,762 coordinates.
  cell.kind = kLstmKind;
  cell.lstm.layers = 3;
  cell.lstm.hidden = 64;
  EXPECT_EQ(rollout_tasks({cell}, 1000, 174 * 5), 174);
}

TEST(StreamSeed, DiffersBetweenStreamsAndSeeds) {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    for (const TaskStream stream :
         {TaskStream::kTraining, TaskStream::kValidation, TaskStream::kTuning, TaskStream::kTest}) {
      seeds.insert(stream_seed(seed, stream));
    }
  }
  EXPECT_EQ(seeds.size(), 400U);
}

}  // namespace
}  // namespace l2o
