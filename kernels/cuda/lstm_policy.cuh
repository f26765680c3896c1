// The meaning of a precision for the tensor-core kernels, and the resulting layout of packed
// weights.
#pragma once

#include <cstdint>

#include "kernels/cuda/lstm_geometry.cuh"
#include "kernels/precision.h"

namespace l2o::cuda {

/// Numbers are multiplied as sums of 16-bit "parts": the rounded number and the remainder. In a
/// product of two such sums, the product of the remainders is omitted.
template <Precision precision>
struct LstmPolicy {
  static constexpr bool kF32 = precision == Precision::kF32;
  static constexpr bool kHalfCell = precision == Precision::kHalf;
  static constexpr int kHiddenParts = kF32 ? 2 : 1;                           // float16: h and x
  static constexpr int kWeightParts = precision == Precision::kHalf ? 1 : 2;  // float16
  static constexpr int kAdjointParts = kF32 ? 2 : 1;  // bfloat16: dz and its factors
  /// Parts of the weights when the backward pass recomputes the gates. The trajectory is fixed by
  /// then, and the error of one part is about that of rounding h to float16.
  static constexpr int kBackwardGateParts = kF32 ? 2 : 1;

  /// Activations are computed from exp2 and reciprocal, or from the hardware's tanh. Their factors
  /// on z are packed into the weights: for exp2, -log2(e) in sigmoids and 2 log2(e) in tanh; for
  /// tanh, 1/2 in sigmoids, since sigmoid(z) = (1 + tanh(z/2)) / 2.
  L2O_HOST_DEVICE static constexpr float gate_scale(int gate) {
    constexpr float kLog2E = 1.44269504088896340736F;
    if (kF32) return gate == 2 ? 2.0F * kLog2E : -kLog2E;
    return gate == 2 ? 1.0F : 0.5F;
  }
};

/// Offsets in 32-bit words into `packed`: the parts of the forward weights, those of the backward
/// weights, and w_out [outputs][H] and b_out [outputs] as float32.
template <class Geometry, Precision precision>
struct PackedLstm {
  using Policy = LstmPolicy<precision>;
  static constexpr int kForwardOffset = 0;
  static constexpr int kBackwardOffset = Policy::kWeightParts * Geometry::kForwardWords;
  static constexpr int kOutputOffset =
      kBackwardOffset + Policy::kAdjointParts * Geometry::kBackwardWords;
  static constexpr int kWords = kOutputOffset + Geometry::kOutputSize;
  static constexpr int kPaddedWords = (kWords + 3) / 4 * 4;  // whole 16 bytes
};

}  // namespace l2o::cuda
