#include "host/core/parameter_group.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/error_of.h"

namespace l2o {
namespace {

TEST(ParameterGroup, IsFoundByPatternsInAnyOrder) {
  std::vector<ParameterGroup> groups = {
      {"all", {"*"}}, {"conv", {"conv*.weight", "batch_norm?.*"}}, {"bias", {"*.bias"}}};
  const auto name_of = [&](const std::string& tensor) {
    return groups[static_cast<std::size_t>(group_of(groups, tensor))].name;
  };
  for (int order = 0; order < 2; ++order) {
    EXPECT_EQ(name_of("conv0.weight"), "conv");
    EXPECT_EQ(name_of("conv12.weight"), "conv");
    EXPECT_EQ(name_of("batch_norm1.scale"), "conv");
    EXPECT_EQ(name_of("conv0.bias"), "bias");
    EXPECT_EQ(name_of("dense0.weight"), "all");
    EXPECT_EQ(name_of("batch_norm10.scale"), "all");
    std::reverse(groups.begin(), groups.end());
  }
}

TEST(ParameterGroup, RefusesNoneOrSeveralMatches) {
  const std::vector<ParameterGroup> groups = {{"a", {"conv*"}}, {"b", {"*.weight"}}};
  EXPECT_TRUE(error_of([&] {
                group_of(groups, "dense0.bias");
              }).says("no rule matches the parameter dense0.bias"));
  EXPECT_TRUE(error_of([&] { group_of(groups, "conv0.weight"); }).says("the rules a, b all match"));
  EXPECT_EQ(group_of(one_parameter_group(), "anything"), 0);
  EXPECT_EQ(error_of([&] { group_of({{"a", {"*"}}, {"b", {"*"}}}, "x"); }).status, Status::kUsage);
}

}  // namespace
}  // namespace l2o
