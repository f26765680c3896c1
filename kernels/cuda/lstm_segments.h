// The unroll backward of an LSTM through device memory: a segment of steps is replayed with
// everything kept, then gone back through, the last segment first; for a block of coordinates after
// the other, which bounds the memory. Serves every shape, and any way to take a step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "kernels/cuda/device.h"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/lstm_kept.h"
#include "kernels/op_args.h"
#include "kernels/precision.h"

namespace l2o::cuda {

/// One step of a block of coordinates; theta has no part in it.
struct ReplayStep {
  std::int64_t n = 0;               ///< coordinates of the block
  const float* gradient = nullptr;  ///< [n]
  void* state = nullptr;            ///< their tiles (state_layout.h), in place
  const KeptStep* kept = nullptr;   ///< null: nothing is kept. The state comes out the same
};

/// How the steps of an unroll are taken once more.
struct LstmReplay {
  Precision precision = Precision::kF32;  ///< of the state
  const float* weights = nullptr;         ///< LstmWeightRows, on 16 bytes: what the way back reads
  std::function<void(const ReplayStep&)> step;
};

void segmented_unroll_backward(const UnrollBackwardArgs& args, const LstmReplay& replay,
                               const Device& device);
std::size_t segmented_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args,
                                                    Precision precision);
ReplayBytes segmented_replay_bytes(const CellConfig& cell, Precision precision);

}  // namespace l2o::cuda
