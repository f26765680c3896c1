// Normal draws by inverting the normal distribution function, using only operations whose results
// are bit-identical everywhere: integers, products, explicit fused multiply-adds, and the correctly
// rounded square root. No libm, and no multiply-add that the compiler may or may not fuse.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/host_device.h"

namespace l2o {

/// coefficients[0] + x (coefficients[1] + x (...)).
template <int size>
L2O_HOST_DEVICE inline float fused_polynomial(float x, const float (&coefficients)[size]) {
  float sum = coefficients[size - 1];
  for (int k = size - 2; k >= 0; --k) sum = std::fma(sum, x, coefficients[k]);
  return sum;
}

/// log2(y) for a normal y > 0, absolute error below 1e-6: y = 2^e (1 + r) with 1 + r in
/// [sqrt(1/2), sqrt(2)), and log2(1 + r) = r Q(r), Q a minimax fit of relative error 3e-8.
L2O_HOST_DEVICE inline float portable_log2(float y) {
  constexpr std::uint32_t kSqrtHalf = 0x3F3504F3U;  // bits of sqrt(1/2)
  constexpr float kQ[] = {1.442695F,    -0.72134733F, 0.48091063F,  -0.36070368F, 0.28791624F,
                          -0.23894483F, 0.21571562F,  -0.20726968F, 0.1258369F};
  std::uint32_t bits;
  std::memcpy(&bits, &y, sizeof bits);
  const std::uint32_t shifted = bits - kSqrtHalf;
  const float exponent = static_cast<float>(static_cast<std::int32_t>(shifted) >> 23);
  bits = (shifted & 0x007FFFFFU) + kSqrtHalf;
  float mantissa;
  std::memcpy(&mantissa, &bits, sizeof mantissa);
  const float r = mantissa - 1.0F;
  return std::fma(r, fused_polynomial(r, kQ), exponent);
}

/// N(0, 1) from 32 random bits: the top bit is the sign, the others are p = P(|x| smaller), at the
/// midpoints of 2^31 equal cells. Exactly symmetric, never 0, |x| up to 6.3; relative error below
/// 2e-6.
///
/// With w = -log2((1 - p) (1 + p)), as Giles 2010 ("Approximating the erfinv function") proposes,
/// |x| / p is smooth in w, and in sqrt(w) in the tail; both fits are minimax, with relative errors
/// 2e-8 and 1.4e-7. 1 - p is computed from the integer, so that the tail keeps its digits.
L2O_HOST_DEVICE inline float normal_from_bits(std::uint32_t bits) {
  constexpr float kCenter[] = {2.2179198F,     0.23928215F,     -0.0034693F,     -0.00048026117F,
                               6.7973895e-05F, -2.2225718e-06F, -4.0597916e-07F, 5.1821118e-08F,
                               4.6399004e-10F, -3.7841413e-10F};  // in w - 4, w up to 8
  constexpr float kTail[] = {4.77174F,       1.1863707F,     0.0030014582F,
                             -0.0015472283F, 0.0006180362F,  -0.00034539655F,
                             0.0002241049F,  -7.386108e-05F, 3.76676e-06F};  // in sqrt(w) - 4.25
  const std::uint32_t cell = bits & 0x7FFFFFFFU;
  const float p = (static_cast<float>(static_cast<std::int32_t>(cell)) + 0.5F) * 0x1p-31F;
  const float upper =
      (static_cast<float>(static_cast<std::int32_t>(0x7FFFFFFFU - cell)) + 0.5F) * 0x1p-31F;
  const float w = -portable_log2(upper * (1.0F + p));
  // For p near 0, w may round to just below 0, which matters only in the branch not taken.
  const float root = std::sqrt(w > 0.0F ? w : 0.0F);
  const float ratio =
      w < 8.0F ? fused_polynomial(w - 4.0F, kCenter) : fused_polynomial(root - 4.25F, kTail);
  const float magnitude = p * ratio;
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}

}  // namespace l2o
