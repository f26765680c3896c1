// How exactly a device computes the learned rule. Processors know float32 alone.
#pragma once

namespace l2o {

/// What tensor cores compute with; docs/performance.md has the errors, measured against float64.
enum class Precision : int {
  kF32,    ///< float32 state; products of sums of two 16-bit numbers: nearly float32 throughout
  kMixed,  ///< h in float16, c in float32; weights as sums of two float16, adjoints in bfloat16
  kHalf,   ///< h and c in float16, c rounded at random; weights in float16, adjoints in bfloat16
};

/// What flags, configurations and reports call it.
constexpr const char* precision_name(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return "f32";
    case Precision::kMixed:
      return "mixed";
    case Precision::kHalf:
      return "half";
  }
  return "";
}

}  // namespace l2o
