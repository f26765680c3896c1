#include "host/core/nearest_name.h"

#include <gtest/gtest.h>

namespace l2o {
namespace {

TEST(NearestName, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("adam", "adam"), 0);
  EXPECT_EQ(edit_distance("adam", "adagrad"), 4);
  EXPECT_EQ(edit_distance("layers", "layres"), 1) << "a swap of neighbors is one edit";
  EXPECT_EQ(edit_distance("layers", "leyer"), 2);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

TEST(NearestName, IsSymmetric) {
  EXPECT_EQ(edit_distance("unroll", "episodes"), edit_distance("episodes", "unroll"));
}

TEST(NearestName, TakesTheFirstIfTied) {
  EXPECT_EQ(nearest_name("ada", {"sgd", "adam", "adax"}), "adam");
  EXPECT_EQ(nearest_name("anything", {}), "");
}

}  // namespace
}  // namespace l2o
