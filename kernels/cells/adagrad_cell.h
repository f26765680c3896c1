// Adagrad (Duchi, Hazan, Singer 2011), with PyTorch's and Torch7's epsilon:
//   s' = s + g^2,   update = -learning_rate g / (sqrt(s') + epsilon).
#pragma once

#include <array>
#include <cmath>

#include "kernels/cells/cell.h"

namespace l2o {

struct AdagradCell {
  static constexpr const char* kName = "adagrad";
  static constexpr std::array<HyperParameter, 2> kHyper = {
      {{"learning_rate", 0.01F}, {"epsilon", 1e-10F}}};

  /// s
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig&) { return 1; }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig&) { return 0; }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* /*meta*/, T gradient,
                                   T* state) {
    state[0] += gradient * gradient;
    return -T(config.hyper[0]) * gradient / (std::sqrt(state[0]) + T(config.hyper[1]));
  }
};

}  // namespace l2o
