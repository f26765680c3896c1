#include <gtest/gtest.h>

#include <vector>

#include "tests/optimizee/batch.h"

namespace l2o {
namespace {

TEST(Simple, IsTheSumOfSquares) {
  Batch batch("name = 'simple'\ndimension = 3\ninitial = 1.5", "", 2, {});
  EXPECT_EQ(batch.coordinates(), 3U);
  EXPECT_EQ(batch.initial_parameters(), std::vector<float>(6, 1.5F));
  // Small integers: exact in float32.
  const Batch::Evaluation result = batch.evaluate({1, 2, -3, 0, 5, 1});
  EXPECT_EQ(result.loss, (std::vector<float>{14, 26}));
  EXPECT_EQ(result.gradient, (std::vector<float>{2, 4, -6, 0, 10, 2}));
}

TEST(Simple, DefaultsMatchDeepMindsTest) {
  Batch batch("name = 'simple'", "", 1, {});
  EXPECT_EQ(batch.coordinates(), 1U);
  EXPECT_EQ(batch.initial_parameters(), std::vector<float>{1.0F});
}

}  // namespace
}  // namespace l2o
