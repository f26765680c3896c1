// RMSprop (Tieleman & Hinton 2012, lecture 6.5) with the defaults of Torch7's optim package, which
// the paper's baselines use, and of PyTorch: decay 0.99, epsilon 1e-8 outside the root.
//   s' = decay s + (1 - decay) g^2,   update = -learning_rate g / (sqrt(s') + epsilon).
#pragma once

#include <array>
#include <cmath>

#include "kernels/cells/cell.h"

namespace l2o {

struct RmspropCell {
  static constexpr const char* kName = "rmsprop";
  static constexpr std::array<HyperParameter, 3> kHyper = {
      {{"learning_rate", 0.01F}, {"decay", 0.99F}, {"epsilon", 1e-8F}}};

  /// s
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig&) { return 1; }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig&) { return 0; }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* /*meta*/, T gradient,
                                   T* state) {
    const T decay = T(config.hyper[1]);
    state[0] = decay * state[0] + (T(1) - decay) * gradient * gradient;
    return -T(config.hyper[0]) * gradient / (std::sqrt(state[0]) + T(config.hyper[2]));
  }
};

}  // namespace l2o
