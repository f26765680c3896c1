// Runs a test once for every instruction set that was compiled and that this processor has.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/cpu/simd_targets.h"
// After the choice of targets.
#include "hwy/highway.h"

namespace l2o {

/// The instruction sets to test, the best first.
inline std::vector<std::int64_t> simd_targets() {
  std::vector<std::int64_t> targets;
  const auto supported = static_cast<std::uint64_t>(hwy::SupportedTargets() & HWY_TARGETS);
  for (std::uint64_t bit = 1; bit != 0; bit <<= 1) {
    if ((supported & bit) != 0) targets.push_back(static_cast<std::int64_t>(bit));
  }
  return targets;
}

/// The parameter is the instruction set that the dispatch chooses during the test.
class SimdTargetTest : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }
};

inline std::string simd_target_test_name(const testing::TestParamInfo<std::int64_t>& info) {
  return hwy::TargetName(info.param);
}

}  // namespace l2o
