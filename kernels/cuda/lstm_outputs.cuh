// Functions of the LSTM's outputs o (kernels/cells/cell.h: Output), and their slopes.
#pragma once

#include "kernels/cells/lstm_cell.h"
#include "kernels/cuda/device.cuh"

namespace l2o::cuda {

/// NaN stays NaN.
L2O_DEVICE float clipped_modulation(float o) {
  constexpr float kLowest = LstmCell::kLowestModulation, kHighest = LstmCell::kHighestModulation;
  return o < kLowest ? kLowest : o > kHighest ? kHighest : o;
}

/// exp(clip(o, -6, 3)).
L2O_DEVICE float modulation_of(float o) {
  constexpr float kLog2E = 1.44269504088896340736F;
  return approximate_exp2(kLog2E * clipped_modulation(o));
}

/// The derivative with respect to o; 0 where o is clipped.
L2O_DEVICE float modulation_slope(float o) {
  return clipped_modulation(o) == o ? modulation_of(o) : 0.0F;
}

}  // namespace l2o::cuda
