// Activations and preprocessing against float64, on every instruction set of this CPU.
#include "kernels/cpu/simd_targets.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/simd_activations_test.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After the headers that select the target.
#include <bit>
#include <cstdint>
#include <vector>

#include "kernels/cpu/simd_preprocessing-inl.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

// Each processes a block of 16 floats, a multiple of every vector length.
void sigmoid_16(const float* x, float* result) {
  for (int i = 0; i < 16; i += kLanes) {
    const Vec z = hn::Mul(hn::LoadU(Tag(), x + i), broadcast(-kLog2E));
    hn::StoreU(hn::Div(broadcast(1.0F), sigmoid_denominator(z)), Tag(), result + i);
  }
}
void tanh_16(const float* x, float* result) {
  for (int i = 0; i < 16; i += kLanes) {
    const Vec z = hn::Mul(hn::LoadU(Tag(), x + i), broadcast(2.0F * kLog2E));
    const Vec numerator = tanh_numerator(z);
    hn::StoreU(hn::Div(numerator, tanh_denominator(numerator)), Tag(), result + i);
  }
}
void log_16(const float* x, float* result) {
  for (int i = 0; i < 16; i += kLanes) {
    hn::StoreU(log_of_positive(hn::LoadU(Tag(), x + i)), Tag(), result + i);
  }
}
void log_and_sign_16(float p, const float* x, float* magnitudes, float* signs) {
  const LogAndSign log_and_sign(p);
  for (int i = 0; i < 16; i += kLanes) {
    Vec magnitude, sign;
    log_and_sign(hn::LoadU(Tag(), x + i), magnitude, sign);
    hn::StoreU(magnitude, Tag(), magnitudes + i);
    hn::StoreU(sign, Tag(), signs + i);
  }
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>
#include <limits>

#include "kernels/math/preprocessing.h"
#include "tests/kernels/simd_target_test.h"
#include "tests/reference/lstm_reference.h"
#include "tests/support/tolerances.h"

namespace l2o::cpu {

HWY_EXPORT(sigmoid_16);
HWY_EXPORT(tanh_16);
HWY_EXPORT(log_16);
HWY_EXPORT(log_and_sign_16);

namespace {

class SimdActivationsTest : public SimdTargetTest {};
INSTANTIATE_TEST_SUITE_P(EveryTarget, SimdActivationsTest, testing::ValuesIn(cpu::simd_targets()),
                         simd_target_test_name);

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Applies function16 to any number of values.
template <class Function16>
std::vector<float> apply(const Function16& function16, std::vector<float> x) {
  const std::size_t size = x.size();
  x.resize((size + 15) / 16 * 16, 1.0F);
  std::vector<float> result(x.size());
  for (std::size_t i = 0; i < x.size(); i += 16) function16(x.data() + i, result.data() + i);
  result.resize(size);
  return result;
}

/// Evenly spaced values in [-limit, limit], and values approaching 0 from both sides down to the
/// denormals.
std::vector<float> sweep(float limit) {
  std::vector<float> x;
  for (int i = -200000; i <= 200000; ++i) x.push_back(limit * static_cast<float>(i) / 200000.0F);
  for (std::uint32_t bits = 1; bits < 0x3f800000U; bits += 40009) {  // up to 1
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  return x;
}

TEST_P(SimdActivationsTest, SigmoidIsAccurate) {
  const std::vector<float> x = sweep(27.0F);
  const std::vector<float> y = apply(HWY_DYNAMIC_DISPATCH(sigmoid_16), x);
  double worst = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = 1.0 / (1.0 + std::exp(-static_cast<double>(x[i])));
    // -x log2(e), rounded to float, has an error of |x| 2^-24, which is the caller's rounding.
    const double rounding = std::abs(static_cast<double>(x[i])) * std::ldexp(1.0, -23);
    worst = std::max(worst, std::abs(y[i] / expected - 1.0) - rounding);
  }
  EXPECT_LE(worst, tolerance::kActivation);
}

TEST_P(SimdActivationsTest, TanhIsAccurate) {
  const std::vector<float> x = sweep(20.0F);
  const std::vector<float> y = apply(HWY_DYNAMIC_DISPATCH(tanh_16), x);
  double worst = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::abs(x[i]) < std::numeric_limits<float>::min()) {
      EXPECT_NEAR(y[i], x[i], 3e-45F);  // two units in the last place of a denormal
    } else {
      worst = std::max(worst, std::abs(y[i] / std::tanh(static_cast<double>(x[i])) - 1.0));
    }
  }
  EXPECT_LE(worst, tolerance::kActivation);
}

TEST_P(SimdActivationsTest, ExtremesAndNan) {
  const float largest = std::numeric_limits<float>::max();
  const std::vector<float> x = {0.0F,      50.0F,  1e10F,    largest,
                                kInfinity, -50.0F, -largest, -kInfinity};
  const std::vector<float> expected_sigmoid = {0.5F, 1.0F, 1.0F, 1.0F, 1.0F, 0.0F, 0.0F, 0.0F};
  const std::vector<float> expected_tanh = {0.0F, 1.0F, 1.0F, 1.0F, 1.0F, -1.0F, -1.0F, -1.0F};
  const std::vector<float> s = apply(HWY_DYNAMIC_DISPATCH(sigmoid_16), x);
  const std::vector<float> t = apply(HWY_DYNAMIC_DISPATCH(tanh_16), x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(s[i], expected_sigmoid[i], 1e-11F) << x[i];
    EXPECT_GE(s[i], 0.0F);
    EXPECT_EQ(t[i], expected_tanh[i]) << x[i];
  }
  // NaN stays NaN, whatever its payload and sign.
  for (const std::uint32_t bits : {0x7fc00000U, 0x7fc00001U, 0xffffffffU, 0x7fc12345U}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(apply(HWY_DYNAMIC_DISPATCH(sigmoid_16), {nan})[0])) << bits;
    EXPECT_TRUE(std::isnan(apply(HWY_DYNAMIC_DISPATCH(tanh_16), {nan})[0])) << bits;
  }
}

TEST_P(SimdActivationsTest, LogarithmIsAccurate) {
  std::vector<float> x;
  // Evenly spaced bit patterns of positive floats cover all magnitudes.
  for (std::uint32_t bits = 1; bits < 0x7f800000U; bits += 20011) {
    x.push_back(std::bit_cast<float>(bits));
  }
  for (int i = -50000; i <= 50000; ++i) x.push_back(1.0F + static_cast<float>(i) * 1e-5F);
  const std::vector<float> y = apply(HWY_DYNAMIC_DISPATCH(log_16), x);
  double worst = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = std::log(static_cast<double>(x[i]));
    worst = std::max(worst, std::abs(y[i] - expected) / std::max(std::abs(expected), 1e-30));
  }
  EXPECT_LE(worst, tolerance::kActivation);
}

TEST_P(SimdActivationsTest, LogAndSignFollowsItsFormula) {
  for (const float p : {1.0F, 5.0F, 10.0F, 60.0F}) {
    const auto run = [&](float x, float& magnitude, float& sign) {
      float in[16], magnitudes[16], signs[16];
      std::fill_n(in, 16, x);
      HWY_DYNAMIC_DISPATCH(log_and_sign_16)(p, in, magnitudes, signs);
      magnitude = magnitudes[15];
      sign = signs[15];
    };
    float magnitude = 0.0F, sign = 0.0F;
    reference::Lstm lstm;
    lstm.p = p;
    reference::Vector no_state(static_cast<std::size_t>(lstm.lstm_state_size()));
    double direction = 0.0;
    float x = 1e-45F;
    while (x < 1e38F) {
      for (const float signed_x : {x, -x}) {
        const reference::Vector expected =
            reference::preprocess(lstm, signed_x, no_state, direction);
        run(signed_x, magnitude, sign);
        EXPECT_NEAR(magnitude, expected[0], tolerance::kPreprocessing * std::max(1.0F, 10.0F / p));
        EXPECT_NEAR(sign, expected[1], tolerance::kPreprocessing);
      }
      x *= 1.7F;
    }
    run(0.0F, magnitude, sign);
    EXPECT_EQ(magnitude, -1.0F);
    EXPECT_EQ(sign, 0.0F);
    // Infinity is treated as the largest number, as in the portable cell.
    for (const float g : {kInfinity, -kInfinity}) {
      run(g, magnitude, sign);
      float portable[2];
      log_and_sign(g, p, portable);
      EXPECT_NEAR(magnitude, 88.722839F / p, tolerance::kPreprocessing * std::max(1.0F, 10.0F / p));
      EXPECT_NEAR(portable[0], 88.722839F / p,
                  tolerance::kPreprocessing * std::max(1.0F, 10.0F / p));
      EXPECT_EQ(sign, std::copysign(1.0F, g));
      EXPECT_EQ(portable[1], sign);
    }
    run(std::numeric_limits<float>::quiet_NaN(), magnitude, sign);
    EXPECT_TRUE(std::isnan(magnitude));
    EXPECT_TRUE(std::isnan(sign));
  }
}

}  // namespace
}  // namespace l2o::cpu
#endif
