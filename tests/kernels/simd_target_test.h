// Runs a test once for every instruction set that was compiled and that this CPU supports.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/cpu/launchers.h"

namespace l2o {

/// The parameter, one of cpu::simd_targets(), selects the instruction set of the launchers during
/// the test.
class SimdTargetTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(cpu::use_simd_target(GetParam())); }
  void TearDown() override { cpu::use_simd_target(cpu::simd_targets().front()); }
};

inline std::string simd_target_test_name(const testing::TestParamInfo<std::string>& info) {
  return info.param;
}

}  // namespace l2o
