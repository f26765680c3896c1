// The part of CUDA's float16 that the host uses.
#pragma once

#include "tests/emulation/numbers.h"

// NOLINTBEGIN(*-reserved-identifier,readability-identifier-naming): CUDA's names
struct __half {
  std::uint16_t bits;
};
inline float __half2float(__half value) { return l2o::emulation::float_of_float16(value.bits); }
inline __half __float2half_rn(float value) { return {l2o::emulation::float16_of_float(value)}; }
// NOLINTEND(*-reserved-identifier,readability-identifier-naming)
