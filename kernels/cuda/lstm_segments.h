// The unroll backward of an LSTM through device memory: the steps of a segment are replayed,
// keeping everything, then differentiated, the last segment first; one block of coordinates at a
// time, which bounds the memory. Supports every shape, and any implementation of the step.
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

/// One step of a block of coordinates; theta is not involved.
struct ReplayStep {
  std::int64_t n = 0;               ///< coordinates of the block
  const float* gradient = nullptr;  ///< [n]
  void* state = nullptr;            ///< their tiles (state_layout.h), in place
  const KeptStep* kept = nullptr;   ///< null: nothing is kept; does not affect the state
};

/// How to repeat the steps of an unroll.
struct LstmReplay {
  Precision precision = Precision::kF32;  ///< of the state
  const float* weights = nullptr;         ///< LstmWeightRows for lstm_adjoint, 16-byte aligned
  std::function<void(const ReplayStep&)> step;
};

void segmented_unroll_backward(const UnrollBackwardArgs& args, const LstmReplay& replay,
                               const Device& device);
std::size_t segmented_unroll_backward_scratch_bytes(const UnrollBackwardArgs& args,
                                                    Precision precision);
ReplayBytes segmented_replay_bytes(const CellConfig& cell, Precision precision);

}  // namespace l2o::cuda
