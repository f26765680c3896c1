// The cells run by the generic driver: the whole list.
#include "kernels/cuda/generic_driver.h"

#include <type_traits>

#include "kernels/cuda/generic_driver.cuh"

namespace l2o::cuda::generic {

/// The LSTM in this driver: with the constant 0 for layers, its arrays hold only the state of the
/// preprocessing.
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
    using Cell = decltype(cell);
    visitor(std::conditional_t<std::is_same_v<Cell, LstmCell>, LstmWithoutLayers, Cell>{});
  });
}

void refuse_layers(const CellConfig& config) {
  if (!is_layered_lstm(config)) return;
  throw CudaError(cudaErrorInvalidValue, "an LSTM with layers has kernels of its own");
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
  refuse_layers(args.cell);
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
  refuse_layers(args.cell);
  visit(args.cell, [&](auto cell) {
    using Cell = decltype(cell);
    if constexpr (has_meta_parameters<Cell>()) unroll_backward_cell<Cell>(args, device);
  });
}

}  // namespace l2o::cuda::generic
