// Scalar functions for the work between the backward pass of an unroll and the meta-update.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/math/meta_adam.h"

namespace l2o {

/// Converts a coordinate's weight from a meta-loss of f to one of log f: d(log f) = df / f. Below
/// `floor` the logarithm is continued linearly, hence the constant divisor.
L2O_HOST_DEVICE inline float log_loss_weight(float weight, float loss, float floor) {
  return weight / (loss < floor ? floor : loss);
}

/// The sum over m of weights[m] gradients[m * stride], each clipped to clip_norm; a negative norm
/// marks a gradient to leave out.
L2O_HOST_DEVICE inline float combined_gradient(const float* gradients, std::int64_t stride,
                                               const float* weights, const float* norms, int count,
                                               float clip_norm) {
  double sum = 0.0;
  for (int m = 0; m < count; ++m) {
    if (norms[m] < 0.0F) continue;
    const double scale = clip_scale(double{norms[m]}, clip_norm);
    sum += scale * double{weights[m]} * double{gradients[m * stride]};
  }
  return static_cast<float>(sum);
}

}  // namespace l2o
