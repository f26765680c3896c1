// Arguments of the ops of optimizers, the same for all backends; those of optimizees are in
// optimizee_args.h.
//
// Symbols: N coordinates (of all tasks of a batch together), T steps of one unroll, B tasks,
// P meta-parameters, S = state values per coordinate, H hidden units, L LSTM layers.
// Unless stated otherwise, every pointer refers to float32, row-major backend memory; its shape
// follows in brackets. Buffers must not overlap unless marked "in place". A size of 0 is a no-op.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cells/cell.h"
#include "kernels/optimizee_args.h"

namespace l2o {

/// Coordinates per tile of the state. The state of a cell is [tile][S][kTile]: tiles are contiguous
/// and hold each state value of 32 neighboring coordinates side by side. The layout is the same on
/// every backend, whatever its vector width; the last tile is padded.
inline constexpr int kTile = 32;

/// Number of tiles that hold n coordinates, for any n.
constexpr std::int64_t tile_count(std::int64_t n) { return n / kTile + (n % kTile != 0 ? 1 : 0); }

/// Index of state value s of a coordinate in [tile][S][kTile]; value s + 1 is kTile elements later.
constexpr std::int64_t state_index(int state_size, int s, std::int64_t coordinate) {
  return (coordinate / kTile * state_size + s) * kTile + coordinate % kTile;
}

/// Packs phi into the operand order of the backend's kernels; once per meta-update.
struct PackArgs {
  CellConfig cell;
  const float* meta;  // [P]
  void* packed;       // [packed_bytes(cell)]
};

/// One step of the update rule on every coordinate:
///   theta += s (update(gradient_scale * gradient) - weight_decay * theta),
///   s = update_scale * tile_scales[tile].
/// The decay is decoupled from the gradient, as in AdamW (Loshchilov & Hutter 2019).
struct StepArgs {
  CellConfig cell;
  std::int64_t n = 0;
  const void* packed = nullptr;     // from PackArgs, [packed_bytes(cell)]
  const float* gradient = nullptr;  // [N]
  void* state = nullptr;            // [state_bytes(cell, N)], in place
  float* theta = nullptr;           // [N], in place
  float gradient_scale = 1.0F;
  float update_scale = 1.0F;
  float weight_decay = 0.0F;
  const float* tile_scales = nullptr;  // [tile_count(N)]; null: all 1
};

/// Replay memory of the backward pass, which visits the segments of an unroll from the last to the
/// first. For the current segment it holds the replayed values of every step, for the others only
/// the state at their start: a recompute checkpoint.
struct ReplayBytes {
  std::size_t per_step = 0;
  std::size_t per_checkpoint = 0;
};

/// d sum_t w[t] f(theta[t]) / d phi along one unroll; gradients flow along solid edges only:
///   lambda[T] = w[T] grad[T],  lambda[t] = lambda[t+1] + w[t] grad[t];
///   the adjoint of update[t] is lambda[t+1], times s[t] if the step scaled its updates by s[t].
/// Replays the unroll from its start state, so it needs only the gradient trace (docs/math.md).
struct UnrollBackwardArgs {
  CellConfig cell;
  std::int64_t n = 0;
  int unroll_length = 0;   // T
  int segment_length = 0;  // steps between recompute checkpoints, 1..T; does not affect the result
  const void* packed = nullptr;    // [packed_bytes(cell)]
  const float* trace = nullptr;    // [T+1] rows of N, grad[0..T]
  std::int64_t trace_stride = 0;   // between rows; 0: N
  const float* weights = nullptr;  // [T+1] w[0..T]
  /// In evaluation t the coordinates of tile i have weight tile_weights[t * tile_weight_stride + i]
  /// because several tasks share a meta-loss. With stride 0, all evaluations use the same weights.
  const float* tile_weights = nullptr;  // null: all 1
  std::int64_t tile_weight_stride = 0;
  /// Step t scaled the updates of tile i by tile_scales[t * tile_scale_stride + i].
  const float* tile_scales = nullptr;  // [T] rows of tile_count(N); null: all 1
  std::int64_t tile_scale_stride = 0;  // between rows
  const void* start_state = nullptr;   // [state_bytes(cell, N)] before step 0
  float* meta_gradient = nullptr;      // [P], overwritten
  void* scratch = nullptr;             // [unroll_backward_scratch_bytes(...)]
};

/// Result of one meta-update, in backend memory so that nothing has to wait for it.
struct MetaUpdateReport {
  float gradient_norm;   // before clipping
  std::int32_t applied;  // 0: a value was non-finite and nothing changed
};

/// Adam on phi (Kingma & Ba 2015, algorithm 1), with clipping to a norm. If the gradient or one of
/// its losses is non-finite, nothing changes, and the report says so.
struct MetaUpdateArgs {
  std::int64_t size = 0;                 // P
  float* meta = nullptr;                 // [P], in place
  float* first_moment = nullptr;         // [P], in place
  float* second_moment = nullptr;        // [P], in place
  std::int64_t* updates = nullptr;       // [1], in place: updates applied so far
  const float* meta_gradient = nullptr;  // [P]
  std::int64_t loss_count = 0;           // may be 0
  const float* losses = nullptr;         // [loss_count]
  const float* learning_rate = nullptr;  // [1]
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float clip_norm = 0.0F;              // 0: no clipping
  MetaUpdateReport* report = nullptr;  // [1]
};

/// Weights of the coordinates of tile i in evaluation t for a meta-loss of log f instead of f:
///   weights[t][i] = tile_weights[i] / max(losses[t][task_of_tile[i]], floor).
/// Below the floor, the meta-loss is extended linearly.
struct LogLossWeightsArgs {
  int evaluations = 0;                         // T+1
  std::int64_t tiles = 0;                      // tiles of complete tasks
  int tasks = 0;                               // B
  const float* losses = nullptr;               // [T+1, B]
  const float* tile_weights = nullptr;         // [tiles]
  const std::int32_t* task_of_tile = nullptr;  // [tiles]; -1: no task, weight 0
  float floor = 0.0F;                          // > 0
  float* weights = nullptr;                    // [T+1, tiles]
};

/// combined = sum over m of weights[m] gradients[m], each gradient clipped to a norm. Skips
/// gradients that are non-finite or have a non-finite loss; if all are skipped, combined is NaN.
struct CombineGradientsArgs {
  std::int64_t size = 0;                     // P
  int count = 0;                             // M
  const float* gradients = nullptr;          // [M, P]
  const float* weights = nullptr;            // [M]
  float clip_norm = 0.0F;                    // 0: no clipping
  int evaluations = 0;                       // T+1
  int tasks = 0;                             // B
  const float* losses = nullptr;             // [T+1, B]
  const std::int32_t* first_task = nullptr;  // [M+1]: gradient m has tasks from first_task[m]
  float* combined = nullptr;                 // [P]
  float* norms = nullptr;                    // [M] before clipping, or kLeftOut
};

/// *count = number of infinite or NaN values.
struct CountNotFiniteArgs {
  std::int64_t n = 0;
  const float* values = nullptr;  // [N]
  std::int64_t* count = nullptr;  // [1], overwritten even if N is 0
};

/// out = values, with infinities and NaNs replaced by 0.
struct ZeroNotFiniteArgs {
  std::int64_t n = 0;
  const float* values = nullptr;  // [N]
  float* out = nullptr;           // [N]
};

}  // namespace l2o
