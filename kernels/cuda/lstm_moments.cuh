// The moments used as inputs of the LSTM instead of a gradient, in float32 with the functions of
// the special-function unit; formulas and sources in kernels/math/preprocessing.h.
#pragma once

#include <cmath>

#include "kernels/cuda/device.cuh"
#include "kernels/math/preprocessing.h"

namespace l2o::cuda {

/// 1 - decay^age, from the logarithm of the decay; keeps its relative accuracy if it is small.
L2O_DEVICE float bias_correction(float log_decay, float age) {
  return -std::expm1(age * log_decay);
}

/// decay old + share value, with share = 1 - decay.
L2O_DEVICE float average(float decay, float share, float old, float value) {
  return fused(share, value, decay * old);
}

/// Root of a second moment, plus epsilon. A moment below 1e-38 is treated as 0; epsilon dominates
/// it anyway.
L2O_DEVICE float moment_root(float moment, float correction) {
  return approximate_square_root(moment * approximate_reciprocal(correction)) + kMomentEpsilon;
}

inline constexpr float kLn090 = -0.105360515657826301F;   // ln(0.9)
inline constexpr float kLn095 = -0.0512932943875505334F;  // ln(0.95)
inline constexpr float kLn0999 = -0.00100050033358353350F;

/// state [3]: m, v, age, in place.
L2O_DEVICE void moments_of(float gradient, float* state, float* inputs) {
  const float g = clamped_moment_gradient(gradient);
  state[0] = average(0.95F, 0.05F, state[0], g);
  state[1] = average(0.95F, 0.05F, state[1], g * g);
  state[2] += 1.0F;
  const float correction = bias_correction(kLn095, state[2]);
  const float r = approximate_reciprocal(moment_root(state[1], correction));
  inputs[0] = state[0] * approximate_reciprocal(correction) * r;
  inputs[1] = g * r;
}

/// state [5]: m, v, M, V, age, in place; inputs [4]. Returns Adam's direction.
L2O_DEVICE float adam_moments_of(float gradient, float* state, float* inputs) {
  const float g = clamped_moment_gradient(gradient), square = g * g;
  state[0] = average(0.9F, 0.1F, state[0], g);
  state[1] = average(0.95F, 0.05F, state[1], square);
  state[2] = average(0.99F, 0.01F, state[2], g);
  state[3] = average(0.999F, 0.001F, state[3], square);
  state[4] += 1.0F;
  const float age = state[4];
  const float m = state[0] * approximate_reciprocal(bias_correction(kLn090, age));
  const float r = approximate_reciprocal(moment_root(state[1], bias_correction(kLn095, age)));
  const float slow_root = moment_root(state[3], bias_correction(kLn0999, age));
  const float slow_r = approximate_reciprocal(slow_root);
  constexpr float kLogFactor = 0.3F * 0.693147180559945309F;
  inputs[0] = m * r;
  inputs[1] = g * r;
  inputs[2] = 3.0F * state[2] * slow_r;
  inputs[3] = kLogFactor * approximate_log2(slow_root * r);
  return m * slow_r;
}

}  // namespace l2o::cuda
