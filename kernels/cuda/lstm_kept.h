// Data of a step that the replay of an unroll keeps for the backward pass: float32 rows, contiguous
// over the coordinates of a block. Coordinate i is at offset i, the next row `columns` numbers
// later; rows are aligned to 16 bytes.
#pragma once

#include <cstdint>

#include "kernels/op_args.h"

namespace l2o::cuda {

/// The number of columns is a multiple of this, so that a thread may process several adjacent tiles
/// without checking which of them exist. Columns after the last coordinate are undefined.
inline constexpr int kColumnGroup = 4 * kTile;

struct KeptStep {
  std::int64_t columns = 0;    ///< distance between rows; a multiple of kColumnGroup
  float* inputs = nullptr;     ///< [inputs][columns] inputs of the first layer besides h
  float* direction = nullptr;  ///< [1][columns] Adam's, for the modulated output
  float* gates = nullptr;      ///< [L, 4H][columns] activated, in phi's order: i, f, g, o
  float* state = nullptr;      ///< [2 L H][columns] h and c after the step, as stored in the state
};

}  // namespace l2o::cuda
