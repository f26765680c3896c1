// The LSTM without tensor cores: any hidden size, 1 to 3 layers, any preprocessing and output; all
// of it in float32, with the state [tile][S][kTile] as on the CPU.
#pragma once

#include <cstddef>

#include "kernels/cuda/launchers.h"

namespace l2o::cuda::portable {

/// packed holds LstmWeightRows; it is read in units of 16 bytes.
std::size_t packed_bytes(const LstmConfig& lstm);
void pack(const PackArgs& args, const Device& device);
void step(const StepArgs& args, const Device& device);

std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, const Device& device);
void unroll_backward(const UnrollBackwardArgs& args, const Device& device);
ReplayBytes replay_bytes(const CellConfig& cell, const Device& device);

}  // namespace l2o::cuda::portable
