// The data set that is generated without any file.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "host/data/data_set.h"

namespace l2o {
namespace {

TEST(Synthetic, IsTheSameWithoutAnyFile) {
  const auto train = load_data({.name = "synthetic"});
  EXPECT_EQ(train->rows, 6000);
  EXPECT_EQ(train->height, 28);
  EXPECT_EQ(train->width, 28);
  EXPECT_EQ(train->channels, 1);
  ASSERT_EQ(train->labels.size(), 6000U);
  std::vector<int> of_class(10, 0);
  for (const std::uint16_t label : train->labels) ++of_class.at(label);
  for (const int count : of_class) EXPECT_NEAR(count, 600, 100);
  EXPECT_EQ(train->fingerprint, 13201163395397434260U);
  const DataOptions test = {.name = "synthetic", .split = Split::kTest};
  ASSERT_TRUE(has_test_split(test));
  EXPECT_EQ(load_data(test)->rows, 1000);
  EXPECT_NE(load_data(test)->bytes[0], train->bytes[0]);
}

}  // namespace
}  // namespace l2o
