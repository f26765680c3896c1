// Runs any cell of cell_list.h, a thread a coordinate: the hand-designed rules, LSTMs without
// layers, and whatever has no kernels of its own. packed is phi itself; the state is float32,
// [tile][S][32]. LSTMs with layers are refused: they have kernels of their own, and their arrays
// would cost every cell gigabytes of memory that a GPU keeps for its threads.
#pragma once

#include <cstddef>

#include "kernels/cuda/launchers.h"

namespace l2o::cuda::generic {

std::size_t packed_bytes(const CellConfig& cell, const Device& device);
void pack(const PackArgs& args, const Device& device);
void step(const StepArgs& args, const Device& device);

/// Of what replays kReplayCoordinates coordinates at a time.
ReplayBytes replay_bytes(const CellConfig& cell, const Device& device);
std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, const Device& device);
void unroll_backward(const UnrollBackwardArgs& args, const Device& device);

}  // namespace l2o::cuda::generic
