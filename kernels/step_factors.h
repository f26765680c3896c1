// The factors of steps and of their backward pass: the scales and weights of StepArgs and
// UnrollBackwardArgs (op_args.h), where a null pointer means that all factors are 1.
#pragma once

#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/op_args.h"

namespace l2o {

/// theta += s (update(gradient_scale * gradient) - weight_decay theta), s = update_scale_of(tile).
struct StepFactors {
  explicit StepFactors(const StepArgs& args)
      : gradient_scale(args.gradient_scale),
        update_scale(args.update_scale),
        weight_decay(args.weight_decay),
        tile_scales(args.tile_scales) {}

  L2O_HOST_DEVICE float update_scale_of(std::int64_t tile) const {
    return tile_scales == nullptr ? update_scale : update_scale * tile_scales[tile];
  }

  float gradient_scale, update_scale, weight_decay;
  const float* tile_scales;  // [tile_count(N)]; null: all 1
};

/// Weights of coordinates and scales of their updates.
class UnrollFactors {
 public:
  explicit UnrollFactors(const UnrollBackwardArgs& args)
      : weights_(args.weights),
        tile_weights_(args.tile_weights),
        tile_scales_(args.tile_scales),
        tile_weight_stride_(args.tile_weight_stride),
        tile_scale_stride_(args.tile_scale_stride) {}

  /// Weight of a tile's gradients in evaluation t.
  L2O_HOST_DEVICE float weight(int t, std::int64_t tile) const {
    return evaluation_weight(t) * tile_weight(t, tile);
  }
  /// Its factors: w[t], and the weight of the tile.
  L2O_HOST_DEVICE float evaluation_weight(int t) const { return weights_[t]; }
  L2O_HOST_DEVICE float tile_weight(int t, std::int64_t tile) const {
    return tile_weights_ == nullptr ? 1.0F : tile_weights_[t * tile_weight_stride_ + tile];
  }
  /// Scale of a tile's updates in step t.
  L2O_HOST_DEVICE float update_scale(int t, std::int64_t tile) const {
    return tile_scales_ == nullptr ? 1.0F : tile_scales_[t * tile_scale_stride_ + tile];
  }
  /// Factors of the tiles starting at `tile`.
  UnrollFactors from_tile(std::int64_t tile) const {
    UnrollFactors moved = *this;
    if (tile_weights_ != nullptr) moved.tile_weights_ += tile;
    if (tile_scales_ != nullptr) moved.tile_scales_ += tile;
    return moved;
  }

 private:
  const float* weights_;       // [T+1] w[t]
  const float* tile_weights_;  // rows of tile_count(N); null: all 1
  const float* tile_scales_;   // likewise
  std::int64_t tile_weight_stride_, tile_scale_stride_;
};

/// Distance between rows of the trace.
inline std::int64_t trace_stride(const UnrollBackwardArgs& args) {
  return args.trace_stride == 0 ? args.n : args.trace_stride;
}

}  // namespace l2o
