#include "host/core/text.h"

#include <gtest/gtest.h>

#include <cmath>
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

TEST(Text, ColumnsAreAsWideAsTheirWidestCell) {
  EXPECT_EQ(aligned_columns({{"rule", "loss"}, {"rmsprop@1e-3", "0.5"}, {"sgd", "diverged"}}),
            "rule              loss\n"
            "rmsprop@1e-3       0.5\n"
            "sgd           diverged\n");
  EXPECT_EQ(aligned_columns({{"a"}, {"b", "1"}}), "a\nb  1\n");
  EXPECT_EQ(aligned_columns({}), "");
}

TEST(Text, CsvNumbersAreShortAndNanHasNoSign) {
  EXPECT_EQ(csv_number(0.1), "0.1");
  EXPECT_EQ(csv_number(-1e30), "-1e+30");
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(csv_number(infinity), "inf");
  EXPECT_EQ(csv_number(-infinity), "-inf");
  for (const double sign : {1.0, -1.0}) {
    EXPECT_EQ(csv_number(std::copysign(std::nan(""), sign)), "nan");
  }
}

}  // namespace
}  // namespace l2o
