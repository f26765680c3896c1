// The meta-gradient of an unroll on tensor cores, in one kernel: replay T steps, go back through
// them, add up the gradient of the weights. Nothing but the trace, the start state, the recompute
// checkpoints and the result touches device memory.
//
// A block takes tiles of 128 coordinates, one after the other; a warp has 16 of them, so a lane has
// two rows (lstm_forward.cuh). Three products make a step back:
//
//   z = W x        the gates again, from the checkpoint of the step, as in the replay
//   dx = W^T dz    the adjoints; dz of a group of units, in its registers, is a fragment A
//   dW += dz^T x   the gradient of the weights, over the coordinates of the block
//                  (lstm_weight_tiles.cuh)
//
// A chunk is a run of tiles with one sum: a partial gradient. The borders of chunks depend on N
// alone, and partial gradients are added up in their order: the result is the same for any number
// of blocks.
#pragma once

#include <algorithm>

#include "kernels/cuda/lstm_checkpoints.cuh"
#include "kernels/cuda/lstm_forward.cuh"
#include "kernels/cuda/lstm_moments.cuh"
#include "kernels/cuda/lstm_outputs.cuh"
#include "kernels/cuda/lstm_weight_tiles.cuh"
#include "kernels/cuda/state_layout.h"
#include "kernels/op_args.h"
#include "kernels/step_factors.h"

namespace l2o::cuda {

struct LstmUnrollParameters {
  const std::uint32_t* packed;  // [PackedLstm::kWords]
  const float* trace;           // [T+1] rows of N
  std::int64_t trace_stride;    // from row to row
  UnrollFactors scales;
  const std::byte* start_state;  // tiles (state_layout.h)
  std::uint32_t* checkpoints;    // [block][T+1][LstmCheckpoints::kStepWords]
  float* partials;               // [chunks][P]
  std::int64_t n;
  int unroll_length;  // T
  int tiles, chunk_tiles, chunks;
  LogAndSignConstants inputs;
  float output_scale;
};

template <class Geometry, Precision precision>
class LstmUnroll {
 public:
  using Forward = LstmForward<Geometry, precision, 1>;
  using Policy = typename Forward::Policy;
  using Hidden = typename Forward::Hidden;
  using Packed = PackedLstm<Geometry, precision>;
  using Tiles = LstmWeightTiles<Geometry, precision>;
  using Checkpoints = LstmCheckpoints<Geometry, precision>;
  static constexpr int kLayers = Geometry::kLayers, kGroups = Geometry::kGroups;
  static constexpr int kRows = Forward::kRows, kOutputs = Geometry::kOutputs;
  static constexpr StateNumbers kNumbers = state_numbers(precision);
  static constexpr int kParts = Policy::kAdjointParts;
  static constexpr int kThreads = Tiles::kThreads;
  static constexpr int kTileCoordinates = Tiles::kCoordinates;
  static_assert(kThreads == Checkpoints::kThreads);

  /// Shared memory: the packed weights, then what the tiles of dW need.
  static constexpr std::size_t kSharedBytes = Tiles::kOtherBytes + Tiles::kSharedBytes;

  L2O_DEVICE explicit LstmUnroll(const LstmUnrollParameters& parameters)
      : p_(parameters),
        weights_(reinterpret_cast<std::uint32_t*>(shared_memory())),
        thread_(thread_index()),
        tiles_(shared_memory() + Tiles::kOtherBytes, thread_) {}

  L2O_DEVICE void run() {
    for (int i = thread_; i < Packed::kWords; i += kThreads) weights_[i] = p_.packed[i];
    synchronize_block();
    for (int chunk = block_index(); chunk < p_.chunks; chunk += block_count()) {
      clear_sums();
      const int end = std::min(p_.tiles, (chunk + 1) * p_.chunk_tiles);
      for (int tile = chunk * p_.chunk_tiles; tile < end; ++tile) add_gradient(tile);
      write_partial(p_.partials + std::int64_t{chunk} * Geometry::kMetaSize);
    }
  }

 private:
  L2O_DEVICE int lane() const { return thread_ % kWarp; }
  L2O_DEVICE int warp() const { return thread_ / kWarp; }
  L2O_DEVICE int quad_lane() const { return thread_ % 4; }
  /// From h of a unit to output k.
  L2O_DEVICE float output_weight(int k, int unit) const {
    return float_of(weights_[Packed::kOutput + k * Geometry::kHidden + unit]);
  }

  // ---------------------------------------------------------------------- one tile of coordinates

  L2O_DEVICE void add_gradient(int tile) {
    const std::int64_t first =
        std::int64_t{tile} * kTileCoordinates + 16 * warp() + 2 * (lane() / 4);
    trace_ = p_.trace + first;
    rows_ = static_cast<int>(std::clamp<std::int64_t>(p_.n - first, 0, kRows));
    // A warp's coordinates are of one tile; behind the last one any will do, without a gradient.
    tile_ = rows_ > 0 ? static_cast<int>(first / kTile) : 0;
    load_start_state(first);
#pragma unroll 1
    for (int t = 0; t < p_.unroll_length; ++t) {
      std::uint32_t* const step = checkpoint(t);
      for_each_index<kLayers>([&](auto layer) {
        Checkpoints::save_hidden(step, layer(), hidden_[layer()]);
        Checkpoints::save_cell(step, layer(), cell_[layer()]);
      });
      step_forward(t, step);
    }
    // Lanes of a quad read each other's slopes.
    if constexpr (Geometry::kModulated) synchronize_block();
    std::uint32_t* const end = checkpoint(p_.unroll_length);
    for_each_index<kLayers - 1>(
        [&](auto layer) { Checkpoints::save_hidden(end, layer(), hidden_[layer()]); });

    float lambda[kRows] = {};  // output_scale times the adjoint of theta
    for_each_index<kLayers>([&](auto layer) {
#pragma unroll
      for (int v = 0; v < kGroups; ++v) {
#pragma unroll
        for (int row = 0; row < kRows; ++row) {
          hidden_adjoint_[layer()][v][row] = 0.0F;
          cell_adjoint_[layer()][v][row] = 0.0F;
        }
      }
    });

    float gradient[kRows];
    load_gradient(p_.unroll_length, gradient);
#pragma unroll 1
    for (int t = p_.unroll_length - 1; t >= 0; --t) {
      const float weight =
          p_.scales.weights[t + 1] * p_.scales.tile_weight(t + 1, tile_) * p_.output_scale;
      const float update_scale = p_.scales.tile_scale(t, tile_);
      float output_adjoint[kOutputs][kRows];
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        lambda[row] = fused(weight, gradient[row], lambda[row]);
        output_adjoint[0][row] = update_scale * lambda[row];
      }
      if constexpr (Geometry::kModulated) through_outputs(checkpoint(t), output_adjoint);
#pragma unroll
      for (int k = 0; k < kOutputs; ++k) {
#pragma unroll
        for (int row = 0; row < kRows; ++row) output_sums_[k][kGroups] += output_adjoint[k][row];
      }
      load_gradient(t, gradient);
      typename Forward::SlotWords inputs;
      if constexpr (Geometry::kModulated) {
        Checkpoints::load_inputs(checkpoint(t), inputs);
      } else {
        make_inputs(gradient, inputs);
      }
      for_each_index<kLayers>([&](auto below_top) {
        step_back<kLayers - 1 - below_top()>(checkpoint(t), inputs, output_adjoint);
      });
      synchronize_block();
      tiles_.add_step();
      synchronize_block();
    }
  }

  /// Of the lane's two coordinates; 0 behind the last, whose adjoints are 0 then.
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

  /// Likewise by the moments, which move on: lane t has those of row t % 2. Returns Adam's
  /// direction there.
  L2O_DEVICE float make_moment_inputs(const float (&gradient)[kRows],
                                      typename Forward::SlotWords& inputs) {
    const bool odd = quad_lane() % 2 == 1, upper = quad_lane() >= 2;
    float x[4];
    const float direction = adam_moments_of(odd ? gradient[1] : gradient[0], moments_, x);
    // The lane feeds input t of both rows, of which its neighbour has the other.
    const float even_input = upper ? x[2] : x[0], odd_input = upper ? x[3] : x[1];
    const float own = odd ? odd_input : even_input;
    const float other = shuffle_xor(odd ? even_input : odd_input, 1);
    Forward::split({odd ? other : own, odd ? own : other}, inputs);
    return direction;
  }

  /// The padding of a last tile may hold anything: it counts as 0, since 0 times something that is
  /// not finite would spoil the sums.
  L2O_DEVICE void load_start_state(std::int64_t first) {
    constexpr int kLayerBytes = Geometry::kHidden * kTile * (kNumbers.hidden + kNumbers.cell);
    constexpr int kTileBytes = kLayers * kLayerBytes + Geometry::kMoments * kTile * 4;
    const std::byte* const tile = p_.start_state + first / kTile * kTileBytes;
    const int place = quad_lane() * kTile + static_cast<int>(first % kTile);
    for_each_index<kLayers>([&](auto layer) {
      const std::byte* const hiddens = tile + layer() * kLayerBytes + place * kNumbers.hidden;
      const std::byte* const cells = tile + layer() * kLayerBytes +
                                     Geometry::kHidden * kTile * kNumbers.hidden +
                                     place * kNumbers.cell;
#pragma unroll
      for (int v = 0; v < kGroups; ++v) {
        float h[kRows];
        load_numbers<kNumbers.hidden>(hiddens + 4 * v * kTile * kNumbers.hidden, h);
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
  L2O_DEVICE void load_numbers(const std::byte* place, float (&values)[kRows]) const {
    values[0] = values[1] = 0.0F;
    if (rows_ == 0) return;  // there may be no such tile
    if constexpr (bytes == 4) {
      const float2 pair = load_vector<float2>(place);
      values[0] = pair.x, values[1] = pair.y;
    } else {
      const auto pair = load_vector<std::uint32_t>(place);
      values[0] = low_of_float16(pair), values[1] = high_of_float16(pair);
    }
    if (rows_ == 1) values[1] = 0.0F;
  }

  /// step: of the recompute checkpoint, to which a modulated rule adds something.
  L2O_DEVICE void step_forward(int t, std::uint32_t* step) {
    float gradient[kRows];
    load_gradient(t, gradient);
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

  /// The lane of a quad computes one of its four slopes of an update by an output: of outputs[t].
  L2O_DEVICE void save_slope(std::uint32_t* step, const float (&outputs)[2 * kRows],
                             float direction) const {
    const int t = quad_lane(), k = t / kRows;
    const float o = add_up_quad(outputs, t) + output_weight(kOutputs, k);
    const float y = tanh_of_cell<Policy>(o);
    const float slope = k == 0 ? modulation_slope(o) * direction : fused(-y, y, 1.0F);
    Checkpoints::save_slope(step, -slope);
  }

  /// The thread's words of step t.
  L2O_DEVICE std::uint32_t* checkpoint(int t) const {
    const std::int64_t step = std::int64_t{block_index()} * (p_.unroll_length + 1) + t;
    return p_.checkpoints + step * Checkpoints::kStepWords + thread_;
  }

  // -------------------------------------------------------------------------------- one step back

  /// From the adjoints of the updates, in the place of output 0, to those of the outputs.
  L2O_DEVICE void through_outputs(const std::uint32_t* step,
                                  float (&output_adjoint)[kOutputs][kRows]) const {
    const float4 slopes = Checkpoints::load_slopes(step, quad_lane());
    output_adjoint[1][0] = output_adjoint[0][0] * slopes.z;
    output_adjoint[1][1] = output_adjoint[0][1] * slopes.w;
    output_adjoint[0][0] *= slopes.x;
    output_adjoint[0][1] *= slopes.y;
  }

  /// Of one layer: from the adjoints of h and c after step t to those before it; dz and the layer's
  /// inputs are staged for the gradient of the weights.
  template <int layer>
  L2O_DEVICE void step_back(const std::uint32_t* step, const typename Forward::SlotWords& inputs,
                            const float (&output_adjoint)[kOutputs][kRows]) {
    constexpr bool kTop = layer == kLayers - 1;
    typename Forward::template Fragments<layer> fragments;
    float c[kGroups][kRows];
    {
      Hidden own, below;
      Checkpoints::load_hidden(step, layer, own);
      Checkpoints::load_cell(step, layer, 0, c[0]);
      if constexpr (layer > 0) {
        Checkpoints::load_hidden(step + Checkpoints::kStepWords, layer - 1, below);
      }
      Forward::template make_fragments<layer>(below, own, inputs, quad_lane(), fragments);
    }
    tiles_.template stage_inputs<layer>(fragments);

    float input_adjoints[Geometry::slot_tiles(layer)][4] = {};
#pragma unroll
    for (int v = 0; v < kGroups; ++v) {
      if (v + 1 < kGroups) Checkpoints::load_cell(step, layer, v + 1, c[v + 1]);
      LstmGates gates[kRows];
      Forward::template gates<layer>(weights_, v, lane(), fragments, gates);
      if constexpr (kTop) {
#pragma unroll
        for (int k = 0; k < kOutputs; ++k) {
          const float w_out = output_weight(k, 4 * v + quad_lane());
#pragma unroll
          for (int row = 0; row < kRows; ++row) {
            hidden_adjoint_[layer][v][row] =
                fused(output_adjoint[k][row], w_out, hidden_adjoint_[layer][v][row]);
          }
        }
      }
      std::uint32_t dz[kParts][4];
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        float h, z_adjoints[4];
        through_gates(gates[row], c[v][row], hidden_adjoint_[layer][v][row],
                      cell_adjoint_[layer][v][row], h, z_adjoints);
        if constexpr (kTop) {
#pragma unroll
          for (int k = 0; k < kOutputs; ++k) {
            output_sums_[k][v] = fused(output_adjoint[k][row], h, output_sums_[k][v]);
          }
        }
        split_adjoints(z_adjoints[0], z_adjoints[1], dz, row);
        split_adjoints(z_adjoints[2], z_adjoints[3], dz, row + 2);
      }
      tiles_.stage_dz(layer, v, dz);
      multiply_adjoints<layer>(v, dz, input_adjoints);
    }

    // Slot s of row r is column s % 2 of tile s / 2.
#pragma unroll
    for (int v = 0; v < kGroups; ++v) {
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        const auto slot = [&](int s) { return input_adjoints[s / 2][2 * row + s % 2]; };
        if constexpr (layer == 0) {
          hidden_adjoint_[layer][v][row] = slot(v);
        } else {
          hidden_adjoint_[layer][v][row] = slot(kGroups + v);
          hidden_adjoint_[layer - 1][v][row] += slot(v);
        }
      }
    }
  }

  /// Of one unit of one coordinate. c: before the step; dc in: of c after it, out: before it.
  L2O_DEVICE static void through_gates(const LstmGates& gates, float c, float dh, float& dc,
                                       float& h, float (&z_adjoints)[4]) {
    const auto [i, f, g, o] = gates;
    const float i_g = i * g;
    const float tanh_c = tanh_of_cell<Policy>(fused(f, c, i_g));
    h = o * tanh_c;
    const float total = fused(dh * o, fused(-tanh_c, tanh_c, 1.0F), dc);
    z_adjoints[0] = total * fused(-i, i_g, i_g);  // g i (1 - i)
    z_adjoints[1] = total * c * fused(-f, f, f);  // c f (1 - f)
    z_adjoints[2] = total * fused(-i_g, g, i);    // i (1 - g^2)
    z_adjoints[3] = dh * h * (1.0F - o);          // tanh(c) o (1 - o)
    dc = total * f;
  }

  /// Two neighbouring columns of a row of dz into its words of a fragment.
  L2O_DEVICE static void split_adjoints(float first, float second, std::uint32_t (&dz)[kParts][4],
                                        int word) {
    dz[0][word] = bfloat16_pair(first, second);
    if constexpr (kParts == 2) {
      dz[1][word] = bfloat16_pair(first - low_of_bfloat16(dz[0][word]),
                                  second - high_of_bfloat16(dz[0][word]));
    }
  }

  /// input_adjoints += W^T dz of group v.
  template <int layer>
  L2O_DEVICE void multiply_adjoints(int v, const std::uint32_t (&dz)[kParts][4],
                                    float (&input_adjoints)[Geometry::slot_tiles(layer)][4]) const {
    constexpr int kSlotTiles = Geometry::slot_tiles(layer);
#pragma unroll
    for (int weight_part = 0; weight_part < kParts; ++weight_part) {
      const std::uint32_t* const words =
          weights_ + Packed::kBackward + weight_part * Geometry::kBackwardWords +
          Geometry::backward_offset(layer) + v * Geometry::group_backward_words(layer);
      const int parts = weight_part == 0 ? kParts : 1;
#pragma unroll
      for (int tile = 0; tile + 1 < kSlotTiles; tile += 2) {
        const uint4 b = load_vector<uint4>(words + 2 * tile * kWarp + 4 * lane());
#pragma unroll
        for (int part = 0; part < parts; ++part) {
          multiply_bfloat16_k16(input_adjoints[tile], dz[part], b.x, b.y);
          multiply_bfloat16_k16(input_adjoints[tile + 1], dz[part], b.z, b.w);
        }
      }
      if constexpr (kSlotTiles % 2 == 1) {
        const uint2 b = load_vector<uint2>(words + 2 * (kSlotTiles - 1) * kWarp + 2 * lane());
#pragma unroll
        for (int part = 0; part < parts; ++part) {
          multiply_bfloat16_k16(input_adjoints[kSlotTiles - 1], dz[part], b.x, b.y);
        }
      }
    }
  }

  // ------------------------------------------------------------------------- the sums of a chunk

  L2O_DEVICE void clear_sums() {
    tiles_.clear();
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) {
#pragma unroll
      for (int v = 0; v <= kGroups; ++v) output_sums_[k][v] = 0.0F;
    }
  }

  /// The chunk's sums in the order of phi.
  L2O_DEVICE void write_partial(float* partial) {
    tiles_.write(partial);
    // w_out and b_out: the sums of the lanes with the same units, in the order of the threads.
    auto* const sums =
        reinterpret_cast<float*>(shared_memory() + Tiles::kOtherBytes);  // [k][group + 1][thread]
    static_assert(kOutputs * (kGroups + 1) * kThreads * 4 <= Tiles::kStagedBytes);
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) {
#pragma unroll
      for (int v = 0; v <= kGroups; ++v) {
        sums[(k * (kGroups + 1) + v) * kThreads + thread_] = output_sums_[k][v];
      }
    }
    synchronize_block();
    if (thread_ < Geometry::kOutputSize) {
      // Unit H stands for the 1 of b_out.
      const int k = thread_ / (Geometry::kHidden + 1), unit = thread_ % (Geometry::kHidden + 1);
      const int v = unit / 4, t = unit % 4;
      float sum = 0.0F;
      for (int i = t; i < kThreads; i += 4) sum += sums[(k * (kGroups + 1) + v) * kThreads + i];
      const int place = unit < Geometry::kHidden ? k * Geometry::kHidden + unit
                                                 : kOutputs * Geometry::kHidden + k;
      partial[lstm_output_offset(Geometry::lstm()) + place] = sum;
    }
    synchronize_block();
  }

  const LstmUnrollParameters& p_;
  std::uint32_t* const weights_;  // shared
  const int thread_;
  Tiles tiles_;
  const float* trace_ = nullptr;  // of row 0
  int rows_ = 0;                  // that are no padding
  int tile_ = 0;                  // of the state

  Hidden hidden_[kLayers];
  float cell_[kLayers][kGroups][kRows];
  float hidden_adjoint_[kLayers][kGroups][kRows];
  float cell_adjoint_[kLayers][kGroups][kRows];
  float output_sums_[kOutputs][kGroups + 1];
  float moments_[Geometry::kModulated ? Geometry::kMoments : 1];  // of row t % 2, in the replay
};

}  // namespace l2o::cuda
