// Runs any cell of cell_list.h, one thread per coordinate: the hand-designed rules, LSTMs without
// layers, and any rule without its own kernels. packed is phi itself; the state is float32,
// [tile][S][32]. LSTMs with layers are rejected: they have their own kernels, and their arrays
// would cost every cell gigabytes of memory that a GPU reserves for its threads.
#pragma once

#include <cstddef>

#include "kernels/cuda/launchers.h"

namespace l2o::cuda::generic {

std::size_t packed_bytes(const CellConfig& cell, const Device& device);
void pack(const PackArgs& args, const Device& device);
void step(const StepArgs& args, const Device& device);

/// Scratch for replaying kReplayCoordinates coordinates at a time.
ReplayBytes replay_bytes(const CellConfig& cell, const Device& device);
std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, const Device& device);
void unroll_backward(const UnrollBackwardArgs& args, const Device& device);

}  // namespace l2o::cuda::generic
