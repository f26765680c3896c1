// The LSTMs that have tensor-core kernels: one class per shape, compiled by itself
// (lstm_shape.cu.in), and how to find it.
#pragma once

#include <cstddef>
#include <iterator>
#include <utility>

#include "kernels/cells/cell_list.h"
#include "kernels/cuda/launchers.h"
#include "kernels/op_args.h"

namespace l2o::cuda {

// Named in cmake/cuda.cmake as well.
inline constexpr int kTensorCoreHidden[] = {8, 16, 20, 32};
inline constexpr int kTensorCoreLayers[] = {1, 2, 3};

/// The ops of the LSTM with log_and_sign, at the device's precision.
template <int hidden, int layers>
struct TensorCoreLstm {
  static std::size_t packed_bytes(const Device& device);
  static void pack(const PackArgs& args, const Device& device);
  static void step(const StepArgs& args, const Device& device);
  static std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args,
                                                   const Device& device);
  static void unroll_backward(const UnrollBackwardArgs& args, const Device& device);
  /// 0 where one kernel does the whole unroll.
  static ReplayBytes replay_bytes(const CellConfig& cell, const Device& device);
};

/// Calls visit(TensorCoreLstm<hidden, layers>()) for the shape of `cell`; false where it has none.
template <class Visit>
bool visit_tensor_cores(const CellConfig& cell, const Visit& visit) {
  if (cell.kind != kLstmKind || cell.lstm.preprocessing != Preprocessing::kLogAndSign) return false;
  if (cell.lstm.output != Output::kLinear) return false;
  constexpr std::size_t kLayers = std::size(kTensorCoreLayers);
  return [&]<std::size_t... k>(std::index_sequence<k...>) {
    const auto is_shape = [&]<int hidden, int layers>(TensorCoreLstm<hidden, layers> ops) {
      if (cell.lstm.hidden != hidden || cell.lstm.layers != layers) return false;
      visit(ops);
      return true;
    };
    return (is_shape(
                TensorCoreLstm<kTensorCoreHidden[k / kLayers], kTensorCoreLayers[k % kLayers]>()) ||
            ...);
  }
  (std::make_index_sequence<std::size(kTensorCoreHidden) * kLayers>());
}

}  // namespace l2o::cuda
