// Activations of an optimizee's layers, and their slopes by what they gave: slope(y) is the
// derivative at the z where y = activation(z).
#pragma once

#include <cmath>

#include "kernels/host_device.h"

namespace l2o {

L2O_HOST_DEVICE inline float sigmoid(float z) { return 1.0F / (1.0F + std::exp(-z)); }
L2O_HOST_DEVICE inline float sigmoid_slope(float y) { return y * (1.0F - y); }

/// z < 0 rather than z > 0, so that a NaN stays one.
L2O_HOST_DEVICE inline float relu(float z) { return z < 0.0F ? 0.0F : z; }
L2O_HOST_DEVICE inline float relu_slope(float y) { return y > 0.0F ? 1.0F : 0.0F; }

L2O_HOST_DEVICE inline float tanh_slope(float y) { return 1.0F - y * y; }

}  // namespace l2o
