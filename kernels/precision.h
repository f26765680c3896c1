// The precision in which a device computes the learned rule. CPUs support only float32.
#pragma once

namespace l2o {

/// Number formats of the tensor cores; docs/performance.md has the errors relative to float64.
enum class Precision : int {
  kF32,    ///< float32 state; products of sums of two 16-bit numbers: nearly float32 throughout
  kMixed,  ///< h in float16, c in float32; weights as sums of two float16, when the backward pass
           ///< recomputes the gates one; adjoints in bfloat16
  kHalf,   ///< h and c in float16, c rounded stochastically; weights in float16, adjoints in
           ///< bfloat16
};

/// Name in flags, configurations and reports.
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
