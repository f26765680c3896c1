// Tests whether a number is finite.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/host_device.h"

namespace l2o {

/// Infinities and NaNs are the values whose exponent bits are all set. Compilers vectorize this
/// test of the bits.
L2O_HOST_DEVICE inline bool is_not_finite(float value) {
  constexpr std::uint32_t kExponent = 0x7F800000U;
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return (bits & kExponent) == kExponent;
}

}  // namespace l2o
