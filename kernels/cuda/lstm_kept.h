// What the replay of an unroll keeps of a step for the way back: float32 rows, the coordinates of a
// block side by side. Coordinate i is i numbers further on, the next row `columns`; rows start on
// 16 bytes.
#pragma once

#include <cstdint>

#include "kernels/op_args.h"

namespace l2o::cuda {

/// Columns come in whole groups of so many, so that a thread may take several tiles side by side
/// without asking which of them there are. Behind the last coordinate stands anything.
inline constexpr int kColumnGroup = 4 * kTile;

struct KeptStep {
  std::int64_t columns = 0;    ///< from a row to the next; a multiple of kColumnGroup
  float* inputs = nullptr;     ///< [inputs][columns] what the first layer read besides h
  float* direction = nullptr;  ///< [1][columns] Adam's, of the modulated output
  float* gates = nullptr;      ///< [L, 4H][columns] activated, in phi's order: i, f, g, o
  float* state = nullptr;      ///< [2 L H][columns] h and c after the step, as the state holds them
};

}  // namespace l2o::cuda
