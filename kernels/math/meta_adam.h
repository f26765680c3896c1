// Adam on phi (Kingma & Ba 2015, algorithm 1), in double: how the meta-update treats a gradient of
// a given norm and updates one parameter.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/host_device.h"

namespace l2o {

/// The factor by which clipping to clip_norm (0: no clipping) scales a gradient of norm `norm`.
L2O_HOST_DEVICE inline double clip_scale(double norm, float clip_norm) {
  return clip_norm > 0.0F && norm > double{clip_norm} ? double{clip_norm} / norm : 1.0;
}

/// Whether phi may be updated with a gradient. A gradient whose square overflows the second moment
/// is as bad as an infinite one: the moment would stay infinite and phi would never move again. The
/// negation catches NaN.
L2O_HOST_DEVICE inline bool is_usable_gradient(double norm, double scale) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return !(norm * scale * norm * scale > kLargest) && norm <= std::numeric_limits<double>::max();
}

/// One update, the same for all parameters.
struct MetaAdam {
  double beta1, beta2, epsilon, learning_rate;
  double correction1, correction2;  // bias corrections of the moments

  /// `gradient` is already clipped.
  L2O_HOST_DEVICE void update(double gradient, float& parameter, float& first_moment,
                              float& second_moment) const {
    const double first = beta1 * double{first_moment} + (1.0 - beta1) * gradient;
    const double second = beta2 * double{second_moment} + (1.0 - beta2) * gradient * gradient;
    const double step = first / correction1 / (std::sqrt(second / correction2) + epsilon);
    first_moment = static_cast<float>(first);
    second_moment = static_cast<float>(second);
    parameter = static_cast<float>(double{parameter} - learning_rate * step);
  }
};

/// Update number `updates`, counted from 1.
L2O_HOST_DEVICE inline MetaAdam meta_adam(float beta1, float beta2, float epsilon,
                                          float learning_rate, std::int64_t updates) {
  const auto count = static_cast<double>(updates);
  return {beta1,
          beta2,
          epsilon,
          learning_rate,
          1.0 - std::pow(double{beta1}, count),
          1.0 - std::pow(double{beta2}, count)};
}

}  // namespace l2o
