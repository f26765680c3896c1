// Nesterov's accelerated gradient in the form of Sutskever, Martens, Dahl, Hinton 2013 ("On the
// importance of initialization and momentum in deep learning"), rewritten in terms of the point at
// which the gradient is evaluated, as in PyTorch's SGD(nesterov=True):
//   v' = momentum v + g,   update = -learning_rate (g + momentum v').
#pragma once

#include <array>

#include "kernels/cells/cell.h"

namespace l2o {

struct NagCell {
  static constexpr const char* kName = "nag";
  static constexpr std::array<HyperParameter, 2> kHyper = {
      {{"learning_rate", 0.01F}, {"momentum", 0.9F}}};

  /// v
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig&) { return 1; }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig&) { return 0; }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* /*meta*/, T gradient,
                                   T* state) {
    const T momentum = T(config.hyper[1]);
    state[0] = momentum * state[0] + gradient;
    return -T(config.hyper[0]) * (gradient + momentum * state[0]);
  }
};

}  // namespace l2o
