// Activations and their slopes by name; the branch is the same for all threads.
#pragma once

#include <cmath>

#include "kernels/cuda/device.cuh"
#include "kernels/math/activation.h"
#include "kernels/op_args.h"

namespace l2o::cuda {

L2O_DEVICE float activate(Activation activation, float z) {
  switch (activation) {
    case Activation::kIdentity:
      return z;
    case Activation::kSigmoid:
      return sigmoid(z);
    case Activation::kRelu:
      return relu(z);
    case Activation::kTanh:
      return std::tanh(z);
    case Activation::kElu:
      return elu(z);
    case Activation::kSoftplus:
      return softplus(z);
    case Activation::kGelu:
      return gelu(z);
  }
  return z;
}

/// The slope expressed by y = activate(activation, z); requires
/// slope_depends_only_on_output(activation).
L2O_DEVICE float activation_slope(Activation activation, float y) {
  switch (activation) {
    case Activation::kIdentity:
    case Activation::kGelu:
      return 1.0F;
    case Activation::kSigmoid:
      return sigmoid_slope(y);
    case Activation::kRelu:
      return relu_slope(y);
    case Activation::kTanh:
      return tanh_slope(y);
    case Activation::kElu:
      return elu_slope(y);
    case Activation::kSoftplus:
      return softplus_slope(y);
  }
  return 1.0F;
}

}  // namespace l2o::cuda
