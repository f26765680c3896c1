// Adam (Kingma & Ba 2015, algorithm 1):
//   m' = beta1 m + (1 - beta1) g,   v' = beta2 v + (1 - beta2) g^2,
//   update = -learning_rate (m' / c1) / (sqrt(v' / c2) + epsilon),
// with the bias corrections c1 = 1 - beta1^t and c2 = 1 - beta2^t. The state holds them as moving
// averages of 1, so that a coordinate needs no step counter.
#pragma once

#include <array>
#include <cmath>

#include "kernels/cells/cell.h"

namespace l2o {

struct AdamCell {
  static constexpr const char* kName = "adam";
  static constexpr std::array<HyperParameter, 4> kHyper = {
      {{"learning_rate", 0.001F}, {"beta1", 0.9F}, {"beta2", 0.999F}, {"epsilon", 1e-8F}}};

  /// m, v, c1, c2
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig&) { return 4; }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig&) { return 0; }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* /*meta*/, T gradient,
                                   T* state) {
    const T beta1 = T(config.hyper[1]), beta2 = T(config.hyper[2]);
    state[0] = beta1 * state[0] + (T(1) - beta1) * gradient;
    state[1] = beta2 * state[1] + (T(1) - beta2) * gradient * gradient;
    state[2] = beta1 * state[2] + (T(1) - beta1);
    state[3] = beta2 * state[3] + (T(1) - beta2);
    const T direction = state[0] / state[2];
    const T size = std::sqrt(state[1] / state[3]);
    return -T(config.hyper[0]) * direction / (size + T(config.hyper[3]));
  }
};

}  // namespace l2o
