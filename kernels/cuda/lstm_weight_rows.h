// phi in the order in which kernels without tensor cores read it.
//
//   w_out [outputs][H], b_out [outputs], padded to whole groups of 4
//   layer by layer, a row per input: those from below, own h, the 1 of the bias
//   kRowBlock - 1 rows of zeros, read by the last block of the backward pass
//
// A row [units][4 gates] has the weights of its input for the gates of every unit, so that a thread
// loads the weights of one unit with one access of 16 bytes; the units are padded with zeros to
// whole blocks.
#pragma once

#include "kernels/cells/lstm_cell.h"

namespace l2o::cuda {

struct LstmWeightRows {
  static constexpr int kUnitBlock = 4;  ///< units whose gates are computed together
  static constexpr int kRowBlock = 8;   ///< inputs whose adjoints are computed together

  LstmConfig lstm;  ///< 1 layer or more

  /// Length of a row.
  L2O_HOST_DEVICE constexpr int row_size() const { return 4 * padded(lstm.hidden); }
  /// Number of a layer's inputs from below.
  L2O_HOST_DEVICE constexpr int below(int layer) const {
    return layer == 0 ? lstm.inputs() : lstm.hidden;
  }
  L2O_HOST_DEVICE constexpr int rows(int layer) const { return below(layer) + lstm.hidden + 1; }
  L2O_HOST_DEVICE constexpr int first_row(int layer) const {
    return layer == 0 ? 0 : rows(0) + (layer - 1) * rows(1);
  }
  /// Size of w_out and b_out, which are at offset 0.
  L2O_HOST_DEVICE constexpr int output_size() const { return lstm.outputs() * (lstm.hidden + 1); }
  /// Offset of a layer's first row.
  L2O_HOST_DEVICE constexpr int offset(int layer) const {
    return padded(output_size()) + first_row(layer) * row_size();
  }
  /// Total size.
  L2O_HOST_DEVICE constexpr int size() const {
    return offset(lstm.layers) + (kRowBlock - 1) * row_size();
  }

  /// Index in phi of the number at `position`, 0 <= position < size(); -1 for padding, which is 0.
  L2O_HOST_DEVICE constexpr int phi_index(int position) const {
    const int hidden = lstm.hidden;
    if (position < offset(0)) {
      return position < output_size() ? lstm_output_offset(lstm) + position : -1;
    }
    int layer = 0;
    while (position >= offset(layer + 1)) {
      if (++layer == lstm.layers) return -1;
    }
    const int row = (position - offset(layer)) / row_size();
    const int unit = (position - offset(layer)) % row_size() / 4, gate = position % 4;
    if (unit >= hidden) return -1;
    const LstmLayerLayout at = lstm_layer_layout(lstm, layer);
    const int phi_row = gate * hidden + unit;
    if (row < at.inputs) return at.weight_ih + phi_row * at.inputs + row;
    if (row < at.inputs + hidden) return at.weight_hh + phi_row * hidden + row - at.inputs;
    return at.bias + phi_row;
  }

 private:
  L2O_HOST_DEVICE static constexpr int padded(int count) {
    return (count + kUnitBlock - 1) / kUnitBlock * kUnitBlock;
  }
};

}  // namespace l2o::cuda
