// Reference activations and derivatives in float64, shared by several op-case files.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/op_args.h"

namespace l2o::test {

inline double activation_of(Activation activation, double z) {
  switch (activation) {
    case Activation::kIdentity:
      return z;
    case Activation::kSigmoid:
      return 1.0 / (1.0 + std::exp(-z));
    case Activation::kRelu:
      return z > 0.0 ? z : 0.0;
    case Activation::kTanh:
      return std::tanh(z);
    case Activation::kElu:
      return z > 0.0 ? z : std::exp(z) - 1.0;
    case Activation::kSoftplus:
      return std::log(1.0 + std::exp(z));
    case Activation::kGelu:
      return 0.5 * z * (1.0 + std::erf(z / std::sqrt(2.0)));
  }
  return std::nan("");
}

/// Central differences, so as not to share code with the derivative under test; exact where ReLU
/// and ELU have a kink.
inline double slope_of(Activation activation, double z) {
  if (activation == Activation::kRelu) return z > 0.0 ? 1.0 : 0.0;
  if (activation == Activation::kElu && z >= 0.0) return 1.0;
  constexpr double kStep = 1e-5;
  return (activation_of(activation, z + kStep) - activation_of(activation, z - kStep)) /
         (2.0 * kStep);
}

inline const char* name_of(Activation activation) {
  constexpr const char* kNames[] = {"identity", "sigmoid",  "relu", "tanh",
                                    "elu",      "softplus", "gelu"};
  return kNames[static_cast<int>(activation)];
}

inline constexpr Activation kActivations[] = {
    Activation::kIdentity, Activation::kSigmoid,  Activation::kRelu, Activation::kTanh,
    Activation::kElu,      Activation::kSoftplus, Activation::kGelu};

}  // namespace l2o::test
