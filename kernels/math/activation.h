// Activations of an optimizee's layers, and their slopes as functions of the output: slope(y) is
// the derivative at the z with y = activation(z).
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace l2o {

L2O_HOST_DEVICE inline float sigmoid(float z) { return 1.0F / (1.0F + std::exp(-z)); }
L2O_HOST_DEVICE inline float sigmoid_slope(float y) { return y * (1.0F - y); }

/// z < 0 rather than z > 0, so that NaN stays NaN.
L2O_HOST_DEVICE inline float relu(float z) { return z < 0.0F ? 0.0F : z; }
/// Converts the comparison: a conditional might be compiled to a branch.
L2O_HOST_DEVICE inline float relu_slope(float y) { return static_cast<float>(y > 0.0F); }

L2O_HOST_DEVICE inline float tanh_slope(float y) { return 1.0F - y * y; }

L2O_HOST_DEVICE inline float elu(float z) { return z < 0.0F ? std::expm1(z) : z; }
L2O_HOST_DEVICE inline float elu_slope(float y) { return y < 0.0F ? y + 1.0F : 1.0F; }

/// log(1 + e^z), using the exponential that cannot overflow.
L2O_HOST_DEVICE inline float softplus(float z) {
  return (z > 0.0F ? z : 0.0F) + std::log1p(std::exp(-std::fabs(z)));
}
/// sigmoid(z) = 1 - e^-y.
L2O_HOST_DEVICE inline float softplus_slope(float y) { return -std::expm1(-y); }

/// z P(X < z) for X ~ N(0, 1) (Hendrycks & Gimpel 2016); its slope is not a function of its value.
L2O_HOST_DEVICE inline float gelu(float z) { return 0.5F * z * (1.0F + std::erf(z * 0.70710678F)); }
L2O_HOST_DEVICE inline float gelu_slope_at(float z) {
  const float density = 0.39894228F * std::exp(-0.5F * z * z);
  return 0.5F * (1.0F + std::erf(z * 0.70710678F)) + z * density;
}

}  // namespace l2o
