// Adam on phi (Kingma & Ba 2015, algorithm 1), in double.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/host_device.h"

namespace l2o {

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
