#include "tests/emulation/special_functions.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/emulation/emulation.h"

namespace l2o::emulation {
namespace {

float without_denormals(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0F, x) : x;
}

/// tanh(x), far more accurate than float32 and faster than std::tanh.
double tanh_of(double x) {
  const double magnitude = std::fabs(x);
  if (magnitude < 1.0 / 64) {  // series; its relative truncation error is below 2^-53
    const double square = x * x;
    return x * (1 + square * (-1.0 / 3 + square * (2.0 / 15 - square * (17.0 / 315))));
  }
  const double power = std::exp(-2 * magnitude);
  return std::copysign((1 - power) / (1 + power), x);
}

/// A pseudorandom number in -1 .. 1 for each x.
double random_of(float x) {
  std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  bits = (bits ^ bits >> 16) * 0x85EBCA6BU;  // MurmurHash3's last step
  bits = (bits ^ bits >> 13) * 0xC2B2AE35U;
  bits ^= bits >> 16;
  return bits * (2.0 / std::numeric_limits<std::uint32_t>::max()) - 1;
}

}  // namespace

float approximate_tanh(float x) {
  const double exact = tanh_of(x);
  if (settings.exact_tanh) return static_cast<float>(exact);
  constexpr double kError = 0x1p-11 - 0x1p-24;  // rounding adds the rest
  return std::clamp(static_cast<float>(exact * (1 + kError * random_of(x))), -1.0F, 1.0F);
}

float approximate_exp2(float x) {
  return without_denormals(static_cast<float>(std::exp2(double{without_denormals(x)})));
}

float approximate_reciprocal(float x) {
  return without_denormals(static_cast<float>(1 / double{without_denormals(x)}));
}

float approximate_square_root(float x) {
  return static_cast<float>(std::sqrt(double{without_denormals(x)}));
}

float approximate_log2(float x) { return static_cast<float>(std::log2(double{x})); }

}  // namespace l2o::emulation
