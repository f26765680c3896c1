// Scalar functions for the work between the backward pass of an unroll and the meta-update.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/host_device.h"

namespace l2o {

/// Converts a coordinate's weight from a meta-loss of f to one of log f: d(log f) = df / f. Below
/// `floor` the logarithm is continued linearly, hence the constant divisor.
L2O_HOST_DEVICE inline float log_loss_weight(float weight, float loss, float floor) {
  return weight / (loss < floor ? floor : loss);
}

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

/// Replaces the norm of a gradient that is excluded from the meta-update.
inline constexpr float kLeftOut = -1.0F;
L2O_HOST_DEVICE inline bool is_left_out(float norm) { return norm < 0.0F; }

/// One element of the combined gradient: the sum over m of weights[m] gradients[m * stride], each
/// clipped to clip_norm (0: no clipping) and without those that are left out.
L2O_HOST_DEVICE inline float combined_gradient_element(const float* gradients, std::int64_t stride,
                                                       const float* weights, const float* norms,
                                                       int count, float clip_norm) {
  double sum = 0.0;
  for (int m = 0; m < count; ++m) {
    if (is_left_out(norms[m])) continue;
    const double scale = clip_scale(double{norms[m]}, clip_norm);
    sum += scale * double{weights[m]} * double{gradients[m * stride]};
  }
  return static_cast<float>(sum);
}

}  // namespace l2o
