// Arguments of every op, the same for all backends.
//
// Symbols: N coordinates (of all tasks of a batch together), T steps of one unroll, B tasks,
// P meta-parameters, S = state values per coordinate, H hidden units, L LSTM layers.
// Every pointer is backend memory, float32 and row-major unless it says otherwise; its shape stands
// behind it. Buffers may not overlap unless it says "in place". A size of 0 is a no-op.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cells/cell.h"
#include "kernels/math/philox.h"

namespace l2o {

/// Coordinates per tile of the state. The state of a cell is [tile][S][kTile]: a tile contiguous,
/// one state value of 32 neighbouring coordinates side by side. Part of the layout on every
/// backend, whatever its vector width; the last tile is padded.
inline constexpr int kTile = 32;

/// Tiles of n coordinates, for any n.
constexpr std::int64_t tile_count(std::int64_t n) { return n / kTile + (n % kTile != 0 ? 1 : 0); }

/// Place of state value s of a coordinate in [tile][S][kTile]; the next s is kTile further on.
constexpr std::int64_t state_index(int state_size, int s, std::int64_t coordinate) {
  return (coordinate / kTile * state_size + s) * kTile + coordinate % kTile;
}

// ---------------------------------------------------------------------------------- optimizer ops

/// Brings phi into the operand order of the backend's kernels; once per meta-update.
struct PackArgs {
  CellConfig cell;
  const float* meta;  // [P]
  void* packed;       // [packed_bytes(cell)]
};

/// One step of the update rule on every coordinate: theta += update.
struct StepArgs {
  CellConfig cell;
  std::int64_t n = 0;
  const void* packed = nullptr;     // from PackArgs, [packed_bytes(cell)]
  const float* gradient = nullptr;  // [N]
  void* state = nullptr;            // [state_bytes(cell, N)], in place
  float* theta = nullptr;           // [N], in place
};

/// d sum_t w[t] f(theta[t]) / d phi along one unroll, gradients flowing along solid edges only:
///   lambda[T] = w[T] grad[T],  lambda[t] = lambda[t+1] + w[t] grad[t];
///   the adjoint of update[t] is lambda[t+1].
/// Replays the unroll from its start state, so it needs only the gradient trace (docs/math.md).
struct UnrollBackwardArgs {
  CellConfig cell;
  std::int64_t n = 0;
  int unroll_length = 0;   // T
  int segment_length = 0;  // steps between recompute checkpoints, 1..T; never changes the result
  const void* packed = nullptr;       // [packed_bytes(cell)]
  const float* trace = nullptr;       // [T+1, N] grad[0..T]
  const float* weights = nullptr;     // [T+1] w[0..T]
  const void* start_state = nullptr;  // [state_bytes(cell, N)] before step 0
  float* meta_gradient = nullptr;     // [P], overwritten
  void* scratch = nullptr;            // [unroll_backward_scratch_bytes(...)]
};

/// What one meta-update did; in backend memory so that nothing has to wait for it.
struct MetaUpdateReport {
  float gradient_norm;   // before clipping
  std::int32_t applied;  // 0: something was not finite and nothing changed
};

/// Adam on phi (Kingma & Ba 2015, algorithm 1), with clipping to a norm. Where the gradient or one
/// of the losses that it belongs to is not finite, nothing changes, which is reported.
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

/// *count = how many of the values are infinite or NaN.
struct CountNotFiniteArgs {
  std::int64_t n = 0;
  const float* values = nullptr;  // [N]
  std::int64_t* count = nullptr;  // [1], overwritten, also where N is 0
};

/// out = values, with 0 in place of what is infinite or NaN.
struct ZeroNotFiniteArgs {
  std::int64_t n = 0;
  const float* values = nullptr;  // [N]
  float* out = nullptr;           // [N]
};

// ---------------------------------------------------------------------------------- optimizee ops
// Batched over B tasks. A "stride" is the distance in elements from one task to the next.

enum class Distribution : int {
  kUniform,  ///< a + b * U[0,1)
  kNormal,   ///< a + b * N(0,1)
};

/// out[task][i] = draw number i of the stream (key.seed, key.purpose, key.task + task, key.step).
struct FillRandomArgs {
  Distribution distribution = Distribution::kUniform;
  float a = 0.0F;
  float b = 1.0F;
  RandomKey key;
  int batch = 0;           // B
  std::int64_t count = 0;  // values per task
  float* out = nullptr;    // [B] blocks of [count], `stride` apart
  std::int64_t stride = 0;
};

/// C[b] = alpha op(A[b]) op(B[b]) + beta C[b]; dense row-major matrices.
struct GemmArgs {
  bool transpose_a = false;
  bool transpose_b = false;
  int m = 0, n = 0, k = 0;  // C is [m,n], op(A) [m,k], op(B) [k,n]
  float alpha = 1.0F, beta = 0.0F;
  int batch = 0;
  const float* a = nullptr;
  std::int64_t stride_a = 0;
  const float* b = nullptr;
  std::int64_t stride_b = 0;
  float* c = nullptr;
  std::int64_t stride_c = 0;
};

enum class Activation : int { kIdentity, kSigmoid, kRelu, kTanh };

/// values = activation(values + bias), the bias added to every row.
struct BiasActivationArgs {
  Activation activation = Activation::kIdentity;
  int batch = 0, rows = 0, columns = 0;
  float* values = nullptr;      // [B, rows, columns], in place
  const float* bias = nullptr;  // [columns] per task
  std::int64_t bias_stride = 0;
};

/// adjoint *= activation'(z), expressed by y = activation(z); bias_gradient = its column sums.
struct BiasActivationBackwardArgs {
  Activation activation = Activation::kIdentity;
  int batch = 0, rows = 0, columns = 0;
  const float* activated = nullptr;  // y [B, rows, columns]; not read for kIdentity
  float* adjoint = nullptr;          // [B, rows, columns], in place: d loss/d y -> d loss/d z
  float* bias_gradient = nullptr;    // [columns] per task, overwritten
  std::int64_t bias_gradient_stride = 0;
};

/// Mean cross-entropy of softmax(logits) over the rows, and its gradient.
struct SoftmaxCrossEntropyArgs {
  int batch = 0, rows = 0, classes = 0;
  float* logits = nullptr;               // [B, rows, classes], in place: becomes d loss / d logits
  const std::uint8_t* labels = nullptr;  // [B, rows]
  float* loss = nullptr;                 // [B]
};

/// A fresh minibatch for every task: rows drawn uniformly, with replacement, from a data set.
/// Row r of task b is data set row floor(U * count), U the r-th draw of the stream
/// (key.seed, key.purpose, key.task + b, key.step + step).
struct GatherMinibatchArgs {
  const RandomKey* key = nullptr;  // [1]: recorded work can be repeated with another one
  std::uint32_t step = 0;
  int batch = 0, rows = 0;
  std::int64_t count = 0;                    // rows of the data set
  int row_size = 0;                          // values of a row
  const std::uint8_t* inputs = nullptr;      // [count, row_size]
  const std::uint8_t* labels = nullptr;      // [count]
  float scale = 1.0F / 255.0F;               // applied to every value
  float* minibatch = nullptr;                // [B, rows, row_size]
  std::uint8_t* minibatch_labels = nullptr;  // [B, rows]
};

/// loss = scale * sum_f ||W_f theta_f - y_f||^2 and its gradient, over F functions of
/// D coordinates.
struct QuadraticArgs {
  int batch = 0, functions = 0, dimension = 0;  // B, F, D
  float scale = 1.0F;
  const float* matrices = nullptr;  // W [B, F, D, D]
  const float* targets = nullptr;   // y [B, F, D]
  const float* theta = nullptr;     // [B, F, D]
  float* loss = nullptr;            // [B]
  float* gradient = nullptr;        // [B, F, D]
};

}  // namespace l2o
