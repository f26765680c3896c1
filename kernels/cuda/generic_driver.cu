// The cells run by the generic driver: the whole list.
#include "kernels/cuda/generic_driver.h"

#include <type_traits>

#include "kernels/cuda/generic_driver.cuh"

namespace l2o::cuda::generic {

/// An LSTM without layers: with the constant 0 for their number, its arrays hold only the state of
/// the preprocessing. With layers (and an input projection), a thread's arrays take 10 KB.
struct LstmWithoutLayers {
  L2O_HOST_DEVICE static constexpr CellConfig flat(CellConfig config) {
    config.lstm.layers = 0;
    return config;
  }
  L2O_HOST_DEVICE static constexpr int state_size(const CellConfig& config) {
    return LstmCell::state_size(flat(config));
  }
  template <class T>
  L2O_HOST_DEVICE static T forward(const CellConfig& config, const T* meta, T gradient, T* state) {
    return LstmCell::forward(flat(config), meta, gradient, state);
  }
  template <class T, class Sink>
  L2O_HOST_DEVICE static void backward(const CellConfig& config, const T* meta, T gradient,
                                       const T* state, T update_adjoint, T* state_adjoint,
                                       Sink&& sink) {
    LstmCell::backward(flat(config), meta, gradient, state, update_adjoint, state_adjoint, sink);
  }
};

namespace {

/// Calls visitor(C{}) for the cell C of a configuration.
template <class Visitor>
void visit(const CellConfig& config, const Visitor& visitor) {
  visit_cell(config.kind, [&](auto cell) {
    if constexpr (std::is_same_v<decltype(cell), LstmCell>) {
      if (config.lstm.layers == 0) return visitor(LstmWithoutLayers());
    }
    visitor(cell);
  });
}

void refuse_other_kernels(const CellConfig& config) {
  if (!has_lstm_kernels(config)) return;
  throw CudaError(cudaErrorInvalidValue, "this LSTM has its own kernels");
}

template <class Cell>
constexpr bool has_meta_parameters() {
  return requires(const CellConfig& config, float* values, void (*sink)(int, float)) {
    Cell::backward(config, values, 0.0F, values, 0.0F, values, sink);
  };
}

}  // namespace

std::size_t packed_bytes(const CellConfig& cell, const Device&) {
  return static_cast<std::size_t>(cell_meta_size(cell)) * sizeof(float);
}

void pack(const PackArgs& args, const Device& device) {
  const std::size_t bytes = generic::packed_bytes(args.cell, device);
  if (bytes == 0) return;
  check(cudaMemcpyAsync(args.packed, args.meta, bytes, cudaMemcpyDeviceToDevice, device.stream),
        "packing phi");
}

void step(const StepArgs& args, const Device& device) {
  refuse_other_kernels(args.cell);
  visit(args.cell, [&](auto cell) { step_cell<decltype(cell)>(args, device); });
}

ReplayBytes replay_bytes(const CellConfig& cell, const Device&) {
  const std::size_t bytes =
      sizeof(float) * kReplayCoordinates * static_cast<std::size_t>(cell_state_size(cell));
  return {.per_step = bytes, .per_checkpoint = bytes};
}

std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args, const Device&) {
  return BackwardPlan(args).bytes(args);
}

void unroll_backward(const UnrollBackwardArgs& args, const Device& device) {
  refuse_other_kernels(args.cell);
  visit(args.cell, [&](auto cell) {
    using Cell = decltype(cell);
    if constexpr (has_meta_parameters<Cell>()) unroll_backward_cell<Cell>(args, device);
  });
}

}  // namespace l2o::cuda::generic
