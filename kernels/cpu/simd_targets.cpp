#include "kernels/cpu/simd_targets.h"

#include <cstdint>

#include "kernels/cpu/launchers.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/simd_targets.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

const char* name_target() { return hwy::TargetName(HWY_TARGET); }

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace l2o::cpu {

HWY_EXPORT(name_target);

namespace {

/// Bits of the targets that were compiled and that this CPU supports, best first.
std::vector<std::int64_t> target_bits() {
  // Static: a selected target hides the others from later queries.
  static const auto supported = static_cast<std::uint64_t>(hwy::SupportedTargets() & HWY_TARGETS);
  std::vector<std::int64_t> bits;
  for (std::uint64_t bit = 1; bit != 0; bit <<= 1) {
    if ((supported & bit) != 0) bits.push_back(static_cast<std::int64_t>(bit));
  }
  return bits;
}

}  // namespace

std::string simd_target() { return HWY_DYNAMIC_DISPATCH(name_target)(); }

std::vector<std::string> simd_targets() {
  std::vector<std::string> names;
  for (const std::int64_t bit : target_bits()) names.emplace_back(hwy::TargetName(bit));
  return names;
}

bool use_simd_target(std::string_view name) {
  for (const std::int64_t bit : target_bits()) {
    if (name != hwy::TargetName(bit)) continue;
    hwy::SetSupportedTargetsForTest(bit);
    return true;
  }
  return false;
}

}  // namespace l2o::cpu
#endif  // HWY_ONCE
