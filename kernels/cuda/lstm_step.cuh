// The step on tensor cores: a warp processes tiles of 32 coordinates one at a time; h and c go from
// memory to registers and back.
//
// Row r of lane 4g + t is coordinate 4g + r of the tile, and its units are 4v + t: so a lane's four
// coordinates of a unit are one access of 16 bytes (8 in float16). Work that is the same for all
// units (moments, the update, theta) is done by lane 4g + t for coordinate 4g + t.
#pragma once

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/lstm_forward.cuh"
#include "kernels/cuda/lstm_kept.h"
#include "kernels/cuda/lstm_moments.cuh"
#include "kernels/cuda/lstm_outputs.cuh"
#include "kernels/cuda/state_layout.h"
#include "kernels/op_args.h"
#include "kernels/step_factors.h"

namespace l2o::cuda {

struct LstmStepParameters {
  const std::uint32_t* packed;  // [PackedLstm::kWords]
  const float* gradient;        // [N]
  std::byte* state;             // tiles (state_layout.h), in place
  float* theta;                 // [N], in place; null: no update, the output is not computed
  KeptStep kept;
  std::int64_t n;
  LogAndSignConstants inputs;
  float output_scale;
  StepFactors factors;
};

/// keep: the data for the backward pass is written to parameters.kept.
template <class Geometry, Precision precision, bool keep>
struct LstmStep {
  using Forward = LstmForward<Geometry, precision, 2>;
  using Policy = typename Forward::Policy;
  using Hidden = typename Forward::Hidden;
  static constexpr int kGroups = Geometry::kGroups, kRows = Forward::kRows;
  static constexpr int kThreads = 256, kBlocksPerMultiprocessor = 2;
  static constexpr StateNumbers kNumbers = state_numbers(precision);
  static constexpr int kLayerBytes = Geometry::kHidden * kTile * (kNumbers.hidden + kNumbers.cell);
  static constexpr int kMomentsOffset = Geometry::kLayers * kLayerBytes;  // in bytes
  static constexpr int kTileBytes = kMomentsOffset + Geometry::kMoments * kTile * 4;
  static constexpr int kOutputs = Geometry::kOutputs;
  // Shared memory, in words: the forward weights, then w_out [outputs][H], b_out [outputs].
  static constexpr int kOutputOffset = Policy::kWeightParts * Geometry::kForwardWords;
  static constexpr int kSharedWords = kOutputOffset + Geometry::kOutputSize;

  /// Loads four adjacent numbers of h in the form that products read.
  L2O_DEVICE static void load_hidden(const std::byte* source, typename Forward::SlotWords& words) {
    if constexpr (kNumbers.hidden == 4) {
      const float4 h = load_streaming(reinterpret_cast<const float4*>(source));
      Forward::split({h.x, h.y, h.z, h.w}, words);
    } else {
      const uint2 h = load_streaming(reinterpret_cast<const uint2*>(source));
      words[0][0] = h.x;
      words[0][1] = h.y;
    }
  }
  L2O_DEVICE static void load_cell(const std::byte* source, float (&c)[kRows]) {
    if constexpr (kNumbers.cell == 4) {
      const float4 values = load_streaming(reinterpret_cast<const float4*>(source));
      c[0] = values.x, c[1] = values.y, c[2] = values.z, c[3] = values.w;
    } else {
      const uint2 pairs = load_streaming(reinterpret_cast<const uint2*>(source));
      c[0] = low_of_float16(pairs.x), c[1] = high_of_float16(pairs.x);
      c[2] = low_of_float16(pairs.y), c[3] = high_of_float16(pairs.y);
    }
  }
  /// Rounds to the nearest float16; c has already been rounded to one.
  template <int bytes>
  L2O_DEVICE static void store_numbers(std::byte* destination, const float (&values)[kRows]) {
    if constexpr (bytes == 4) {
      store_streaming(reinterpret_cast<float4*>(destination),
                      make_float4(values[0], values[1], values[2], values[3]));
    } else {
      store_streaming(
          reinterpret_cast<uint2*>(destination),
          make_uint2(float16_pair(values[0], values[1]), float16_pair(values[2], values[3])));
    }
  }

  L2O_DEVICE static void store_four(float* destination, float v0, float v1, float v2, float v3) {
    store_vector(destination, make_float4(v0, v1, v2, v3));
  }
  /// Stores the rows of a unit for four adjacent coordinates, the first of which is `column`.
  L2O_DEVICE static void keep_unit(const KeptStep& kept, int layer, int unit, std::int64_t column,
                                   const LstmGates (&gates)[kRows], const float (&h)[kRows],
                                   const float (&c)[kRows]) {
    constexpr int kHidden = Geometry::kHidden;
    float* const gate_rows = kept.gates + (layer * 4 * kHidden + unit) * kept.columns + column;
    float* const state_rows = kept.state + (layer * 2 * kHidden + unit) * kept.columns + column;
    const std::int64_t next = kHidden * kept.columns;
    store_four(gate_rows, gates[0].i, gates[1].i, gates[2].i, gates[3].i);
    store_four(gate_rows + next, gates[0].f, gates[1].f, gates[2].f, gates[3].f);
    store_four(gate_rows + 2 * next, gates[0].g, gates[1].g, gates[2].g, gates[3].g);
    store_four(gate_rows + 3 * next, gates[0].o, gates[1].o, gates[2].o, gates[3].o);
    float stored[kRows];  // as stored in the state
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      stored[row] = kNumbers.hidden == 4 ? h[row] : low_of_float16(float16_pair(h[row], h[row]));
    }
    store_four(state_rows, stored[0], stored[1], stored[2], stored[3]);
    store_four(state_rows + next, c[0], c[1], c[2], c[3]);
  }

  /// One layer. below: h of the layer below, replaced by this layer's; the top layer adds the
  /// lane's part of w_out . h to outputs instead.
  template <int layer>
  L2O_DEVICE static void run_layer(const std::uint32_t* weights, std::byte* hidden_states,
                                   std::byte* cells, const KeptStep& kept, std::int64_t column,
                                   int lane, const typename Forward::SlotWords& inputs,
                                   Hidden& below, float (&outputs)[kOutputs][kRows]) {
    constexpr int kCellsOffset = layer * kLayerBytes + Geometry::kHidden * kTile * kNumbers.hidden;
    constexpr int kHiddenStride =
        4 * kTile * kNumbers.hidden;  // from one unit of the lane to the next
    constexpr int kCellStride = 4 * kTile * kNumbers.cell;
    hidden_states += layer * kLayerBytes;
    cells += kCellsOffset;
    const int t = lane % 4;

    Hidden own;
    float c[kGroups][kRows];
#pragma unroll
    for (int v = 0; v < kGroups; ++v) {
      load_hidden(hidden_states + v * kHiddenStride, own.unit[v]);
    }
    constexpr int kPrefetchDistance = 1;
#pragma unroll
    for (int v = 0; v < kPrefetchDistance && v < kGroups; ++v) {
      load_cell(cells + v * kCellStride, c[v]);
    }
    typename Forward::template Fragments<layer> fragments;
    Forward::template make_fragments<layer>(below, own, inputs, t, fragments);
#pragma unroll
    for (int v = 0; v < kGroups; ++v) {
      if (v + kPrefetchDistance < kGroups) {
        load_cell(cells + (v + kPrefetchDistance) * kCellStride, c[v + kPrefetchDistance]);
      }
      LstmGates gates[kRows];
      float h[kRows];
      Forward::template gates<layer>(weights, v, lane, fragments, gates);
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        Forward::advance(gates[row], c[v][row], h[row]);
      }
      store_numbers<kNumbers.cell>(cells + v * kCellStride, c[v]);
      store_numbers<kNumbers.hidden>(hidden_states + v * kHiddenStride, h);
      if constexpr (keep) keep_unit(kept, layer, 4 * v + t, column, gates, h, c[v]);
      if constexpr (layer + 1 < Geometry::kLayers) {
        Forward::split(h, below.unit[v]);
      } else {
#pragma unroll
        for (int k = 0; k < kOutputs; ++k) {
          const float w_out =
              float_from_bits(weights[kOutputOffset + k * Geometry::kHidden + 4 * v + t]);
#pragma unroll
          for (int row = 0; row < kRows; ++row) {
            outputs[k][row] = fused(h[row], w_out, outputs[k][row]);
          }
        }
      }
    }
  }

  /// Inputs of lane t of the quad to the first layer, besides h, for its rows: input t. gradient:
  /// of the lane's own coordinate, whose moments are updated. Returns Adam's direction for it if
  /// the rule has one.
  L2O_DEVICE static float make_inputs(const LstmStepParameters& p, int tile, float gradient,
                                      int lane, float (&inputs)[kRows]) {
    const int t = lane % 4;
    if constexpr (Geometry::kModulated) {
      std::byte* const tile_state = p.state + std::int64_t{tile} * kTileBytes;
      auto* const rows = reinterpret_cast<float*>(tile_state + kMomentsOffset) + lane;
      float moments[Geometry::kMoments], own_inputs[4];
#pragma unroll
      for (int s = 0; s < Geometry::kMoments; ++s) moments[s] = load_streaming(rows + s * kTile);
      const float direction = adam_moments_of(gradient, moments, own_inputs);
#pragma unroll
      for (int s = 0; s < Geometry::kMoments; ++s) store_streaming(rows + s * kTile, moments[s]);
      transpose_quad(own_inputs, t, inputs);
      return direction;
    } else {
#pragma unroll
      for (int row = 0; row < kRows; ++row) {
        inputs[row] = p.inputs.input_of_lane(shuffle(gradient, lane / 4 * 4 + row), t);
      }
      return 0.0F;
    }
  }

  /// The update of the lane's own coordinate, without output_scale.
  L2O_DEVICE static float make_update(const std::uint32_t* weights, int t,
                                      const float (&outputs)[kOutputs][kRows], float direction) {
    const std::uint32_t* const b_out = weights + kOutputOffset + kOutputs * Geometry::kHidden;
    const float first = sum_quad(outputs[0], t) + float_from_bits(b_out[0]);
    if constexpr (Geometry::kModulated) {
      const float second = sum_quad(outputs[1], t) + float_from_bits(b_out[1]);
      return -fused(modulation_of(first), direction, tanh_of_cell<Policy>(second));
    } else {
      return first;
    }
  }

  L2O_DEVICE static void run(const LstmStepParameters& p) {
    using Packed = PackedLstm<Geometry, precision>;
    auto* const weights = reinterpret_cast<std::uint32_t*>(shared_memory());
    const int thread = thread_index(), lane = thread % kWarpSize, g = lane / 4, t = lane % 4;
    for (int i = 4 * thread; i < kOutputOffset; i += 4 * kThreads) {
      store_vector(weights + i, load_vector<uint4>(p.packed + Packed::kForwardOffset + i));
    }
    for (int i = thread; i < Geometry::kOutputSize; i += kThreads) {
      weights[kOutputOffset + i] = p.packed[Packed::kOutputOffset + i];
    }
    synchronize_block();

    constexpr int kWarps = kThreads / kWarpSize;
    const int tiles = static_cast<int>(tile_count(p.n));
#pragma unroll 1
    for (int tile = block_index() * kWarps + thread / kWarpSize; tile < tiles;
         tile += block_count() * kWarps) {
      const std::int64_t coordinate = std::int64_t{tile} * kTile + lane;
      // The padding of the last tile is computed as well, with gradients of 0.
      const float own_gradient =
          coordinate < p.n ? p.factors.gradient_scale * p.gradient[coordinate] : 0.0F;
      float inputs[kRows];
      const float direction = make_inputs(p, tile, own_gradient, lane, inputs);
      typename Forward::SlotWords input_words;
      Forward::split(inputs, input_words);
      const std::int64_t column = std::int64_t{tile} * kTile + 4 * g;
      if constexpr (keep) {
        if constexpr (Geometry::kModulated) p.kept.direction[coordinate] = direction;
        if (t < Geometry::kInputs) {
          store_vector(p.kept.inputs + t * p.kept.columns + column,
                       make_float4(inputs[0], inputs[1], inputs[2], inputs[3]));
        }
      }

      std::byte* const tile_state = p.state + std::int64_t{tile} * kTileBytes;
      std::byte* const hidden_states = tile_state + (t * kTile + 4 * g) * kNumbers.hidden;
      std::byte* const cells = tile_state + (t * kTile + 4 * g) * kNumbers.cell;
      Hidden below;
      float outputs[kOutputs][kRows] = {};
      for_each_index<Geometry::kLayers>([&](auto layer) {
        run_layer<layer()>(weights, hidden_states, cells, p.kept, column, lane, input_words, below,
                           outputs);
      });
      const float update = make_update(weights, t, outputs, direction);
      if (p.theta != nullptr && coordinate < p.n) {
        const float scale = p.factors.update_scale_of(tile);
        float theta = p.theta[coordinate];
        if (p.factors.weight_decay != 0.0F)
          theta = fused(-scale * p.factors.weight_decay, theta, theta);
        p.theta[coordinate] = fused(scale * p.output_scale, update, theta);
      }
    }
  }
};

template <class Geometry, Precision precision, bool keep>
__global__ void __launch_bounds__(LstmStep<Geometry, precision, keep>::kThreads,
                                  LstmStep<Geometry, precision, keep>::kBlocksPerMultiprocessor)
    lstm_step_kernel(const LstmStepParameters parameters) {
  LstmStep<Geometry, precision, keep>::run(parameters);
}

/// args.theta may be null, and kept.gates too: then nothing is kept.
template <class Geometry, Precision precision>
void lstm_step(const StepArgs& args, const KeptStep& kept, const Device& device) {
  const auto run = [&]<bool keep>(std::bool_constant<keep>) {
    using Step = LstmStep<Geometry, precision, keep>;
    constexpr int kTilesPerBlock = Step::kThreads / kWarpSize;
    launch("lstm_step_kernel", lstm_step_kernel<Geometry, precision, keep>, device,
           {.blocks = blocks_for(tile_count(args.n), kTilesPerBlock,
                                 device.multiprocessors * Step::kBlocksPerMultiprocessor),
            .threads = Step::kThreads,
            .shared_bytes = Step::kSharedWords * sizeof(std::uint32_t)},
           {.packed = static_cast<const std::uint32_t*>(args.packed),
            .gradient = args.gradient,
            .state = static_cast<std::byte*>(args.state),
            .theta = args.theta,
            .kept = kept,
            .n = args.n,
            .inputs = log_and_sign_constants(args.cell.lstm),
            .output_scale = args.cell.lstm.output_scale,
            .factors = StepFactors(args)});
  };
  if (kept.gates == nullptr) {
    run(std::false_type());
  } else {
    run(std::true_type());
  }
}

}  // namespace l2o::cuda
