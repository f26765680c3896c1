// The implementation of the ops of one tensor-core shape (declared in lstm_shapes.h).
//
// The unroll backward is a single kernel if a block of it fits into the GPU's shared memory, and
// otherwise goes through device memory (lstm_segments.h), replayed by the same step.
#pragma once

#include <type_traits>

#include "kernels/cuda/lstm_pack.cuh"
#include "kernels/cuda/lstm_portable.h"
#include "kernels/cuda/lstm_segments.h"
#include "kernels/cuda/lstm_shapes.h"
#include "kernels/cuda/lstm_step.cuh"
#include "kernels/cuda/lstm_unroll_backward.cuh"

namespace l2o::cuda {

/// One shape of a rule at one precision.
template <int hidden, int layers, class Rule, Precision precision>
struct LstmAtPrecision {
  using Geometry = LstmGeometry<hidden, layers, Rule>;
  using Packed = PackedLstm<Geometry, precision>;
  using Unroll = LstmUnroll<Geometry, precision>;
  static constexpr Precision kPrecision = precision;

  /// Whether the fused kernel fits on any GPU, and whether it fits on this one.
  static constexpr bool kFusible = Unroll::kSharedBytes <= kSharedBytes90;
  static bool is_fused(const Device& device) {
    return kFusible && Unroll::kSharedBytes <= device.shared_bytes;
  }
  /// Offset of the weights read by the backward pass through device memory, after those of tensor
  /// cores.
  static constexpr std::size_t kRowsOffset = 4 * std::size_t{Packed::kPaddedWords};
};

/// Calls visit(LstmAtPrecision<hidden, layers, Rule, precision>()) for the device's precision.
template <int hidden, int layers, class Rule, class Visit>
auto visit_precision(const Device& device, const Visit& visit) {
  switch (device.precision) {
    case Precision::kF32:
      return visit(LstmAtPrecision<hidden, layers, Rule, Precision::kF32>());
    case Precision::kMixed:
      return visit(LstmAtPrecision<hidden, layers, Rule, Precision::kMixed>());
    case Precision::kHalf:
      break;
  }
  return visit(LstmAtPrecision<hidden, layers, Rule, Precision::kHalf>());
}

template <int hidden, int layers, class Rule>
bool TensorCoreLstm<hidden, layers, Rule>::is_fused(const Device& device) {
  return visit_precision<hidden, layers, Rule>(device,
                                               [&](auto lstm) { return lstm.is_fused(device); });
}

template <int hidden, int layers, class Rule>
std::size_t TensorCoreLstm<hidden, layers, Rule>::packed_bytes(const Device& device) {
  return visit_precision<hidden, layers, Rule>(device, [&](auto lstm) {
    return lstm.kRowsOffset +
           (lstm.is_fused(device) ? 0 : portable::packed_bytes(decltype(lstm)::Geometry::lstm()));
  });
}

template <int hidden, int layers, class Rule>
void TensorCoreLstm<hidden, layers, Rule>::pack(const PackArgs& args, const Device& device) {
  visit_precision<hidden, layers, Rule>(device, [&](auto lstm) {
    using Lstm = decltype(lstm);
    lstm_pack<typename Lstm::Geometry, Lstm::kPrecision>(args, device);
    if (lstm.is_fused(device)) return;
    PackArgs rows = args;
    rows.packed = static_cast<std::byte*>(args.packed) + Lstm::kRowsOffset;
    portable::pack(rows, device);
  });
}

template <int hidden, int layers, class Rule>
void TensorCoreLstm<hidden, layers, Rule>::step(const StepArgs& args, const Device& device) {
  visit_precision<hidden, layers, Rule>(device, [&](auto lstm) {
    using Lstm = decltype(lstm);
    lstm_step<typename Lstm::Geometry, Lstm::kPrecision>(args, {}, device);
  });
}

template <int hidden, int layers, class Rule>
std::size_t TensorCoreLstm<hidden, layers, Rule>::unroll_backward_scratch_bytes(
    const UnrollBackwardArgs& args, const Device& device) {
  return visit_precision<hidden, layers, Rule>(device, [&](auto lstm) {
    using Lstm = decltype(lstm);
    return lstm.is_fused(device)
               ? LstmUnrollPlan<typename Lstm::Geometry, Lstm::kPrecision>(args, device)
                     .scratch_bytes
               : segmented_unroll_backward_scratch_bytes(args, Lstm::kPrecision);
  });
}

template <int hidden, int layers, class Rule>
void TensorCoreLstm<hidden, layers, Rule>::unroll_backward(const UnrollBackwardArgs& args,
                                                           const Device& device) {
  visit_precision<hidden, layers, Rule>(device, [&](auto lstm) {
    using Lstm = decltype(lstm);
    using Geometry = typename Lstm::Geometry;
    if constexpr (Lstm::kFusible) {
      if (lstm.is_fused(device)) {
        lstm_unroll_backward<Geometry, Lstm::kPrecision>(args, device);
        return;
      }
    }
    const auto* packed = static_cast<const std::byte*>(args.packed);
    const auto replay_step = [&](const ReplayStep& step) {
      lstm_step<Geometry, Lstm::kPrecision>({.cell = args.cell,
                                             .n = step.n,
                                             .packed = packed,
                                             .gradient = step.gradient,
                                             .state = step.state,
                                             .theta = nullptr},
                                            step.kept == nullptr ? KeptStep{} : *step.kept, device);
    };
    segmented_unroll_backward(
        args,
        {.precision = Lstm::kPrecision,
         .weights = reinterpret_cast<const float*>(packed + Lstm::kRowsOffset),
         .step = replay_step},
        device);
  });
}

template <int hidden, int layers, class Rule>
ReplayBytes TensorCoreLstm<hidden, layers, Rule>::replay_bytes(const CellConfig& cell,
                                                               const Device& device) {
  return visit_precision<hidden, layers, Rule>(device, [&](auto lstm) {
    return lstm.is_fused(device) ? ReplayBytes{} : segmented_replay_bytes(cell, lstm.kPrecision);
  });
}

}  // namespace l2o::cuda
