// The mapping of the LSTM to fragments of tensor cores (device.cuh describes their layouts).
//
// Rows of a product are coordinates, its columns gates. With g = lane / 4 and t = lane % 4, the
// four lanes with the same g are a quad; a quad computes the coordinates of rows g and g + 8. Units
// come in groups of four, v = 0 .. H/4 - 1, and lane t of a quad has unit 4v + t of every group:
//
// - Columns of a product are the gates i, f of a group's units, then g, o in a second product, so
//   that a lane finds all four gates of its unit in its own sums.
// - Inputs of a product ("slots", the K dimension) are distributed over the quad in the same way: a
//   lane holds h of its own units and one or two more slots. So the lane that computes h also
//   feeds it to the next product, in the layer above or in the next step, and h never leaves the
//   lane's registers.
//
// Slots of a lane, in order: layer 0: h of its units, then the inputs and a 1, distributed over the
// quad: for log_and_sign one slot, x0 | x1 | 1 | 0 for t = 0 .. 3; for four inputs two, x0 | x1 |
// x2 | x3 and 1 | 0 | 0 | 0. Layers above: h of the layer below, own h, then 1 for t = 0 and 0 for
// the others. The 1 is multiplied by the bias.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "kernels/cells/lstm_cell.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/lstm_rules.h"

namespace l2o::cuda {

/// Maximum shared memory per block by compute capability: on the GPUs that have the most (9.0 and
/// 10.0), for which kernels are designed; on other data-center GPUs (8.0); and on all others (8.6,
/// 8.9, 12.0). Whether a kernel fits the current GPU depends on Device::shared_bytes.
inline constexpr std::size_t kSharedBytes90 = std::size_t{227} << 10;
inline constexpr std::size_t kSharedBytes80 = std::size_t{163} << 10;
inline constexpr std::size_t kSharedBytes86 = std::size_t{99} << 10;

/// visit(std::integral_constant<int, k>) for k = 0 .. count - 1.
template <int count, class Visit>
L2O_DEVICE void for_each_index(const Visit& visit) {
  [&]<int... k>(std::integer_sequence<int, k...>) {
    (visit(std::integral_constant<int, k>()), ...);
  }
  (std::make_integer_sequence<int, count>());
}

/// H is a multiple of 4; Rule is one of lstm_rules.h.
template <int kHidden_, int kLayers_, class Rule>
struct LstmGeometry {
  static constexpr int kHidden = kHidden_, kLayers = kLayers_;
  static constexpr int kGroups = kHidden / 4;
  L2O_HOST_DEVICE static constexpr LstmConfig lstm() {
    return {.layers = kLayers,
            .hidden = kHidden,
            .preprocessing = Rule::kPreprocessing,
            .output = Rule::kOutput};
  }
  static constexpr bool kModulated = Rule::kOutput == Output::kModulated;
  static constexpr int kInputs = lstm().inputs(), kOutputs = lstm().outputs();
  static constexpr int kMoments = lstm().preprocessing_state();  // values of a coordinate's state
  static constexpr int kOutputSize = kOutputs * (kHidden + 1);   // w_out and b_out
  static constexpr int kMetaSize = lstm_output_offset(lstm()) + kOutputSize;  // P
  static_assert(kHidden % 4 == 0 && kInputs <= 4);

  // ----------------------------------------------------------------------- inputs of a product
  /// Slots that hold h; the other slots follow them.
  static constexpr int hidden_slots(int layer) { return (layer == 0 ? 1 : 2) * kGroups; }
  /// Whether the 1 of layer 0 needs its own slot because the inputs fill theirs.
  static constexpr bool kBiasHasOwnSlot = kInputs == 4;
  static constexpr int slots(int layer) {
    return hidden_slots(layer) + (layer == 0 && kBiasHasOwnSlot ? 2 : 1);
  }
  // A product with k = 16 uses four slots of every lane, one with k = 8 two.
  static constexpr int k16_products(int layer) { return (slots(layer) + 1) / 4; }
  static constexpr int k8_products(int layer) {
    return (slots(layer) - 4 * k16_products(layer) + 1) / 2;
  }
  /// Pairs of slots, padded to whole products; words of one row of a fragment.
  static constexpr int slot_pairs(int layer) {
    return 2 * k16_products(layer) + k8_products(layer);
  }

  /// Content of slot s of lane t of a quad: input k of the layer below or x, 0 <= k < inputs; own
  /// h, inputs <= k < inputs + H; the 1, k = inputs + H; nothing, -1.
  L2O_HOST_DEVICE static constexpr int input_of_slot(int layer, int t, int s) {
    const int inputs = lstm_layer_layout(lstm(), layer).inputs;
    if (s >= hidden_slots(layer)) {
      const int extra_slot = 4 * (s - hidden_slots(layer)) + t,
                bias_slot = layer == 0 ? kInputs : 0;
      return extra_slot < bias_slot ? extra_slot : extra_slot == bias_slot ? inputs + kHidden : -1;
    }
    if (layer == 0) return inputs + 4 * s + t;
    return s < kGroups ? 4 * s + t : inputs + 4 * (s - kGroups) + t;
  }

  /// Index in phi of the weight of such an input in z of a gate of a unit.
  L2O_HOST_DEVICE static constexpr int phi_index(int layer, int gate, int unit, int input) {
    const LstmLayerLayout at = lstm_layer_layout(lstm(), layer);
    const int row = gate * kHidden + unit;
    if (input < at.inputs) return at.weight_ih + row * at.inputs + input;
    if (input < at.inputs + kHidden) return at.weight_hh + row * kHidden + input - at.inputs;
    return at.bias + row;
  }

  /// The gate and the unit (of group v) of column k of dz, 0 <= k < 16: i, f of the four units,
  /// then their g, o.
  L2O_HOST_DEVICE static constexpr int gate_of_column(int k) { return 2 * (k / 8) + k % 2; }
  L2O_HOST_DEVICE static constexpr int unit_of_column(int v, int k) { return 4 * v + k % 8 / 2; }

  // ------------------------------------------------------------------------------ packed weights
  // Words in the order in which lanes read them. Forward, per layer and group: for every product
  // with k = 16 [lane][4] (columns i, f: b0, b1; columns g, o: b0, b1), then for one with k = 8
  // [lane][2]. Backward, per layer and group (16 columns of dz are the K dimension), tiles of 8
  // slot columns (slots 2j, 2j + 1 of every lane): for two tiles [lane][4], for a last one
  // [lane][2].
  static constexpr int group_words(int layer) {
    return kWarpSize * (4 * k16_products(layer) + 2 * k8_products(layer));
  }
  static constexpr int slot_tiles(int layer) { return (hidden_slots(layer) + 1) / 2; }
  static constexpr int group_backward_words(int layer) { return kWarpSize * 2 * slot_tiles(layer); }

  static constexpr int forward_offset(int layer) {
    int words = 0;
    for (int below = 0; below < layer; ++below) words += kGroups * group_words(below);
    return words;
  }
  static constexpr int backward_offset(int layer) {
    int words = 0;
    for (int below = 0; below < layer; ++below) words += kGroups * group_backward_words(below);
    return words;
  }
  static constexpr int kForwardWords = forward_offset(kLayers);
  static constexpr int kBackwardWords = backward_offset(kLayers);
};

}  // namespace l2o::cuda
