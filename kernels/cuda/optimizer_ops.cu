// The ops of update rules: selects the kernels for each cell.
//
//   LSTM of a shape and rule in lstm_shapes.h    tensor cores, at the device's precision
//   any other LSTM with its own kernels          lstm_portable.h, float32
//   other LSTMs, hand-designed rules             generic_driver.h, float32
#include "kernels/cells/cell_list.h"
#include "kernels/cuda/generic_driver.h"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/lstm_portable.h"
#include "kernels/cuda/lstm_shapes.h"

namespace l2o::cuda {
RuleKernels rule_kernels(const CellConfig& cell, const Device& device) {
  bool is_fused = false;
  if (visit_tensor_cores(cell, [&](auto lstm) { is_fused = lstm.is_fused(device); })) {
    return is_fused ? RuleKernels::kTensorCores : RuleKernels::kTensorCoresInSegments;
  }
  return has_lstm_kernels(cell) ? RuleKernels::kPortable : RuleKernels::kGeneric;
}

Precision precision_of(const CellConfig& cell, const Device& device) {
  return visit_tensor_cores(cell, [](auto) {}) ? device.precision : Precision::kF32;
}

std::size_t packed_bytes(const CellConfig& cell, const Device& device) {
  std::size_t bytes = 0;
  if (visit_tensor_cores(cell, [&](auto lstm) { bytes = lstm.packed_bytes(device); })) return bytes;
  return has_lstm_kernels(cell) ? portable::packed_bytes(cell.lstm)
                                : generic::packed_bytes(cell, device);
}

void pack(const PackArgs& args, const Device& device) {
  if (visit_tensor_cores(args.cell, [&](auto lstm) { lstm.pack(args, device); })) return;
  has_lstm_kernels(args.cell) ? portable::pack(args, device) : generic::pack(args, device);
}

void step(const StepArgs& args, const Device& device) {
  if (visit_tensor_cores(args.cell, [&](auto lstm) { lstm.step(args, device); })) return;
  has_lstm_kernels(args.cell) ? portable::step(args, device) : generic::step(args, device);
}

std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, const Device& device) {
  std::size_t bytes = 0;
  if (visit_tensor_cores(args.cell, [&](auto lstm) {
        bytes = lstm.unroll_backward_scratch_bytes(args, device);
      })) {
    return bytes;
  }
  return has_lstm_kernels(args.cell) ? portable::unroll_backward_scratch_bytes(args, device)
                                     : generic::unroll_backward_scratch_bytes(args, device);
}

void unroll_backward(const UnrollBackwardArgs& args, const Device& device) {
  if (visit_tensor_cores(args.cell, [&](auto lstm) { lstm.unroll_backward(args, device); })) return;
  has_lstm_kernels(args.cell) ? portable::unroll_backward(args, device)
                              : generic::unroll_backward(args, device);
}

ReplayBytes replay_bytes(const CellConfig& cell, const Device& device) {
  ReplayBytes bytes;
  if (visit_tensor_cores(cell, [&](auto lstm) { bytes = lstm.replay_bytes(cell, device); }))
    return bytes;
  return has_lstm_kernels(cell) ? portable::replay_bytes(cell, device)
                                : generic::replay_bytes(cell, device);
}

}  // namespace l2o::cuda
