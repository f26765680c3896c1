// Activations on vectors of coordinates: short minimax polynomials, with a relative error below
// 1e-6 (tests/kernels/simd_activations_test.cpp). The coefficients are minimax fits by iteratively
// reweighted least squares in float64. NaN inputs give NaN.
#if defined(L2O_KERNELS_CPU_SIMD_ACTIVATIONS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef L2O_KERNELS_CPU_SIMD_ACTIVATIONS_INL_H_
#undef L2O_KERNELS_CPU_SIMD_ACTIVATIONS_INL_H_
#else
#define L2O_KERNELS_CPU_SIMD_ACTIVATIONS_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/host_device.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<Tag>;
using Vec = hn::Vec<Tag>;
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag()));
/// 32 vector registers rather than 16.
inline constexpr bool kManyRegisters = HWY_TARGET <= HWY_AVX3 || HWY_TARGET == HWY_NEON;

HWY_INLINE Vec broadcast(float value) { return hn::Set(Tag(), value); }

/// min(max(value, low), high), NaN stays NaN: given a NaN operand, x86 returns the second operand,
/// others return the number.
HWY_INLINE Vec clamp(Vec value, float low, float high) {
  const Vec clamped = hn::Min(broadcast(high), hn::Max(broadcast(low), value));
#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128 && HWY_TARGET != HWY_SCALAR
  return clamped;
#else
  return hn::IfThenElse(hn::IsNaN(value), value, clamped);
#endif
}

/// c[0] + x c[1] + ... + x^(n-1) c[n-1].
template <int n>
HWY_INLINE Vec polynomial(Vec x, const float (&c)[n]) {
  Vec sum = broadcast(c[n - 1]);
  L2O_UNROLL
  for (int k = n - 2; k >= 0; --k) sum = hn::MulAdd(sum, x, broadcast(c[k]));
  return sum;
}

/// Adding and subtracting this constant rounds a float of small magnitude to an integer k; the low
/// bits of the sum are k + 127, the exponent field of 2^k.
inline constexpr float kRoundToExponent = 12582912.0F + 127.0F;  // 1.5 * 2^23 + 127

/// Beyond this, a sigmoid or a tanh is 0 or +-1 to within a millionth of a float's last bit.
inline constexpr float kMaxExponent = 40.0F;

/// z = k + fraction with integer k and fraction in [-1/2, 1/2]; power = 2^k.
struct Exponent {
  Vec fraction, power;
};
HWY_INLINE Exponent split_exponent(Vec z) {
  z = clamp(z, -kMaxExponent, kMaxExponent);
  const Vec rounded = hn::Add(z, broadcast(kRoundToExponent));
  return {hn::Sub(z, hn::Sub(rounded, broadcast(kRoundToExponent))),
          hn::BitCast(Tag(), hn::ShiftLeft<23>(hn::BitCast(IntTag(), rounded)))};
}

inline constexpr float kLog2E = 1.44269504088896340736F;

// Activations are returned as fractions, so that a product of two of them costs one division. Their
// argument is an exponent of 2; the packed weights include the factor.

// 2^f on [-1/2, 1/2], relative error 7.5e-8.
inline constexpr float kPower[] = {1.0000001192092896F,   0.6931469440460205F,
                                   0.24022120237350464F,  0.05550713092088699F,
                                   0.009675540961325169F, 0.0013276472454890609F};

/// 2^z.
HWY_INLINE Vec exp2(Vec z) {
  const Exponent e = split_exponent(z);
  return hn::Mul(polynomial(e.fraction, kPower), e.power);
}

/// 1 + 2^z, whose reciprocal is the sigmoid of x for z = -x log2(e).
HWY_INLINE Vec sigmoid_denominator(Vec z) {
  const Exponent e = split_exponent(z);
  return hn::MulAdd(polynomial(e.fraction, kPower), e.power, broadcast(1.0F));
}

/// n = 2^z - 1: n / (n + 2) is the tanh of x for z = 2 x log2(e). With z = k + f it is
/// 2^k (2^f - 1) + (2^k - 1), which keeps its relative accuracy for small z.
HWY_INLINE Vec tanh_numerator(Vec z) {
  // (2^f - 1) / f on [-1/2, 1/2]; gives tanh a relative error of 4.3e-7.
  constexpr float kPowerLessOne[] = {0.6931471228599548F, 0.24022360146045685F,
                                     0.05550665035843849F, 0.009665781632065773F,
                                     0.001326687983237207F};
  const Exponent e = split_exponent(z);
  return hn::MulAdd(polynomial(e.fraction, kPowerLessOne), hn::Mul(e.fraction, e.power),
                    hn::Sub(e.power, broadcast(1.0F)));
}
HWY_INLINE Vec tanh_denominator(Vec numerator) { return hn::Add(numerator, broadcast(2.0F)); }

HWY_INLINE Vec tanh(Vec x) {
  const Vec numerator = tanh_numerator(hn::Mul(x, broadcast(2.0F * kLog2E)));
  return hn::Div(numerator, tanh_denominator(numerator));
}

/// Natural logarithm of a positive number, denormals included.
HWY_INLINE Vec log_of_positive(Vec x) {
  // log(1 + r) / r on [-1/4, 1/2], relative error 2.7e-8.
  constexpr float kLog[] = {1.0F,
                            -0.5000006556510925F,
                            0.3333359360694885F,
                            -0.2499321848154068F,
                            0.1997591257095337F,
                            -0.16824312508106232F,
                            0.1499449759721756F,
                            -0.12076721340417862F,
                            0.05411175638437271F};
  constexpr float kLn2 = 0.69314718055994530942F;
  const IntTag integers;
  const auto denormal = hn::Lt(x, broadcast(1.17549435e-38F));
  x = hn::IfThenElse(denormal, hn::Mul(x, broadcast(16777216.0F)), x);  // 2^24
  // x = 2^exponent (1 + r), 1 + r in [3/4, 3/2).
  const auto bits = hn::BitCast(integers, x);
  const auto exponent = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(integers, 0x3f400000)));
  const Vec r =
      hn::Sub(hn::BitCast(Tag(), hn::Sub(bits, hn::ShiftLeft<23>(exponent))), broadcast(1.0F));
  const Vec shift = hn::IfThenElseZero(denormal, broadcast(24.0F));
  return hn::MulAdd(hn::Sub(hn::ConvertTo(Tag(), exponent), shift), broadcast(kLn2),
                    hn::Mul(polynomial(r, kLog), r));
}

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
