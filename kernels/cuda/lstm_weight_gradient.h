// The gradient of the weights for one step of the LSTM after lstm_adjoint.
#pragma once

#include <cstdint>

#include "kernels/cells/lstm_cell.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/lstm_kept.h"
#include "kernels/op_args.h"

namespace l2o::cuda {

/// Divides the coordinates of a block into runs of adjacent ones, each with its own partial
/// gradient; the number of runs depends only on the size of the block, not on the GPU.
struct WeightGradientChunks {
  WeightGradientChunks(std::int64_t block_coordinates, int meta_size);

  std::int64_t max_chunks;   ///< maximum number of partial gradients of a block
  std::int64_t coordinates;  ///< of each, whole tiles
};

/// partials[chunk] += its coordinates' part of d meta-loss / d phi; rows as in KeptStep.
struct LstmWeightGradientArgs {
  LstmConfig lstm;
  std::int64_t n = 0;
  std::int64_t chunk_coordinates = 0;
  KeptStep kept;                          // with dz in place of the gates
  const float* state_before = nullptr;    // [S] rows
  const float* output_adjoint = nullptr;  // [outputs] rows, d meta-loss / d o
  float* partials = nullptr;              // [chunks of n coordinates, P], in place
};

void lstm_weight_gradient(const LstmWeightGradientArgs& args, const Device& device);

}  // namespace l2o::cuda
