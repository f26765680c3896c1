// Preprocessing on a tile of coordinates; formulas and sources in kernels/math/preprocessing.h.
#if defined(L2O_KERNELS_CPU_SIMD_PREPROCESSING_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef L2O_KERNELS_CPU_SIMD_PREPROCESSING_INL_H_
#undef L2O_KERNELS_CPU_SIMD_PREPROCESSING_INL_H_
#else
#define L2O_KERNELS_CPU_SIMD_PREPROCESSING_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/simd_activations-inl.h"
#include "kernels/math/preprocessing.h"
#include "kernels/op_args.h"

HWY_BEFORE_NAMESPACE();
namespace l2o::cpu::HWY_NAMESPACE {

/// log_and_sign with its constants (kernels/math/preprocessing.h).
struct LogAndSign {
  static constexpr float kLargest = std::numeric_limits<float>::max();

  explicit LogAndSign(float p) : inverse_p(1.0F / p), threshold(std::exp(-p)), slope(std::exp(p)) {}

  HWY_INLINE void operator()(Vec gradient, Vec& magnitude, Vec& sign) const {
    const Vec absolute = hn::Abs(gradient);
    const auto large = hn::Ge(absolute, broadcast(threshold));
    const auto nan = hn::IsNaN(gradient);
    const Vec finite = hn::Min(absolute, broadcast(kLargest));
    magnitude = hn::IfThenElse(large, hn::Mul(log_of_positive(finite), broadcast(inverse_p)),
                               broadcast(-1.0F));
    sign = hn::IfThenElse(large, hn::CopySign(broadcast(1.0F), gradient),
                          hn::Mul(gradient, broadcast(slope)));
    magnitude = hn::IfThenElse(nan, gradient, magnitude);
  }

  float inverse_p, threshold, slope;
};

/// decay old + share value, where share = 1 - decay.
HWY_INLINE Vec average(float decay, float share, Vec old, Vec value) {
  return hn::MulAdd(broadcast(share), value, hn::Mul(broadcast(decay), old));
}

/// 1 / (1 - decay^age); 1 - decay^age keeps its relative accuracy when it is small.
HWY_INLINE Vec inverse_correction(double decay, Vec age) {
  const Vec exponent = hn::Mul(age, broadcast(static_cast<float>(std::log2(decay))));
  return hn::Div(broadcast(-1.0F), tanh_numerator(exponent));
}

/// The inverse bias corrections of up to three averages. Coordinates almost always have the same
/// age, so the corrections of the last age are cached: the same bits, computed once.
template <int kCount>
class InverseCorrections {
 public:
  explicit InverseCorrections(const double (&decays)[kCount]) {
    std::copy_n(decays, kCount, decays_);
  }

  HWY_INLINE void operator()(Vec age, Vec (&inverse)[kCount]) {
    const float first = hn::GetLane(age);
    const bool is_one_age = hn::AllTrue(Tag(), hn::Eq(age, broadcast(first)));
    if (is_one_age && first == age_) {
      for (int i = 0; i < kCount; ++i) inverse[i] = broadcast(kept_[i]);
      return;
    }
    for (int i = 0; i < kCount; ++i) inverse[i] = inverse_correction(decays_[i], age);
    if (!is_one_age) return;
    age_ = first;
    for (int i = 0; i < kCount; ++i) kept_[i] = hn::GetLane(inverse[i]);
  }

 private:
  double decays_[kCount];
  float age_ = -1.0F;  // matches no coordinate: ages after a step are at least 1
  float kept_[kCount] = {};
};

/// Square root of a corrected second moment, plus epsilon.
HWY_INLINE Vec moment_root(Vec moment, Vec inverse) {
  return hn::Add(hn::Sqrt(hn::Mul(moment, inverse)), broadcast(kMomentEpsilon));
}

/// Processes one vector of coordinates at the pointers; state and inputs are rows, kTile apart.
HWY_INLINE void moments(Vec gradient, InverseCorrections<1>& corrections, float* state,
                        float* inputs) {
  const Tag d;
  const Vec g = clamp(gradient, -kLargestMomentGradient, kLargestMomentGradient);
  const Vec m = average(0.95F, 0.05F, hn::Load(d, state), g);
  const Vec v = average(0.95F, 0.05F, hn::Load(d, state + kTile), hn::Mul(g, g));
  const Vec age = hn::Add(hn::Load(d, state + 2 * kTile), broadcast(1.0F));
  hn::Store(m, d, state);
  hn::Store(v, d, state + kTile);
  hn::Store(age, d, state + 2 * kTile);
  Vec inverse[1];
  corrections(age, inverse);
  const Vec r = hn::Div(broadcast(1.0F), moment_root(v, inverse[0]));
  hn::Store(hn::Mul(hn::Mul(m, inverse[0]), r), d, inputs);
  hn::Store(hn::Mul(g, r), d, inputs + kTile);
}

/// Likewise; returns Adam's direction.
HWY_INLINE Vec adam_moments(Vec gradient, InverseCorrections<3>& corrections, float* state,
                            float* inputs) {
  const Tag d;
  const Vec g = clamp(gradient, -kLargestMomentGradient, kLargestMomentGradient);
  const Vec square = hn::Mul(g, g);
  const Vec m = average(0.9F, 0.1F, hn::Load(d, state), g);
  const Vec v = average(0.95F, 0.05F, hn::Load(d, state + kTile), square);
  const Vec slow_m = average(0.99F, 0.01F, hn::Load(d, state + 2 * kTile), g);
  const Vec slow_v = average(0.999F, 0.001F, hn::Load(d, state + 3 * kTile), square);
  const Vec age = hn::Add(hn::Load(d, state + 4 * kTile), broadcast(1.0F));
  hn::Store(m, d, state);
  hn::Store(v, d, state + kTile);
  hn::Store(slow_m, d, state + 2 * kTile);
  hn::Store(slow_v, d, state + 3 * kTile);
  hn::Store(age, d, state + 4 * kTile);
  Vec inverse[3];
  corrections(age, inverse);
  const Vec one = broadcast(1.0F);
  const Vec corrected = hn::Mul(m, inverse[0]);
  const Vec r = hn::Div(one, moment_root(v, inverse[1]));
  const Vec slow_root = moment_root(slow_v, inverse[2]);
  const Vec slow_r = hn::Div(one, slow_root);
  hn::Store(hn::Mul(corrected, r), d, inputs);
  hn::Store(hn::Mul(g, r), d, inputs + kTile);
  hn::Store(hn::Mul(hn::Mul(broadcast(3.0F), slow_m), slow_r), d, inputs + 2 * kTile);
  hn::Store(hn::Mul(broadcast(0.3F), log_of_positive(hn::Mul(slow_root, r))), d,
            inputs + 3 * kTile);
  return hn::Mul(corrected, slow_r);
}

/// The preprocessing of a rule.
class TilePreprocessing {
 public:
  explicit TilePreprocessing(const LstmConfig& lstm)
      : kind_(lstm.preprocessing), log_and_sign_(lstm.p) {}

  /// One row of gradients -> inputs [inputs] rows; updates its state [preprocessing_state] rows.
  /// Adam's direction, if there is one, is stored in the row `direction`.
  HWY_INLINE void operator()(const float* gradient, float* state, float* inputs, float* direction) {
    const Tag d;
    for (int lane = 0; lane < kTile; lane += kLanes) {
      const Vec g = hn::Load(d, gradient + lane);
      switch (kind_) {
        case Preprocessing::kIdentity:
          hn::Store(g, d, inputs + lane);
          break;
        case Preprocessing::kLogAndSign: {
          Vec magnitude, sign;
          log_and_sign_(g, magnitude, sign);
          hn::Store(magnitude, d, inputs + lane);
          hn::Store(sign, d, inputs + kTile + lane);
          break;
        }
        case Preprocessing::kMoments:
          moments(g, moments_, state + lane, inputs + lane);
          break;
        case Preprocessing::kAdamMoments:
          hn::Store(adam_moments(g, adam_moments_, state + lane, inputs + lane), d,
                    direction + lane);
          break;
      }
    }
  }

 private:
  Preprocessing kind_;
  LogAndSign log_and_sign_;
  InverseCorrections<1> moments_{{0.95}};
  InverseCorrections<3> adam_moments_{{0.9, 0.95, 0.999}};
};

}  // namespace l2o::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
