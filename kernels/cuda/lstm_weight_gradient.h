// The gradient of the weights from one step of the LSTM that lstm_adjoint has gone back through.
#pragma once

#include <cstdint>

#include "kernels/cells/lstm_cell.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/lstm_kept.h"
#include "kernels/op_args.h"

namespace l2o::cuda {

/// Which coordinates of a block make one partial gradient: runs of neighbouring ones, as many for
/// blocks of the same size, whatever the GPU.
struct WeightGradientChunks {
  WeightGradientChunks(std::int64_t block_coordinates, int meta_size);

  std::int64_t most;         ///< partial gradients of a block
  std::int64_t coordinates;  ///< of one, whole tiles
};

/// partials[chunk] += its coordinates' part of d meta-loss / d phi; rows as in KeptStep.
struct LstmWeightGradientArgs {
  LstmConfig lstm;
  std::int64_t n = 0;
  std::int64_t chunk_coordinates = 0;
  KeptStep kept;                          // with dz for gates
  const float* state_before = nullptr;    // [S] rows
  const float* output_adjoint = nullptr;  // [outputs] rows, d meta-loss / d o
  float* partials = nullptr;              // [chunks of n coordinates, P], in place
};

void lstm_weight_gradient(const LstmWeightGradientArgs& args, const Device& device);

}  // namespace l2o::cuda
