// The meta-gradient of an unroll on tensor cores, in one kernel: replay T steps, go back through
// them, sum the gradient of the weights. Only the trace, the start state, the recompute checkpoints
// and the result are in device memory.
//
// A block processes tiles of 128 coordinates one at a time: it replays the steps
// (lstm_unroll_replay.cuh), then goes back through them. A step back consists of three products:
//
//   z = W x        the gates again, from the checkpoint of the step
//   dx = W^T dz    the adjoints; dz of a group of units, in its registers, is a fragment A
//   dW += dz^T x   the gradient of the weights, over the coordinates of the block
//                  (lstm_weight_tiles.cuh)
//
// All warps of a block wait for the same data at the same time, and the checkpoints of all blocks
// exceed the cache. So the checkpoint of the next step back is prefetched to shared memory during
// the third product.
//
// A chunk is a run of tiles with a single sum: a partial gradient. Chunk boundaries depend only on
// N, and partial gradients are added in order: the result is the same for any number of blocks.
#pragma once

#include <algorithm>

#include "kernels/cuda/lstm_unroll_replay.cuh"
#include "kernels/cuda/lstm_weight_tiles.cuh"

namespace l2o::cuda {

template <class Geometry, Precision precision>
class LstmUnroll : private LstmUnrollReplay<Geometry, precision> {
  using Replay = LstmUnrollReplay<Geometry, precision>;
  using Replay::checkpoint, Replay::lane, Replay::load_gradient, Replay::output_weight,
      Replay::quad_lane;
  using Replay::hidden_, Replay::p_, Replay::thread_, Replay::tile_, Replay::weights_;
  using Replay::kGroups, Replay::kLayers, Replay::kOutputs, Replay::kRows;
  using typename Replay::Checkpoints, typename Replay::Forward, typename Replay::Hidden,
      typename Replay::Packed, typename Replay::Policy;
  using Tiles = LstmWeightTiles<Geometry, precision>;
  static constexpr int kParts = Policy::kAdjointParts;

 public:
  using Replay::kThreads, Replay::kTileCoordinates;
  static_assert(kThreads == Tiles::kThreads && kTileCoordinates == Tiles::kCoordinates);
  static constexpr std::int64_t checkpoint_words(int unroll_length) {
    return Checkpoints::words(unroll_length);
  }

  // Shared memory: the packed weights, the data of the tiles of dW, and the checkpoint of the next
  // step back, for as many layers from the top as fit.
  static constexpr std::size_t kPrefetchOffset = Tiles::kWeightBytes + Tiles::kSharedBytes;
  static constexpr std::size_t kLayerBytes = 4 * std::size_t{Checkpoints::kLayerWords};
  /// Prefetching must not make a kernel too large for GPUs with less shared memory.
  static constexpr std::size_t kSharedBudget = kPrefetchOffset <= kSharedBytes86   ? kSharedBytes86
                                               : kPrefetchOffset <= kSharedBytes80 ? kSharedBytes80
                                                                                   : kSharedBytes90;
  static constexpr int kPrefetchedLayers =
      kPrefetchOffset >= kSharedBudget
          ? 0
          : static_cast<int>(
                std::min<std::size_t>(kLayers, (kSharedBudget - kPrefetchOffset) / kLayerBytes));
  static constexpr std::size_t kSharedBytes = kPrefetchOffset + kPrefetchedLayers * kLayerBytes;

  L2O_DEVICE explicit LstmUnroll(const LstmUnrollParameters& parameters)
      : Replay(parameters),
        tiles_(shared_memory() + Tiles::kWeightBytes, thread_),
        prefetched_(reinterpret_cast<std::uint32_t*>(shared_memory() + kPrefetchOffset) + thread_) {
  }

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
  // ---------------------------------------------------------------------- one tile of coordinates

  L2O_DEVICE void add_gradient(int tile) {
    this->start_tile(tile);
    float gradient[kRows];
    this->run_steps(gradient);
    prefetch(p_.unroll_length - 1);
    if constexpr (Checkpoints::kSavesFinalState) {
      std::uint32_t* const end = checkpoint(p_.unroll_length);
      for_each_index<kLayers - 1>([&](auto layer) {
        Checkpoints::save_hidden(end + layer() * Checkpoints::kLayerWords, hidden_[layer()]);
      });
    }
    // Lanes of a quad read each other's slopes.
    if constexpr (Geometry::kModulated) synchronize_block();

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

    Loaded loaded;
    load(p_.unroll_length - 1, loaded);
#pragma unroll 1
    for (int t = p_.unroll_length - 1; t >= 0; --t) {
      const float weight = loaded.weight * loaded.tile_weight * p_.output_scale;
      float output_adjoint[kOutputs][kRows];
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        lambda[row] = fused(weight, gradient[row], lambda[row]);
        output_adjoint[0][row] = loaded.update_scale * lambda[row];
        gradient[row] = loaded.gradient[row];
      }
      if constexpr (Geometry::kModulated) backpropagate_outputs(loaded.slopes, output_adjoint);
#pragma unroll
      for (int k = 0; k < kOutputs; ++k) {
#pragma unroll
        for (int row = 0; row < kRows; ++row) output_sums_[k][kGroups] += output_adjoint[k][row];
      }
      if constexpr (!Geometry::kModulated) this->make_inputs(gradient, loaded.inputs);
      if constexpr (kPrefetchedLayers > 0) wait_for_copies();
      for_each_index<kLayers>([&](auto layers_below_top) {
        backpropagate_step<kLayers - 1 - layers_below_top()>(checkpoint(t), loaded.inputs,
                                                             output_adjoint);
      });
      if (t > 0) {
        prefetch(t - 1);
        load(t - 1, loaded);
      }
      synchronize_block();
      tiles_.add_step();
      synchronize_block();
    }
  }

  /// Data of step t in global memory, except for h and c, loaded one step early: the gradient
  /// before it, the scale of its update, and the two factors of the weight of the evaluation after
  /// it. They are multiplied later, because nothing should wait for them here. For a modulated rule
  /// also the slopes and inputs saved by the replay.
  struct Loaded {
    float gradient[kRows], update_scale, weight, tile_weight;
    float4 slopes;
    typename Forward::SlotWords inputs;
  };
  L2O_DEVICE void load(int t, Loaded& loaded) const {
    load_gradient(t, loaded.gradient);
    loaded.update_scale = p_.factors.update_scale(t, tile_);
    loaded.weight = p_.factors.evaluation_weight(t + 1);
    loaded.tile_weight = p_.factors.tile_weight(t + 1, tile_);
    if constexpr (Geometry::kModulated) {
      loaded.slopes = Checkpoints::load_slopes(checkpoint(t), quad_lane());
      Checkpoints::load_inputs(checkpoint(t), loaded.inputs);
    }
  }

  /// Starts copying the thread's own words of step t to shared memory.
  L2O_DEVICE void prefetch(int t) const {
    constexpr int kFirst = kLayers - kPrefetchedLayers;
    const std::uint32_t* const words = checkpoint(t) + kFirst * Checkpoints::kLayerWords;
#pragma unroll
    for (int i = 0; i < kPrefetchedLayers * Checkpoints::kLayerWords; i += kThreads) {
      copy_async(prefetched_ + i, words + i);
    }
  }
  /// Returns the location of a layer's words of step t, whose checkpoint is `step`.
  template <int layer>
  L2O_DEVICE const std::uint32_t* words_of(const std::uint32_t* step) const {
    constexpr int kFirst = kLayers - kPrefetchedLayers;
    return layer < kFirst ? step + layer * Checkpoints::kLayerWords
                          : prefetched_ + (layer - kFirst) * Checkpoints::kLayerWords;
  }

  // -------------------------------------------------------------------------------- one step back

  /// Converts the adjoints of the updates, in the place of output 0, to those of the outputs.
  L2O_DEVICE static void backpropagate_outputs(const float4& slopes,
                                               float (&output_adjoint)[kOutputs][kRows]) {
    output_adjoint[1][0] = output_adjoint[0][0] * slopes.z;
    output_adjoint[1][1] = output_adjoint[0][1] * slopes.w;
    output_adjoint[0][0] *= slopes.x;
    output_adjoint[0][1] *= slopes.y;
  }

  /// For one layer: converts the adjoints of h and c after step t to those before it, and stages dz
  /// and the layer's inputs for the gradient of the weights.
  template <int layer>
  L2O_DEVICE void backpropagate_step(const std::uint32_t* step,
                                     const typename Forward::SlotWords& inputs,
                                     const float (&output_adjoint)[kOutputs][kRows]) {
    constexpr bool kTop = layer == kLayers - 1;
    typename Forward::template Fragments<layer> fragments;
    const std::uint32_t* const words = words_of<layer>(step);
    float c[kGroups][kRows];
    {
      Hidden own;
      Checkpoints::load_hidden(words, own);
      if constexpr (layer > 0 && Checkpoints::kSavesFinalState) {
        constexpr int kBelowOffset =
            Checkpoints::kStepWords + (layer - 1) * Checkpoints::kLayerWords;
        Checkpoints::load_hidden(step + kBelowOffset, hidden_[layer - 1]);
      }
      Checkpoints::load_cell(words, 0, c[0]);
      Forward::template make_fragments<layer>(hidden_[layer > 0 ? layer - 1 : 0], own, inputs,
                                              quad_lane(), fragments);
      if constexpr (!kTop && !Checkpoints::kSavesFinalState) hidden_[layer] = own;
    }
    tiles_.template stage_inputs<layer>(fragments);

    float input_adjoints[Geometry::slot_tiles(layer)][4] = {};
#pragma unroll
    for (int v = 0; v < kGroups; ++v) {
      if (v + 1 < kGroups) Checkpoints::load_cell(words, v + 1, c[v + 1]);
      LstmGates gates[kRows];
      Forward::template gates<layer, Policy::kBackwardGateParts>(weights_, v, lane(), fragments,
                                                                 gates);
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
        backpropagate_gates(gates[row], c[v][row], hidden_adjoint_[layer][v][row],
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

  /// For one unit of one coordinate. c: before the step; dc in: of c after it, out: before it.
  L2O_DEVICE static void backpropagate_gates(const LstmGates& gates, float c, float dh, float& dc,
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

  /// Writes two adjacent columns of a row of dz to its words of a fragment.
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
          weights_ + Packed::kBackwardOffset + weight_part * Geometry::kBackwardWords +
          Geometry::backward_offset(layer) + v * Geometry::group_backward_words(layer);
      const int parts = weight_part == 0 ? kParts : 1;
#pragma unroll
      for (int tile = 0; tile + 1 < kSlotTiles; tile += 2) {
        const uint4 b = load_vector<uint4>(words + 2 * tile * kWarpSize + 4 * lane());
#pragma unroll
        for (int part = 0; part < parts; ++part) {
          multiply_bfloat16_k16(input_adjoints[tile], dz[part], b.x, b.y);
          multiply_bfloat16_k16(input_adjoints[tile + 1], dz[part], b.z, b.w);
        }
      }
      if constexpr (kSlotTiles % 2 == 1) {
        const uint2 b = load_vector<uint2>(words + 2 * (kSlotTiles - 1) * kWarpSize + 2 * lane());
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

  /// Writes the chunk's sums in the order of phi.
  L2O_DEVICE void write_partial(float* partial) {
    tiles_.write(partial);
    // w_out and b_out: the sums of the lanes with the same units, in the order of the threads.
    auto* const sums =
        reinterpret_cast<float*>(shared_memory() + Tiles::kWeightBytes);  // [k][group + 1][thread]
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
      // Unit H represents the 1 of b_out.
      const int k = thread_ / (Geometry::kHidden + 1), unit = thread_ % (Geometry::kHidden + 1);
      const int v = unit / 4, t = unit % 4;
      float sum = 0.0F;
      for (int i = t; i < kThreads; i += 4) sum += sums[(k * (kGroups + 1) + v) * kThreads + i];
      const int offset = unit < Geometry::kHidden ? k * Geometry::kHidden + unit
                                                  : kOutputs * Geometry::kHidden + k;
      partial[lstm_output_offset(Geometry::lstm()) + offset] = sum;
    }
    synchronize_block();
  }

  Tiles tiles_;
  // [prefetched layers][LstmCheckpoints::kLayerWords], the thread's first
  std::uint32_t* const prefetched_;
  float hidden_adjoint_[kLayers][kGroups][kRows];
  float cell_adjoint_[kLayers][kGroups][kRows];
  float output_sums_[kOutputs][kGroups + 1];
};

}  // namespace l2o::cuda
