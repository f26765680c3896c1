#include <gtest/gtest.h>

#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

TEST(SimdTargets, BestIsUsedUntilAnotherIsSelected) {
  const std::vector<std::string> targets = cpu::simd_targets();
  ASSERT_FALSE(targets.empty());
  EXPECT_EQ(cpu::simd_target(), targets.front());
  for (const std::string& target : targets) {
    EXPECT_TRUE(cpu::use_simd_target(target));
    EXPECT_EQ(cpu::simd_target(), target);
    EXPECT_EQ(cpu::simd_targets(), targets) << "with " << target << " in use";
  }
  EXPECT_FALSE(cpu::use_simd_target("MMX"));
  EXPECT_EQ(cpu::simd_target(), targets.back());
  EXPECT_TRUE(cpu::use_simd_target(targets.front()));
}

}  // namespace
}  // namespace l2o
