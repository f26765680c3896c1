// The backward pass through one step of the LSTM that a replay has kept.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/cuda/lstm_kept.h"
#include "kernels/cuda/lstm_weight_rows.h"
#include "kernels/step_factors.h"

namespace l2o::cuda {

/// One step t of a block of n coordinates; rows as in KeptStep.
struct LstmAdjointArgs {
  LstmWeightRows rows;
  const float* packed = nullptr;  // LstmWeightRows, aligned to 16 bytes
  std::int64_t n = 0;
  int step = 0;                         // t
  UnrollFactors factors;                // of the block's tiles
  const float* gradient = nullptr;      // [n] grad[t+1]
  KeptStep kept;                        // gates: in place, replaced by dz
  const float* state_before = nullptr;  // [S] rows
  float* theta_adjoint = nullptr;       // [1] row, in place: output_scale * lambda[t+2], then [t+1]
  float* output_adjoint = nullptr;      // [outputs] rows, out: d meta-loss / d o
  float* state_adjoint = nullptr;       // [S] rows, in place: after the step, then before it
};

void lstm_adjoint(const LstmAdjointArgs& args, const Device& device);

}  // namespace l2o::cuda
