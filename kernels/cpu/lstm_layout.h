// Layout of the buffers of the tuned LSTM, and partitioning of its work. Nothing here depends on
// the vector width. Symbols as in kernels/op_args.h; a "row" is one value of kTile neighboring
// coordinates, 128 contiguous bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/cells/lstm_cell.h"
#include "kernels/op_args.h"

namespace l2o::cpu {

/// Offsets in floats into phi, the source, and into `packed`, which the kernels read instead.
struct LstmLayout {
  explicit LstmLayout(const LstmConfig& lstm)
      : layers(lstm.layers),
        hidden(lstm.hidden),
        inputs(lstm.inputs()),
        outputs(lstm.outputs()),
        preprocessing(lstm.preprocessing_state()),
        has_direction(lstm.preprocessing == Preprocessing::kAdamMoments) {
    std::size_t next = 0;
    const auto take = [&next](std::size_t size) { return std::exchange(next, next + size); };
    const std::size_t gates = 4 * static_cast<std::size_t>(hidden);
    for (int l = 0; l < layers; ++l) {
      const std::size_t h = static_cast<std::size_t>(hidden);
      phi[l] = lstm_layer_layout(lstm, l);
      forward[l] = take(gates * (static_cast<std::size_t>(phi[l].inputs) + h));
      bias[l] = take(gates);
      backward_own[l] = take(gates * h);
      backward_below[l] = l > 0 ? take(gates * h) : next;
    }
    phi_output = static_cast<std::size_t>(lstm_output_offset(lstm));
    const std::size_t output_size = static_cast<std::size_t>(outputs * (hidden + 1));
    meta_size = phi_output + output_size;
    output = take(output_size);
    packed_size = next;
  }

  /// Input size of layer l, which reads the inputs or h of the layer below.
  int below(int l) const { return phi[l].inputs; }
  /// Offsets of h and c of layer l in a tile of state.
  std::size_t state_h(int l) const { return static_cast<std::size_t>(2 * l * hidden) * kTile; }
  std::size_t state_c(int l) const { return state_h(l) + static_cast<std::size_t>(hidden) * kTile; }
  /// Offset of the preprocessing's state, the last part of the tile.
  std::size_t state_preprocessing() const { return state_h(layers); }
  std::size_t state_size() const {
    return state_preprocessing() + static_cast<std::size_t>(preprocessing) * kTile;
  }

  int layers, hidden, inputs, outputs;
  int preprocessing;   // number of its state values
  bool has_direction;  // whether it returns Adam's direction
  LstmLayerLayout phi[LstmConfig::kMaxLayers];
  std::size_t phi_output;  // w_out [outputs, H], b_out [outputs]
  std::size_t meta_size;   // P

  // packed. Per layer: the weights of blocks of rows, [block][own + below][row], where rows are
  // [unit][4 gates]; their biases [unit][4 gates]; and the same weights for the backward pass,
  // unscaled: [block of rows of the result][unit][4 gates][row]. After the layers: w_out
  // [outputs, H], b_out [outputs].
  std::size_t forward[LstmConfig::kMaxLayers];
  std::size_t bias[LstmConfig::kMaxLayers];
  std::size_t backward_own[LstmConfig::kMaxLayers];
  std::size_t backward_below[LstmConfig::kMaxLayers];  // none in layer 0
  std::size_t output;
  std::size_t packed_size;
};

/// Scratch of one worker of the unroll backward, as offsets in floats. Gates, h and c are those of
/// one segment of steps; everything else exists once.
struct ReplayLayout {
  ReplayLayout(const LstmLayout& lstm, int unroll_length, int segment_length)
      : segments((unroll_length + segment_length - 1) / segment_length) {
    std::size_t next = 0;
    const auto take = [&next](std::size_t rows) {
      return std::exchange(next, next + rows * kTile);
    };
    const std::size_t h = static_cast<std::size_t>(lstm.hidden);
    const std::size_t steps = static_cast<std::size_t>(segment_length);
    gate_stride = (4 * steps + 1) * kTile;
    for (int l = 0; l < lstm.layers; ++l) {
      gates[l] = take(h * (4 * steps + 1));
      hidden[l] = take((steps + 1) * h);
      cell[l] = take((steps + 1) * h);
      hidden_adjoint[l] = take(h);
      cell_adjoint[l] = take(h);
    }
    inputs = take(steps * static_cast<std::size_t>(lstm.inputs));
    direction = take(lstm.has_direction ? steps : 0);
    preprocessing = take(static_cast<std::size_t>(lstm.preprocessing));
    trace = take(static_cast<std::size_t>(unroll_length) + 1);
    output_adjoint_stride = static_cast<std::size_t>(unroll_length) * kTile;
    output_adjoint = take(static_cast<std::size_t>(lstm.outputs * unroll_length));
    const bool several = segments > 1;
    checkpoints =
        take(several ? static_cast<std::size_t>(segments) * lstm.state_size() / kTile : 0);
    // Vectors of partial sums, of at most kTile lanes.
    partial_sums = take(several ? lstm.meta_size : 0);
    size = next;
  }

  int segments;
  /// [unit][step][4 gates] rows. Each unit is padded by one row, so that the units of a step do not
  /// map to the same cache sets when the segment length is a power of 2.
  std::size_t gates[LstmConfig::kMaxLayers];
  std::size_t gate_stride;
  std::size_t hidden[LstmConfig::kMaxLayers];          // [step + 1][H] rows, h before each step
  std::size_t cell[LstmConfig::kMaxLayers];            // likewise c
  std::size_t hidden_adjoint[LstmConfig::kMaxLayers];  // [H] rows
  std::size_t cell_adjoint[LstmConfig::kMaxLayers];    // [H] rows
  std::size_t inputs;         // [step][inputs] rows, after the preprocessing
  std::size_t direction;      // [step] rows, Adam's; for the modulated output
  std::size_t preprocessing;  // its state [rows], before the next step to be replayed
  std::size_t trace;          // [T+1] rows of this tile, padded with 0
  /// [outputs][T] rows. Until a segment has been replayed, the rows of output 0 hold the adjoints
  /// of the updates.
  std::size_t output_adjoint;
  std::size_t output_adjoint_stride;  // from one output to the next
  std::size_t checkpoints;            // [segment][S] rows; none with one segment
  std::size_t partial_sums;           // [P] vectors; none with one segment
  std::size_t size;
};

/// The unit of scheduling and of the second stage of the reduction: a run of neighboring tiles
/// whose gradients are summed in one array of doubles. Boundaries depend on N and P alone, so that
/// results do not depend on the number of threads.
struct ChunkPlan {
  static constexpr std::int64_t kMaxChunks = 128;
  static constexpr std::int64_t kMinTiles = 4;                              // per chunk
  static constexpr std::int64_t kMaxPartialBytes = std::int64_t{16} << 20;  // for all chunks

  ChunkPlan(std::int64_t n, std::size_t meta_size) : tiles(tile_count(n)) {
    const auto partial_bytes = static_cast<std::int64_t>(meta_size * sizeof(double));
    chunks = std::min({kMaxChunks, std::max(tiles / kMinTiles, std::int64_t{1}),
                       std::max(kMaxPartialBytes / partial_bytes, std::int64_t{1})});
  }

  std::int64_t first_tile(std::int64_t chunk) const {
    return chunk * (tiles / chunks) + std::min(chunk, tiles % chunks);
  }

  std::int64_t tiles;
  std::int64_t chunks;
};

}  // namespace l2o::cpu
