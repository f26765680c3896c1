// Maps an Activation to functions, so that loops are compiled for each.
#pragma once

#include <cmath>

#include "kernels/math/activation.h"
#include "kernels/op_args.h"

namespace l2o::cpu {

/// Calls visitor(value, slope): value(z) is the activation, slope(y) its derivative at y =
/// value(z). For gelu, whose slope is not a function of y, slope must not be called.
template <class Visitor>
void visit_activation(Activation activation, Visitor&& visitor) {
  switch (activation) {
    case Activation::kIdentity:
      visitor([](float z) { return z; }, [](float) { return 1.0F; });
      return;
    case Activation::kSigmoid:
      visitor([](float z) { return sigmoid(z); }, [](float y) { return sigmoid_slope(y); });
      return;
    case Activation::kRelu:
      visitor([](float z) { return relu(z); }, [](float y) { return relu_slope(y); });
      return;
    case Activation::kTanh:
      visitor([](float z) { return std::tanh(z); }, [](float y) { return tanh_slope(y); });
      return;
    case Activation::kElu:
      visitor([](float z) { return elu(z); }, [](float y) { return elu_slope(y); });
      return;
    case Activation::kSoftplus:
      visitor([](float z) { return softplus(z); }, [](float y) { return softplus_slope(y); });
      return;
    case Activation::kGelu:
      visitor([](float z) { return gelu(z); }, [](float y) { return y; });
      return;
  }
}

}  // namespace l2o::cpu
