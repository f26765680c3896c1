// The coordinate state in device memory: [tile][value][kTile], each tile contiguous, as on every
// backend; but on tensor cores an LSTM value may have two bytes.
#pragma once

#include <cstdint>

#include "kernels/cells/cell_list.h"
#include "kernels/op_args.h"
#include "kernels/precision.h"

namespace l2o::cuda {

/// Bytes per number of the LSTM's state.
struct StateNumbers {
  int hidden = 4;
  int cell = 4;
};

constexpr StateNumbers state_numbers(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return {4, 4};
    case Precision::kMixed:
      return {2, 4};
    case Precision::kHalf:
      return {2, 2};
  }
  return {};
}

/// The row of a value: kTile adjacent numbers of the same size.
struct StateRow {
  std::int64_t offset;  ///< in bytes, from the start of the tile
  int bytes;            ///< of one number: 4 is a float32, 2 a float16
};

/// Row of value s, 0 <= s < cell_state_size(cell). Layer by layer, the LSTM has H values of h, then
/// H of c; the state of its preprocessing, and all values of other cells, are float32.
constexpr StateRow state_row(const CellConfig& cell, Precision precision, int s) {
  if (!has_lstm_kernels(cell)) return {std::int64_t{s} * kTile * 4, 4};
  const StateNumbers numbers = state_numbers(precision);
  const int own = lstm_state_size(cell.lstm);
  if (s >= own) {
    const std::int64_t bytes = std::int64_t{own / 2} * (numbers.hidden + numbers.cell);
    return {(bytes + std::int64_t{s - own} * 4) * kTile, 4};
  }
  const int layer = s / (2 * cell.lstm.hidden), value = s % (2 * cell.lstm.hidden);
  const int cell_count = value < cell.lstm.hidden ? 0 : value - cell.lstm.hidden;
  const int hidden_count = value < cell.lstm.hidden ? value : cell.lstm.hidden;
  const std::int64_t before = std::int64_t{layer} * cell.lstm.hidden;
  return {((before + hidden_count) * numbers.hidden + (before + cell_count) * numbers.cell) * kTile,
          value < cell.lstm.hidden ? numbers.hidden : numbers.cell};
}

/// Bytes of a complete tile.
inline std::int64_t state_tile_bytes(const CellConfig& cell, Precision precision) {
  const int size = cell_state_size(cell);
  if (size == 0) return 0;
  const StateRow last = state_row(cell, precision, size - 1);
  return last.offset + std::int64_t{last.bytes} * kTile;
}

}  // namespace l2o::cuda
