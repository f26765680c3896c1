// Formats and special functions of the emulation. Also tests that its device.cuh has the same
// functions as the real one.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>
#include <regex>
#include <set>
#include <string>

#include "kernels/cuda/device.cuh"
#include "tests/emulation/emulation.h"
#include "tests/emulation/numbers.h"

namespace l2o::cuda {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kSmallestNormal = std::numeric_limits<float>::min();

float random_float(std::mt19937& random) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(random()));
}

// ---------------------------------------------------------------------------------------- formats

/// The value of a 16-bit float with `exponent_bits` bits of exponent, by definition.
double value_of(int bits, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits & 0x7FFF) >> mantissa_bits,
            mantissa = bits & ((1 << mantissa_bits) - 1);
  double magnitude = std::ldexp(mantissa + (exponent == 0 ? 0 : 1 << mantissa_bits),
                                std::max(exponent, 1) - bias - mantissa_bits);
  if (exponent == (1 << exponent_bits) - 1) magnitude = mantissa == 0 ? HUGE_VAL : NAN;
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

/// Adjacent numbers of a format are adjacent integers; infinity is treated as the next power of
/// two.
template <class Widen, class Narrow>
void expect_format(int exponent_bits, const Widen& widen, const Narrow& narrow) {
  for (int bits = 0; bits < 1 << 16; ++bits) {
    const double value = value_of(bits, exponent_bits);
    const float wide = widen(static_cast<std::uint32_t>(bits));
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(wide)) << bits;
      ASSERT_TRUE(std::isnan(widen(narrow(wide)))) << bits;
    } else {
      ASSERT_EQ(value, double{wide}) << bits;
      ASSERT_EQ(narrow(wide), static_cast<std::uint32_t>(bits));
    }
  }
  const int infinity = narrow(kInfinity);
  const double beyond = 2 * value_of(infinity - (1 << (15 - exponent_bits)), exponent_bits);
  const auto bounded = [&](int bits) {
    return bits == infinity ? beyond : value_of(bits, exponent_bits);
  };
  std::mt19937 random(1);
  for (int i = 0; i < 1000000; ++i) {
    float x = std::fabs(random_float(random));
    if (i % 2 == 0) x = std::ldexp(1.0F + std::fmod(x, 1.0F), static_cast<int>(random() % 44) - 27);
    if (i % 4 == 0) x = widen(narrow(x)) * (1 + 0x1p-8F);  // often half-way for bfloat16
    if (!(x < kInfinity)) continue;
    const int bits = narrow(x);
    const double error = std::fabs(bounded(bits) - x);
    if (bits < infinity) {
      const double above = bounded(bits + 1) - x;
      ASSERT_TRUE(error < above || (error == above && bits % 2 == 0)) << x;
    }
    if (bits > 0) {
      const double below = x - bounded(bits - 1);
      ASSERT_TRUE(error < below || (error == below && bits % 2 == 0)) << x;
    }
    ASSERT_EQ(narrow(-x), static_cast<std::uint32_t>(bits | 0x8000));
  }
}

TEST(Numbers, Float16) {
  expect_format(
      5, [](std::uint32_t bits) { return low_of_float16(bits); },
      [](float x) { return float16_pair(x, 0.0F) & 0xFFFFU; });
  EXPECT_EQ(float16_pair(1.0F, -2.0F), 0xC0003C00U);
  EXPECT_EQ(high_of_float16(0xC0003C00U), -2.0F);
  EXPECT_EQ(float16_pair(1.0F + 0x1p-11F, 1.0F + 0x3p-11F), 0x3C023C00U);  // ties, to even
  EXPECT_EQ(float16_pair(65519.0F, 65520.0F), 0x7C007BFFU);
}
TEST(Numbers, Bfloat16) {
  expect_format(
      8, [](std::uint32_t bits) { return low_of_bfloat16(bits); },
      [](float x) { return bfloat16_pair(x, 0.0F) & 0xFFFFU; });
  EXPECT_EQ(bfloat16_pair(1.0F, -2.0F), 0xC0003F80U);
  EXPECT_EQ(high_of_bfloat16(0xC0003F80U), -2.0F);
}
TEST(Numbers, HalvesOfWords) {
  EXPECT_EQ(low_halves(0x11112222U, 0x33334444U), 0x44442222U);
  EXPECT_EQ(high_halves(0x11112222U, 0x33334444U), 0x33331111U);
}

TEST(Numbers, RoundTowardZero) {
  using emulation::round_toward_zero;
  EXPECT_EQ(round_toward_zero(1.0), 1.0F);
  EXPECT_EQ(round_toward_zero(-1.0 - 0x1.8p-23), -1.0F - 0x1p-23F);
  EXPECT_EQ(round_toward_zero(1.0 + 0x1.8p-23), 1.0F + 0x1p-23F);
  EXPECT_EQ(round_toward_zero(1e300), std::numeric_limits<float>::max());
  EXPECT_EQ(round_toward_zero(-1e-300), -0.0F);
  EXPECT_EQ(round_toward_zero(-HUGE_VAL), -kInfinity);
  EXPECT_TRUE(std::isnan(round_toward_zero(NAN)));
}

// ----------------------------------------------------------------------------- special functions

/// Error in units in the last place of the correct result.
double error_in_places(float result, double right) {
  int exponent;
  std::frexp(right, &exponent);
  return std::fabs(result - right) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

TEST(SpecialFunctions, Exp2) {
  for (int i = -12599; i < 12800; ++i) {
    const float x = static_cast<float>(i) * 0.01F;
    ASSERT_LE(error_in_places(approximate_exp2(x), std::exp2(double{x})), 0.51) << x;
  }
  EXPECT_EQ(approximate_exp2(128.0F), kInfinity);
  EXPECT_EQ(approximate_exp2(-126.5F), 0.0F);  // denormal
  EXPECT_EQ(approximate_exp2(-kInfinity), 0.0F);
  EXPECT_EQ(approximate_exp2(1e-40F), 1.0F);
}
TEST(SpecialFunctions, Reciprocal) {
  for (int i = -12500; i < 12500; ++i) {
    const auto x = static_cast<float>(std::exp2(i / 100.0));
    ASSERT_LE(error_in_places(approximate_reciprocal(-x), -1 / double{x}), 0.51) << x;
  }
  EXPECT_EQ(approximate_reciprocal(-0.0F), -kInfinity);
  EXPECT_EQ(approximate_reciprocal(kSmallestNormal / 2), kInfinity);  // a denormal is 0
  EXPECT_EQ(approximate_reciprocal(3e38F), 0.0F);
}
TEST(SpecialFunctions, Log2) {
  for (int i = -14800; i < 12800; ++i) {  // denormals included
    const auto x = static_cast<float>(std::exp2(i / 100.0));
    ASSERT_LE(error_in_places(approximate_log2(x), std::log2(double{x})), 0.51) << x;
  }
  EXPECT_EQ(approximate_log2(0.0F), -kInfinity);
  EXPECT_TRUE(std::isnan(approximate_log2(-1.0F)));
}
TEST(SpecialFunctions, Tanh) {
  const emulation::RestoreSettings restore;
  double lowest = 0.0, highest = 0.0;
  for (int i = -140000; i < 4300; ++i) {
    const auto x = static_cast<float>(std::exp2(i / 1000.0));
    const double right = std::tanh(double{x});
    emulation::settings.exact_tanh = true;
    ASSERT_LE(error_in_places(approximate_tanh(x), right), 0.51) << x;
    emulation::settings.exact_tanh = false;
    const float result = approximate_tanh(-x);
    ASSERT_EQ(result, approximate_tanh(-x));
    ASSERT_LE(-result, 1.0F);
    if (x < kSmallestNormal * 4096) continue;  // float32 itself is too coarse there
    const double error = -result / right - 1;
    lowest = std::min(lowest, error);
    highest = std::max(highest, error);
  }
  EXPECT_GE(lowest, -0x1p-11);
  EXPECT_LE(highest, 0x1p-11);
  EXPECT_LT(lowest, -0x1.Fp-12);  // the error reaches its bounds
  EXPECT_GT(highest, 0x1.Fp-12);
  EXPECT_NEAR(approximate_tanh(-kInfinity), -1.0, 0x1p-11);
  EXPECT_EQ(approximate_tanh(0.0F), 0.0F);
}

// ------------------------------------------------------------------------------------- device.cuh

/// The names of a file's functions, each as often as it has overloads.
std::multiset<std::string> device_functions(const std::string& path) {
  std::ifstream file(L2O_SOURCE_DIR "/" + path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::regex definition(
      R"((?:^|\n)(?:L2O_DEVICE [^\n(]*?|using emulation::(?!Place))(\w+)(?:\(|;))");
  std::multiset<std::string> names;
  for (std::sregex_iterator match(text.begin(), text.end(), definition), end; match != end;
       ++match) {
    names.insert((*match)[1]);
  }
  return names;
}
TEST(Shadow, HasTheFunctionsOfDeviceCuh) {
  std::multiset<std::string> real = device_functions("kernels/cuda/device.cuh");
  EXPECT_GT(real.size(), 20U);
  EXPECT_EQ(real.erase("shared_address"), 1U);  // PTX's own
  EXPECT_EQ(device_functions("tests/emulation/shadow/kernels/cuda/device.cuh"), real);
}

}  // namespace
}  // namespace l2o::cuda
