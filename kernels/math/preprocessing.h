// What a learned rule reads instead of the raw gradient.
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace l2o {

/// (log|g|/p, sign g) if |g| >= e^-p, else (-1, e^p g): Andrychowicz et al. 2016, appendix A.
/// Keeps gradients of very different size apart; both branches meet at |g| = e^-p, and g = 0 gives
/// (-1, 0). An infinite gradient counts as the largest float32 of its sign: gradients are float32.
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

}  // namespace l2o
