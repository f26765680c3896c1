// The replay of an unroll on tensor cores: repeats the steps from the start state with identical
// bits (lstm_forward.cuh) and saves a recompute checkpoint before each.
#pragma once

#include <algorithm>

#include "kernels/cuda/lstm_checkpoints.cuh"
#include "kernels/cuda/lstm_forward.cuh"
#include "kernels/cuda/lstm_moments.cuh"
#include "kernels/cuda/lstm_outputs.cuh"
#include "kernels/cuda/state_layout.h"
#include "kernels/op_args.h"
#include "kernels/step_factors.h"

namespace l2o::cuda {

struct LstmUnrollParameters {
  const std::uint32_t* packed;  // [PackedLstm::kWords]
  const float* trace;           // [T+1] rows of N
  std::int64_t trace_stride;    // between rows
  UnrollFactors factors;
  const std::byte* start_state;  // tiles (state_layout.h)
  std::uint32_t* checkpoints;    // [block][LstmCheckpoints::words(T)]
  float* partials;               // [chunks][P]
  std::int64_t n;
  int unroll_length;  // T
  int tiles, chunk_tiles, chunks;
  LogAndSignConstants inputs;
  float output_scale;
};

/// A block's share of an unroll, in tiles of 128 coordinates; a warp has 16 of them, so a lane has
/// two rows.
template <class Geometry, Precision precision>
class LstmUnrollReplay {
 public:
  using Forward = LstmForward<Geometry, precision, 1>;
  using Policy = typename Forward::Policy;
  using Hidden = typename Forward::Hidden;
  using Packed = PackedLstm<Geometry, precision>;
  using Checkpoints = LstmCheckpoints<Geometry, precision>;
  static constexpr int kLayers = Geometry::kLayers, kGroups = Geometry::kGroups;
  static constexpr int kRows = Forward::kRows, kOutputs = Geometry::kOutputs;
  static constexpr int kThreads = Checkpoints::kThreads;
  static constexpr int kTileCoordinates = kThreads / kWarpSize * 16;

 protected:
  /// The packed weights are at the start of shared memory.
  L2O_DEVICE explicit LstmUnrollReplay(const LstmUnrollParameters& parameters)
      : p_(parameters),
        weights_(reinterpret_cast<std::uint32_t*>(shared_memory())),
        thread_(thread_index()) {}

  L2O_DEVICE int lane() const { return thread_ % kWarpSize; }
  L2O_DEVICE int warp() const { return thread_ / kWarpSize; }
  L2O_DEVICE int quad_lane() const { return thread_ % 4; }
  /// The weight from h of a unit to output k.
  L2O_DEVICE float output_weight(int k, int unit) const {
    return float_from_bits(weights_[Packed::kOutputOffset + k * Geometry::kHidden + unit]);
  }

  L2O_DEVICE void start_tile(int tile) {
    const std::int64_t first =
        std::int64_t{tile} * kTileCoordinates + 16 * warp() + 2 * (lane() / 4);
    trace_ = p_.trace + first;
    rows_ = static_cast<int>(std::clamp<std::int64_t>(p_.n - first, 0, kRows));
    // A warp's coordinates are in one tile; after the last, use any tile, with zero gradients.
    tile_ = rows_ > 0 ? static_cast<int>(first / kTile) : 0;
    load_start_state(first);
  }

  /// Afterwards, hidden_ and cell_ are those after the last step, and gradient is that of theta[T].
  L2O_DEVICE void run_steps(float (&gradient)[kRows]) {
    load_gradient(0, gradient);
#pragma unroll 1
    for (int t = 0; t < p_.unroll_length; ++t) {
      float next[kRows];  // loaded one step early
      load_gradient(t + 1, next);
      std::uint32_t* const step = checkpoint(t);
      for_each_index<kLayers>([&](auto layer) {
        std::uint32_t* const words = step + layer() * Checkpoints::kLayerWords;
        Checkpoints::save_hidden(words, hidden_[layer()]);
        Checkpoints::save_cell(words, cell_[layer()]);
      });
      step_forward(gradient, step);
#pragma unroll
      for (int row = 0; row < kRows; ++row) gradient[row] = next[row];
    }
  }

  /// For the lane's two coordinates; 0 after the last, so that their adjoints are 0.
  L2O_DEVICE void load_gradient(int t, float (&gradient)[kRows]) const {
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      gradient[row] = row < rows_ ? trace_[t * p_.trace_stride + row] : 0.0F;
    }
  }

  L2O_DEVICE void make_inputs(const float (&gradient)[kRows],
                              typename Forward::SlotWords& inputs) const {
    float values[kRows];
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      values[row] = p_.inputs.input_of_lane(gradient[row], quad_lane());
    }
    Forward::split(values, inputs);
  }

  /// The same from the moments, which it updates: lane t has those of row t % 2. Returns Adam's
  /// direction there.
  L2O_DEVICE float make_moment_inputs(const float (&gradient)[kRows],
                                      typename Forward::SlotWords& inputs) {
    const bool odd = quad_lane() % 2 == 1, upper = quad_lane() >= 2;
    float x[4];
    const float direction = adam_moments_of(odd ? gradient[1] : gradient[0], moments_, x);
    // The lane feeds input t of both rows; its neighbor has that of the other row.
    const float even_input = upper ? x[2] : x[0], odd_input = upper ? x[3] : x[1];
    const float own = odd ? odd_input : even_input;
    const float other = shuffle_xor(odd ? even_input : odd_input, 1);
    Forward::split({odd ? other : own, odd ? own : other}, inputs);
    return direction;
  }

  /// The padding of the last tile is undefined: treat it as 0, since 0 times a non-finite value
  /// would corrupt the sums.
  L2O_DEVICE void load_start_state(std::int64_t first) {
    constexpr int kLayerBytes = Geometry::kHidden * kTile * (kNumbers.hidden + kNumbers.cell);
    constexpr int kTileBytes = kLayers * kLayerBytes + Geometry::kMoments * kTile * 4;
    const std::byte* const tile = p_.start_state + first / kTile * kTileBytes;
    const int offset = quad_lane() * kTile + static_cast<int>(first % kTile);
    for_each_index<kLayers>([&](auto layer) {
      const std::byte* const hidden_states =
          tile + layer() * kLayerBytes + offset * kNumbers.hidden;
      const std::byte* const cells = tile + layer() * kLayerBytes +
                                     Geometry::kHidden * kTile * kNumbers.hidden +
                                     offset * kNumbers.cell;
#pragma unroll
      for (int v = 0; v < kGroups; ++v) {
        float h[kRows];
        load_numbers<kNumbers.hidden>(hidden_states + 4 * v * kTile * kNumbers.hidden, h);
        Forward::split(h, hidden_[layer()].unit[v]);
        load_numbers<kNumbers.cell>(cells + 4 * v * kTile * kNumbers.cell, cell_[layer()][v]);
      }
    });
    if constexpr (Geometry::kModulated) {
      const int row = quad_lane() % 2;
      const auto* const values =
          reinterpret_cast<const float*>(tile + kLayers * kLayerBytes) + first % kTile + row;
#pragma unroll
      for (int s = 0; s < Geometry::kMoments; ++s) {
        moments_[s] = row < rows_ ? values[s * kTile] : 0.0F;
      }
    }
  }
  template <int bytes>
  L2O_DEVICE void load_numbers(const std::byte* source, float (&values)[kRows]) const {
    values[0] = values[1] = 0.0F;
    if (rows_ == 0) return;  // the tile may not exist
    if constexpr (bytes == 4) {
      const float2 pair = load_vector<float2>(source);
      values[0] = pair.x, values[1] = pair.y;
    } else {
      const auto pair = load_vector<std::uint32_t>(source);
      values[0] = low_of_float16(pair), values[1] = high_of_float16(pair);
    }
    if (rows_ == 1) values[1] = 0.0F;
  }

  /// step: that of the recompute checkpoint, to which a modulated rule adds data.
  L2O_DEVICE void step_forward(const float (&gradient)[kRows], std::uint32_t* step) {
    typename Forward::SlotWords inputs;
    float direction = 0.0F;         // Adam's, of row t % 2 of the quad's lane t
    float outputs[2 * kRows] = {};  // the lane's part of o_0 of its rows, then of o_1
    if constexpr (Geometry::kModulated) {
      direction = make_moment_inputs(gradient, inputs);
      Checkpoints::save_inputs(step, inputs);
    } else {
      make_inputs(gradient, inputs);
    }
    for_each_index<kLayers>([&](auto layer) {
      typename Forward::template Fragments<layer()> fragments;
      Forward::template make_fragments<layer()>(hidden_[layer() > 0 ? layer() - 1 : 0],
                                                hidden_[layer()], inputs, quad_lane(), fragments);
#pragma unroll
      for (int v = 0; v < kGroups; ++v) {
        LstmGates gates[kRows];
        Forward::template gates<layer()>(weights_, v, lane(), fragments, gates);
        float h[kRows];
#pragma unroll
        for (int row = 0; row < kRows; ++row) {
          Forward::advance(gates[row], cell_[layer()][v][row], h[row]);
        }
        Forward::split(h, hidden_[layer()].unit[v]);
        if constexpr (Geometry::kModulated && layer() == kLayers - 1) {
#pragma unroll
          for (int i = 0; i < kOutputs * kRows; ++i) {
            const float w_out = output_weight(i / kRows, 4 * v + quad_lane());
            outputs[i] = fused(h[i % kRows], w_out, outputs[i]);
          }
        }
      }
    });
    if constexpr (Geometry::kModulated) save_slope(step, outputs, direction);
  }

  /// A lane computes one of its quad's four derivatives of an update, with respect to outputs[t].
  L2O_DEVICE void save_slope(std::uint32_t* step, const float (&outputs)[2 * kRows],
                             float direction) const {
    const int t = quad_lane(), k = t / kRows;
    const float o = sum_quad(outputs, t) + output_weight(kOutputs, k);
    const float y = tanh_of_cell<Policy>(o);
    const float slope = k == 0 ? modulation_slope(o) * direction : fused(-y, y, 1.0F);
    Checkpoints::save_slope(step, -slope);
  }

  /// The thread's words of step t; the launcher ensures that a block has fewer than 2^31.
  L2O_DEVICE std::uint32_t* checkpoint(int t) const {
    return p_.checkpoints + block_index() * Checkpoints::words(p_.unroll_length) +
           t * Checkpoints::kStepWords + thread_;
  }

  const LstmUnrollParameters& p_;
  std::uint32_t* const weights_;  // shared
  const int thread_;
  const float* trace_ = nullptr;  // of row 0
  int rows_ = 0;                  // without padding
  int tile_ = 0;                  // of the state

  Hidden hidden_[kLayers];
  float cell_[kLayers][kGroups][kRows];
  float moments_[Geometry::kModulated ? Geometry::kMoments : 1];  // of row t % 2

 private:
  static constexpr StateNumbers kNumbers = state_numbers(precision);
};

}  // namespace l2o::cuda
