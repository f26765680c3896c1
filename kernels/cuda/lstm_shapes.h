// The LSTMs that have tensor-core kernels: one class per shape and rule, each compiled separately
// (lstm_shape.cu.in), and how to find it.
#pragma once

#include <cstddef>
#include <tuple>

#include "kernels/cells/cell_list.h"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/lstm_rules.h"
#include "kernels/op_args.h"

namespace l2o::cuda {

/// The ops of an LSTM with its preprocessing and output (lstm_rules.h), at the device's precision.
template <int hidden, int layers, class Rule>
struct TensorCoreLstm {
  /// Whether a single kernel computes the whole unroll backward; it needs more shared memory than
  /// some GPUs have.
  static bool is_fused(const Device& device);
  static std::size_t packed_bytes(const Device& device);
  static void pack(const PackArgs& args, const Device& device);
  static void step(const StepArgs& args, const Device& device);
  static std::size_t unroll_backward_scratch_bytes(const UnrollBackwardArgs& args,
                                                   const Device& device);
  static void unroll_backward(const UnrollBackwardArgs& args, const Device& device);
  /// 0 if one kernel does the whole unroll.
  static ReplayBytes replay_bytes(const CellConfig& cell, const Device& device);
};

// The complete list; it is repeated in cmake/cuda.cmake. A shape is a file of kernels for every
// precision and architecture, whose build takes 10 seconds with one layer and a minute with three,
// so there are few:
// - the paper's rule in every size that its users have asked for;
// - the modulated rule in the two sizes that pay: one layer is enough for it, with 20 units for
//   quality and with 8 if a step has to be cheap. Its other sizes, other pairs of preprocessing and
//   output, and `moments`, whose rules fall behind at long horizons, use the portable kernels.
using TensorCoreLstms =
    std::tuple<TensorCoreLstm<8, 1, LogAndSignRule>, TensorCoreLstm<8, 2, LogAndSignRule>,
               TensorCoreLstm<8, 3, LogAndSignRule>, TensorCoreLstm<16, 1, LogAndSignRule>,
               TensorCoreLstm<16, 2, LogAndSignRule>, TensorCoreLstm<16, 3, LogAndSignRule>,
               TensorCoreLstm<20, 1, LogAndSignRule>, TensorCoreLstm<20, 2, LogAndSignRule>,
               TensorCoreLstm<20, 3, LogAndSignRule>, TensorCoreLstm<32, 1, LogAndSignRule>,
               TensorCoreLstm<32, 2, LogAndSignRule>, TensorCoreLstm<32, 3, LogAndSignRule>,
               TensorCoreLstm<8, 1, ModulatedAdamRule>, TensorCoreLstm<20, 1, ModulatedAdamRule>>;

/// Calls visit(TensorCoreLstm<...>()) for `cell`; returns false if it has none.
template <class Visit>
bool visit_tensor_cores(const CellConfig& cell, const Visit& visit) {
  if (cell.kind != kLstmKind) return false;
  const auto is_it =
      [&]<int hidden, int layers, class Rule>(TensorCoreLstm<hidden, layers, Rule> ops) {
        const LstmConfig& lstm = cell.lstm;
        if (lstm.hidden != hidden || lstm.layers != layers || lstm.input_projection != 0)
          return false;
        if (lstm.preprocessing != Rule::kPreprocessing || lstm.output != Rule::kOutput)
          return false;
        visit(ops);
        return true;
      };
  return std::apply([&](auto... ops) { return (is_it(ops) || ...); }, TensorCoreLstms());
}

}  // namespace l2o::cuda
