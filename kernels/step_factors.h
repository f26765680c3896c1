// Factors of steps and of their backward pass, wrapping the pointers of StepArgs and
// UnrollBackwardArgs (op_args.h) that may be null.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/op_args.h"

namespace l2o {

/// theta += s (update(gradient * g) - decay theta), s = of_tile(its tile).
struct StepFactors {
  explicit StepFactors(const StepArgs& args)
      : gradient(args.gradient_scale),
        update(args.update_scale),
        decay(args.weight_decay),
        tiles(args.tile_scales) {}

  L2O_HOST_DEVICE float of_tile(std::int64_t tile) const {
    return tiles == nullptr ? update : update * tiles[tile];
  }

  float gradient, update, decay;
  const float* tiles;  // [tile_count(N)]; null: all 1
};

/// Weights of coordinates and scales of their updates.
struct UnrollFactors {
  explicit UnrollFactors(const UnrollBackwardArgs& args)
      : weights(args.weights),
        tile_weights(args.tile_weights),
        tile_scales(args.tile_scales),
        tile_weight_stride(args.tile_weight_stride),
        tile_scale_stride(args.tile_scale_stride) {}

  /// Weight of a tile in evaluation t, in addition to w[t].
  L2O_HOST_DEVICE float tile_weight(int t, std::int64_t tile) const {
    return tile_weights == nullptr ? 1.0F : tile_weights[t * tile_weight_stride + tile];
  }
  /// Scale of a tile's updates in step t.
  L2O_HOST_DEVICE float tile_scale(int t, std::int64_t tile) const {
    return tile_scales == nullptr ? 1.0F : tile_scales[t * tile_scale_stride + tile];
  }
  /// Factors of the tiles starting at `tile`.
  UnrollFactors from_tile(std::int64_t tile) const {
    UnrollFactors moved = *this;
    if (tile_weights != nullptr) moved.tile_weights += tile;
    if (tile_scales != nullptr) moved.tile_scales += tile;
    return moved;
  }

  const float* weights;       // [T+1] w[t]
  const float* tile_weights;  // rows of tile_count(N); null: all 1
  const float* tile_scales;   // likewise
  std::int64_t tile_weight_stride, tile_scale_stride;
};

/// Distance between rows of the trace.
inline std::int64_t trace_stride(const UnrollBackwardArgs& args) {
  return args.trace_stride == 0 ? args.n : args.trace_stride;
}

}  // namespace l2o
