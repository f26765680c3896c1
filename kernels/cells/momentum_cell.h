// Heavy-ball momentum (Polyak 1964) in the form of PyTorch's SGD(momentum): the learning rate is
// outside the velocity,
//   v' = momentum v + g,   update = -learning_rate v'.
#pragma once

#include <array>

#include "kernels/cells/cell.h"

namespace l2o {

struct MomentumCell {
  static constexpr const char* kName = "momentum";
  static constexpr std::array<HyperParameter, 2> kHyper = {
      {{"learning_rate", 0.01F}, {"momentum", 0.9F}}};

  /// v
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig&) { return 1; }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig&) { return 0; }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* /*meta*/, T gradient,
                                   T* state) {
    state[0] = T(config.hyper[1]) * state[0] + gradient;
    return -T(config.hyper[0]) * state[0];
  }
};

}  // namespace l2o
