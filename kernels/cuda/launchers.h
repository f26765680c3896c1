// The launchers of CUDA: one function per op. They queue work on the device's stream and do not
// wait. The arguments are those of kernels/op_args.h, here in device memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/op_list.h"

namespace l2o::cuda {

// void step(const StepArgs& args, const Device& device); and so on; each file has one or a few ops.
#define L2O_DECLARE_LAUNCHER(op, Args) void op(const Args& args, const Device& device);
L2O_FOR_EACH_OP(L2O_DECLARE_LAUNCHER)
#undef L2O_DECLARE_LAUNCHER

// The update rule (optimizer_ops.cu chooses between the implementations).

/// The kernels that run a rule: lstm_shapes.h, lstm_portable.h or generic_driver.h.
enum class RuleKernels {
  kTensorCores,            ///< the unroll backward is a single kernel
  kTensorCoresInSegments,  ///< the unroll backward goes through device memory (lstm_segments.h)
  kPortable,
  kGeneric,
};
RuleKernels rule_kernels(const CellConfig& cell, const Device& device);
/// Precision of the rule's kernels on this device: kF32 unless they use tensor cores.
Precision precision_of(const CellConfig& cell, const Device& device);
std::size_t packed_bytes(const CellConfig& cell, const Device& device);
std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, const Device& device);
/// Replay scratch for kReplayCoordinates coordinates, used to plan the segment length. Both are 0
/// if the kernels keep every step and do not read the segment length.
inline constexpr int kReplayCoordinates = 1 << 16;
ReplayBytes replay_bytes(const CellConfig& cell, const Device& device);

}  // namespace l2o::cuda
