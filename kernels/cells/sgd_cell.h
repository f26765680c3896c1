// Gradient descent: update = -learning_rate * g.
#pragma once

#include <array>

#include "kernels/cells/cell.h"

namespace l2o {

struct SgdCell {
  static constexpr const char* kName = "sgd";
  static constexpr std::array<HyperParameter, 1> kHyper = {{{"learning_rate", 0.01F}}};

  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig&) { return 0; }
  L2O_HOST_DEVICE static constexpr int meta_size(const CellConfig&) { return 0; }

  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* /*meta*/, T gradient,
                                   T* /*state*/) {
    return -T(config.hyper[0]) * gradient;
  }
};

}  // namespace l2o
