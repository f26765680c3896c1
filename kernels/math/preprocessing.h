// Inputs of a learned rule, computed from the raw gradient. The moments have their own state, all 0
// at the start; gradients are constants, so nothing is backpropagated through this.
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace l2o {

/// (log|g|/p, sign g) if |g| >= e^-p, else (-1, e^p g): Andrychowicz et al. 2016, appendix A.
/// Distinguishes gradients of very different magnitude; both branches meet at |g| = e^-p, and g = 0
/// gives (-1, 0). An infinite gradient is treated as the largest float32 of its sign: gradients are
/// float32.
template <class T>
L2O_HOST_DEVICE inline void log_and_sign(T gradient, T p, T* output) {
  constexpr T kLargest = T(3.402823466e+38F);
  T magnitude = std::abs(gradient);
  if (magnitude > kLargest) magnitude = kLargest;
  if (magnitude >= std::exp(-p)) {
    output[0] = std::log(magnitude) / p;
    output[1] = gradient > T(0) ? T(1) : T(-1);
  } else {
    output[0] = T(-1);
    output[1] = std::exp(p) * gradient;
  }
}

/// Larger gradients are clamped to this magnitude, so that their squares are finite.
inline constexpr float kLargestMomentGradient = 1e18F;
/// Added to the square roots of second moments.
inline constexpr float kMomentEpsilon = 1e-8F;

template <class T>
L2O_HOST_DEVICE inline T clamped_moment_gradient(T gradient) {
  constexpr T kLargest = T(kLargestMomentGradient);
  return gradient > kLargest ? kLargest : gradient < -kLargest ? -kLargest : gradient;
}

/// The divisor that corrects a running average of `age` values that started at 0: 1 - decay^age.
template <class T>
L2O_HOST_DEVICE inline T bias_correction(double decay, T age) {
  return -std::expm1(age * T(std::log(decay)));
}

/// RNNProp's inputs (Lv, Jiang & Li 2017), without its dense layer: with m and v the averages of g
/// and g^2, both divided by their bias correction, and r = 1 / (sqrt(v) + 1e-8): m r, g r.
/// state [3]: m, v before the correction, age.
template <class T>
L2O_HOST_DEVICE inline void moments(T gradient, T* state, T* output) {
  const T g = clamped_moment_gradient(gradient);
  state[0] = T(0.95) * state[0] + T(0.05) * g;
  state[1] = T(0.95) * state[1] + T(0.05) * g * g;
  state[2] += T(1);
  const T correction = T(1) / bias_correction(0.95, state[2]);
  const T r = T(1) / (std::sqrt(state[1] * correction) + T(kMomentEpsilon));
  output[0] = state[0] * correction * r;
  output[1] = g * r;
}

/// Averages of g and g^2: m and v over about 10 and 20 steps, M and V over 100 and 1000; Adam uses
/// the first and the last (Kingma & Ba 2015). With r and R the inverse roots of v and V, and m, v
/// and V divided by their bias corrections: inputs m r, g r, 3 M R, 0.3 log(r / R).
/// state [5]: m, v, M, V before the corrections, age. Returns Adam's direction m R.
template <class T>
L2O_HOST_DEVICE inline T adam_moments(T gradient, T* state, T* output) {
  const T g = clamped_moment_gradient(gradient);
  state[0] = T(0.9) * state[0] + T(0.1) * g;
  state[1] = T(0.95) * state[1] + T(0.05) * g * g;
  state[2] = T(0.99) * state[2] + T(0.01) * g;
  state[3] = T(0.999) * state[3] + T(0.001) * g * g;
  state[4] += T(1);
  const T m = state[0] / bias_correction(0.9, state[4]);
  const T fast = std::sqrt(state[1] / bias_correction(0.95, state[4])) + T(kMomentEpsilon);
  const T slow = std::sqrt(state[3] / bias_correction(0.999, state[4])) + T(kMomentEpsilon);
  output[0] = m / fast;
  output[1] = g / fast;
  output[2] = T(3) * state[2] / slow;
  output[3] = T(0.3) * std::log(slow / fast);
  return m / slow;
}

}  // namespace l2o
