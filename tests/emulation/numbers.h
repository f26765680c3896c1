// 16-bit floats and rounding, by integer arithmetic that a compiler can vectorise.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace l2o::emulation {

inline float float_of_float16(std::uint16_t half) {
  const std::uint32_t magnitude = half & 0x7FFFU, sign = (half & 0x8000U) << 16;
  const std::uint32_t not_finite = magnitude >= 0x7C00U ? 0x7F800000U : 0U;
  // The exponent bias of a float32 is larger by 112; the product is exact, including denormals.
  return std::bit_cast<float>(magnitude << 13 | not_finite | sign) * 0x1p112F;
}

/// Rounds to nearest, ties to even.
inline std::uint16_t float16_of_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU, sign = bits >> 16 & 0x8000U;
  std::uint32_t half;
  if (magnitude > 0x7F800000U) {
    return 0x7FFF;                        // the hardware's NaN
  } else if (magnitude >= 0x47800000U) {  // 2^16
    half = 0x7C00U;
  } else if (magnitude >= 0x38800000U) {  // 2^-14: a normal float16
    half = (magnitude - (112U << 23) + 0xFFFU + (magnitude >> 13 & 1U)) >> 13;
  } else {  // the last place of 1/2 is 2^-24, that of a denormal
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  }
  return static_cast<std::uint16_t>(half | sign);
}

inline float float_of_bfloat16(std::uint16_t half) {
  return std::bit_cast<float>(std::uint32_t{half} << 16);
}

/// Rounds to nearest, ties to even.
inline std::uint16_t bfloat16_of_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return 0x7FFF;
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

/// Rounds toward zero to float32.
inline float round_toward_zero(double value) {
  const float nearest = static_cast<float>(value);
  const std::uint32_t larger = std::fabs(double{nearest}) > std::fabs(value) ? 1U : 0U;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(nearest) - larger);
}

}  // namespace l2o::emulation
