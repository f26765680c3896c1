#include "host/core/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace l2o {
namespace {

TEST(Text, AFloatBecomesTheDoubleOfTheSameDecimalForm) {
  EXPECT_EQ(shortest_double(0.1F), 0.1);
  EXPECT_EQ(shortest_double(-3e-3F), -3e-3);
  EXPECT_EQ(shortest_double(1e30F), 1e30);
  EXPECT_EQ(shortest_double(0.0F), 0.0);
  EXPECT_EQ(shortest_double(std::numeric_limits<float>::max()), 3.4028235e38);
}

}  // namespace
}  // namespace l2o
