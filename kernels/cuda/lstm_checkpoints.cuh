// The recompute checkpoints of the unroll backward on tensor cores: h and c before every step, in
// scratch of the blocks that run concurrently. They are written in the order of the steps and read
// in reverse order, so that a cache keeps the data that is needed next.
//
// For each step: per layer h [group][part], then c [group] (for a lane's two rows: two float32, or
// a pair of float16), each word contiguous over all threads. For a modulated rule also the results
// of its moments, which the backward pass could not compute without another replay: the inputs
// [part] of the step, and the derivatives of the update with respect to the outputs, one of a
// quad's four in each lane.
#pragma once

#include "kernels/cuda/lstm_forward.cuh"

namespace l2o::cuda {

template <class Geometry, Precision precision>
struct LstmCheckpoints {
  using Forward = LstmForward<Geometry, precision, 1>;
  using Policy = typename Forward::Policy;
  using Hidden = typename Forward::Hidden;
  static constexpr int kGroups = Geometry::kGroups, kRows = Forward::kRows;
  static constexpr int kThreads = 256;
  static constexpr int kHiddenWords = kGroups * Policy::kHiddenParts;
  static constexpr int kCellWords = kGroups * (Policy::kHalfCell ? 1 : 2);
  static constexpr int kLayerWords = (kHiddenWords + kCellWords) * kThreads;
  static constexpr int kInputsOffset = Geometry::kLayers * kLayerWords;
  static constexpr int kSlopesOffset = kInputsOffset + Policy::kHiddenParts * kThreads;
  /// Words of all threads, from one step to the next.
  static constexpr int kStepWords = Geometry::kModulated ? kSlopesOffset + kThreads : kInputsOffset;
  /// Whether there is a checkpoint of the end of an unroll, with h of the layers below the top,
  /// read by the layer above. With two layers it stays in registers between the steps of the
  /// backward pass; with three it would need too many.
  static constexpr bool kSavesFinalState = Geometry::kLayers > 2;
  /// Words per block for a whole unroll.
  L2O_HOST_DEVICE static constexpr std::int64_t words(int unroll_length) {
    return std::int64_t{unroll_length + (kSavesFinalState ? 1 : 0)} * kStepWords;
  }

  // `step`: the thread's first word of a step; `words`: its first word of a layer, possibly in a
  // copy.

  L2O_DEVICE static void save_hidden(std::uint32_t* words, const Hidden& hidden) {
#pragma unroll
    for (int v = 0; v < kGroups; ++v) {
#pragma unroll
      for (int part = 0; part < Policy::kHiddenParts; ++part) {
        words[(v * Policy::kHiddenParts + part) * kThreads] = hidden.unit[v][part][0];
      }
    }
  }
  L2O_DEVICE static void load_hidden(const std::uint32_t* words, Hidden& hidden) {
#pragma unroll
    for (int v = 0; v < kGroups; ++v) {
#pragma unroll
      for (int part = 0; part < Policy::kHiddenParts; ++part) {
        hidden.unit[v][part][0] = words[(v * Policy::kHiddenParts + part) * kThreads];
      }
    }
  }

  L2O_DEVICE static void save_inputs(std::uint32_t* step,
                                     const typename Forward::SlotWords& inputs) {
#pragma unroll
    for (int part = 0; part < Policy::kHiddenParts; ++part) {
      step[kInputsOffset + part * kThreads] = inputs[part][0];
    }
  }
  L2O_DEVICE static void load_inputs(const std::uint32_t* step,
                                     typename Forward::SlotWords& inputs) {
#pragma unroll
    for (int part = 0; part < Policy::kHiddenParts; ++part) {
      inputs[part][0] = step[kInputsOffset + part * kThreads];
    }
  }

  L2O_DEVICE static void save_slope(std::uint32_t* step, float slope) {
    step[kSlopesOffset] = bits_of(slope);
  }
  /// The derivatives of the quad; this lane is number t of it.
  L2O_DEVICE static float4 load_slopes(const std::uint32_t* step, int t) {
    return load_vector<float4>(step + kSlopesOffset - t);
  }

  L2O_DEVICE static void save_cell(std::uint32_t* words, const float (&cell)[kGroups][kRows]) {
    words += kHiddenWords * kThreads;
#pragma unroll
    for (int v = 0; v < kGroups; ++v) {
      if constexpr (Policy::kHalfCell) {
        words[v * kThreads] = float16_pair(cell[v][0], cell[v][1]);
      } else {
        words[2 * v * kThreads] = bits_of(cell[v][0]);
        words[(2 * v + 1) * kThreads] = bits_of(cell[v][1]);
      }
    }
  }
  /// c of group v.
  L2O_DEVICE static void load_cell(const std::uint32_t* words, int v, float (&c)[kRows]) {
    words += kHiddenWords * kThreads;
    if constexpr (Policy::kHalfCell) {
      const std::uint32_t pair = words[v * kThreads];
      c[0] = low_of_float16(pair), c[1] = high_of_float16(pair);
    } else {
      c[0] = float_from_bits(words[2 * v * kThreads]),
      c[1] = float_from_bits(words[(2 * v + 1) * kThreads]);
    }
  }
};

}  // namespace l2o::cuda
