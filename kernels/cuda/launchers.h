// The launchers of CUDA: one function per op. They queue work on the device's stream and do not
// wait. The arguments are those of kernels/op_args.h, here in device memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/op_args.h"

namespace l2o::cuda {

// The update rules (optimizer_ops.cu chooses between the implementations).

/// That of the rule's kernels on this device: kF32 for all but the tensor cores'.
Precision precision_of(const CellConfig& cell, const Device& device);
std::size_t packed_bytes(const CellConfig& cell, const Device& device);
void pack(const PackArgs& args, const Device& device);
void step(const StepArgs& args, const Device& device);
std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, const Device& device);
void unroll_backward(const UnrollBackwardArgs& args, const Device& device);
/// Replay scratch of kReplayCoordinates coordinates, which the segment length is planned by. Both 0
/// where the kernels keep every step and do not read the segment length.
struct ReplayBytes {
  std::size_t per_step = 0;
  std::size_t per_checkpoint = 0;
};
inline constexpr int kReplayCoordinates = 1 << 16;
ReplayBytes replay_bytes(const CellConfig& cell, const Device& device);

void meta_update(const MetaUpdateArgs& args, const Device& device);

// Gradients that are not finite (not_finite.cu).
void count_not_finite(const CountNotFiniteArgs& args, const Device& device);
void zero_not_finite(const ZeroNotFiniteArgs& args, const Device& device);

// What optimizees are made of; one file each.
void fill_random(const FillRandomArgs& args, const Device& device);
void gemm(const GemmArgs& args, const Device& device);
void bias_activation(const BiasActivationArgs& args, const Device& device);
void bias_activation_backward(const BiasActivationBackwardArgs& args, const Device& device);
void softmax_cross_entropy(const SoftmaxCrossEntropyArgs& args, const Device& device);
void gather_minibatch(const GatherMinibatchArgs& args, const Device& device);
void quadratic(const QuadraticArgs& args, const Device& device);

}  // namespace l2o::cuda
