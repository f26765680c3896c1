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

/// d sum_t w[t] f(theta[t]) / d phi along one unroll, gradients flowing along solid edges only:
///   lambda[T] = w[T] grad[T],  lambda[t] = lambda[t+1] + w[t] grad[t];
///   the adjoint of update[t] is lambda[t+1], times s[t] where the step scaled its updates by s[t].
/// Replays the unroll from its start state, so it needs only the gradient trace (docs/math.md).
struct UnrollBackwardArgs {
  CellConfig cell;
  std::int64_t n = 0;
  int unroll_length = 0;   // T
  int segment_length = 0;  // steps between recompute checkpoints, 1..T; never changes the result
  const void* packed = nullptr;    // [packed_bytes(cell)]
  const float* trace = nullptr;    // [T+1] rows of N, grad[0..T]
  std::int64_t trace_stride = 0;   // from row to row; 0: N
  const float* weights = nullptr;  // [T+1] w[0..T]
  /// In evaluation t the coordinates of tile i count tile_weights[t * tile_weight_stride + i]
  /// times: several tasks share a meta-loss. With stride 0 the same in all of them.
  const float* tile_weights = nullptr;  // null: all 1
  std::int64_t tile_weight_stride = 0;
  /// What step t scaled the updates of tile i by: tile_scales[t * tile_scale_stride + i].
  const float* tile_scales = nullptr;  // [T] rows of tile_count(N); null: all 1
  std::int64_t tile_scale_stride = 0;  // from row to row
  const void* start_state = nullptr;   // [state_bytes(cell, N)] before step 0
  float* meta_gradient = nullptr;      // [P], overwritten
  void* scratch = nullptr;             // [unroll_backward_scratch_bytes(...)]
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

/// For a meta-loss of log f in place of f: what the coordinates of tile i count in evaluation t,
///   weights[t][i] = tile_weights[i] / max(losses[t][task_of_tile[i]], floor).
/// Below the floor the meta-loss goes on as a straight line.
struct LogLossWeightsArgs {
  int evaluations = 0;                         // T+1
  std::int64_t tiles = 0;                      // of whole tasks
  int tasks = 0;                               // B
  const float* losses = nullptr;               // [T+1, B]
  const float* tile_weights = nullptr;         // [tiles]
  const std::int32_t* task_of_tile = nullptr;  // [tiles]; -1: none, which counts 0
  float floor = 0.0F;                          // > 0
  float* weights = nullptr;                    // [T+1, tiles]
};

/// combined = sum over m of weights[m] gradients[m], each gradient clipped to a norm. One that is
/// not finite, or one of whose losses is not, is left out; where all are, combined is NaN.
struct CombineGradientsArgs {
  std::int64_t size = 0;                     // P
  int count = 0;                             // M
  const float* gradients = nullptr;          // [M, P]
  const float* weights = nullptr;            // [M]
  float clip_norm = 0.0F;                    // 0: no clipping
  int evaluations = 0;                       // T+1
  int tasks = 0;                             // B
  const float* losses = nullptr;             // [T+1, B]
  const std::int32_t* first_task = nullptr;  // [M+1]: gradient m has tasks first_task[m] and on
  float* combined = nullptr;                 // [P]
  float* norms = nullptr;                    // [M] before clipping; -1: left out
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
  kUniform,     ///< a + b * U[0,1)
  kNormal,      ///< a + b * N(0,1)
  kLogUniform,  ///< exp(a + b * U[0,1))
};

/// out[task][i] = draw number first + i of the stream (key.seed, key.purpose, key.task + task,
/// key.step); with one_draw, number `first` for every i.
struct FillRandomArgs {
  Distribution distribution = Distribution::kUniform;
  float a = 0.0F;
  float b = 1.0F;
  RandomKey key;
  std::int64_t first = 0;
  bool one_draw = false;
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

enum class Activation : int { kIdentity, kSigmoid, kRelu, kTanh, kElu, kSoftplus, kGelu };

/// Whether the slope follows from y = activation(z) alone. Ops that apply an activation in place
/// keep no z and take no other.
constexpr bool has_slope_by_value(Activation activation) { return activation != Activation::kGelu; }

/// values = activation(values + bias), the bias added to every row.
struct BiasActivationArgs {
  Activation activation = Activation::kIdentity;  // has_slope_by_value
  int batch = 0, rows = 0, columns = 0;
  float* values = nullptr;      // [B, rows, columns], in place
  const float* bias = nullptr;  // [columns] per task
  std::int64_t bias_stride = 0;
};

/// adjoint *= activation'(z), expressed by y = activation(z); bias_gradient = its column sums.
struct BiasActivationBackwardArgs {
  Activation activation = Activation::kIdentity;  // has_slope_by_value
  int batch = 0, rows = 0, columns = 0;
  const float* activated = nullptr;  // y [B, rows, columns]; not read for kIdentity
  float* adjoint = nullptr;          // [B, rows, columns], in place: d loss/d y -> d loss/d z
  float* bias_gradient = nullptr;    // [columns] per task, overwritten
  std::int64_t bias_gradient_stride = 0;
};

/// output = activation(input), value by value: elu and softplus with their constant at 1, gelu by
/// the error function.
struct ActivationArgs {
  Activation activation = Activation::kIdentity;
  std::int64_t n = 0;
  const float* input = nullptr;  // z [N]
  float* output = nullptr;       // y [N]
};

/// input_adjoint = output_adjoint * activation'(z).
struct ActivationBackwardArgs {
  Activation activation = Activation::kIdentity;
  std::int64_t n = 0;
  const float* input = nullptr;           // z [N]
  const float* output = nullptr;          // y [N]
  const float* output_adjoint = nullptr;  // d loss / d y [N]
  float* input_adjoint = nullptr;         // d loss / d z [N]
};

/// values += addend.
struct AddArgs {
  std::int64_t n = 0;
  const float* addend = nullptr;  // [N]
  float* values = nullptr;        // [N], in place
};

/// out = values * factors, or values / factors.
struct MultiplyArgs {
  bool divide = false;
  std::int64_t n = 0;
  const float* values = nullptr;   // [N]
  const float* factors = nullptr;  // [N]
  float* out = nullptr;            // [N], may be `values`
};

// Images are [images, height, width, channels], channels fastest.

/// A convolution with a square window, the same for R images of each of B tasks. The value at
/// output (i, j) reads the input at (i * stride - pad_top + u, j * stride - pad_left + v) for
/// u, v in [0, kernel); what lies outside of the image is 0.
struct ConvolutionShape {
  int batch = 0;                            // B
  int images = 0;                           // R
  int height = 0, width = 0, channels = 0;  // of the input
  int out_height = 0, out_width = 0, out_channels = 0;
  int kernel = 1;
  int stride = 1;
  int pad_top = 0, pad_left = 0;
};

/// output = activation(input * weights + bias).
struct ConvolutionArgs {
  ConvolutionShape shape;
  Activation activation = Activation::kIdentity;  // has_slope_by_value
  const float* input = nullptr;                   // [B, R, height, width, channels]
  const float* weights = nullptr;  // [kernel, kernel, channels, out_channels] per task
  std::int64_t weights_stride = 0;
  const float* bias = nullptr;  // [out_channels] per task
  std::int64_t bias_stride = 0;
  float* output = nullptr;  // [B, R, out_height, out_width, out_channels]
};

struct ConvolutionBackwardInputArgs {
  ConvolutionShape shape;
  const float* output_adjoint = nullptr;  // d loss / d (input * weights), shape of the output
  const float* weights = nullptr;         // [kernel, kernel, channels, out_channels] per task
  std::int64_t weights_stride = 0;
  float* input_adjoint = nullptr;  // [B, R, height, width, channels], overwritten
};

struct ConvolutionBackwardWeightsArgs {
  ConvolutionShape shape;
  const float* input = nullptr;           // [B, R, height, width, channels]
  const float* output_adjoint = nullptr;  // d loss / d (input * weights), shape of the output
  float* weights_gradient = nullptr;      // [kernel, kernel, channels, out_channels] per task,
                                          // overwritten
  std::int64_t weights_gradient_stride = 0;
};

enum class Pooling : int { kMax, kMean };

/// Windows of kernel_height x kernel_width values, `stride` apart, all of them inside the image.
struct PoolShape {
  Pooling pooling = Pooling::kMax;
  std::int64_t images = 0;                  // of all tasks
  int height = 0, width = 0, channels = 0;  // of the input
  int out_height = 0, out_width = 0;
  int kernel_height = 1, kernel_width = 1;  // at most 256
  int stride = 1;
};

/// The largest value of each window, the first of equals in the order of rows, or NaN where there
/// is one; or their mean.
struct PoolArgs {
  PoolShape shape;
  const float* input = nullptr;     // [images, height, width, channels]
  float* output = nullptr;          // [images, out_height, out_width, channels]
  std::uint16_t* chosen = nullptr;  // like the output, kMax only: which of its window's values,
                                    // counted row by row, it is
};

struct PoolBackwardArgs {
  PoolShape shape;
  const float* output_adjoint = nullptr;  // [images, out_height, out_width, channels]
  const std::uint16_t* chosen = nullptr;  // from PoolArgs, kMax only
  float* input_adjoint = nullptr;         // [images, height, width, channels], overwritten
};

/// Batch normalisation (Ioffe & Szegedy 2015), always by the statistics of the minibatch: with mean
/// and (biased) variance of each column over the rows of its task,
///   output = activation(scale * (input - mean) / sqrt(variance + epsilon) + shift).
struct BatchNormArgs {
  Activation activation = Activation::kIdentity;  // has_slope_by_value
  int batch = 0;
  std::int64_t rows = 0;
  int columns = 0;
  float epsilon = 1e-5F;
  const float* input = nullptr;  // [B, rows, columns]
  const float* scale = nullptr;  // [columns] per task
  std::int64_t scale_stride = 0;
  const float* shift = nullptr;  // [columns] per task
  std::int64_t shift_stride = 0;
  float* output = nullptr;             // [B, rows, columns]
  float* mean = nullptr;               // [B, columns]
  float* inverse_deviation = nullptr;  // 1 / sqrt(variance + epsilon) [B, columns]
};

struct BatchNormBackwardArgs {
  Activation activation = Activation::kIdentity;
  int batch = 0;
  std::int64_t rows = 0;
  int columns = 0;
  const float* input = nullptr;              // [B, rows, columns]
  const float* output = nullptr;             // [B, rows, columns]; not read for kIdentity
  const float* mean = nullptr;               // [B, columns]
  const float* inverse_deviation = nullptr;  // [B, columns]
  const float* scale = nullptr;              // [columns] per task
  std::int64_t scale_stride = 0;
  const float* output_adjoint = nullptr;  // [B, rows, columns]
  float* input_adjoint = nullptr;         // [B, rows, columns], overwritten; null: not wanted
  float* scale_gradient = nullptr;        // [columns] per task, overwritten
  std::int64_t scale_gradient_stride = 0;
  float* shift_gradient = nullptr;  // [columns] per task, overwritten
  std::int64_t shift_gradient_stride = 0;
};

/// Layer normalisation (Ba, Kiros, Hinton 2016): as batch normalisation, with mean and variance of
/// each row over its columns.
struct LayerNormArgs {
  Activation activation = Activation::kIdentity;  // has_slope_by_value
  int batch = 0, rows = 0, columns = 0;
  float epsilon = 1e-5F;
  const float* input = nullptr;  // [B, rows, columns]
  const float* scale = nullptr;  // [columns] per task
  std::int64_t scale_stride = 0;
  const float* shift = nullptr;  // [columns] per task
  std::int64_t shift_stride = 0;
  float* output = nullptr;             // [B, rows, columns]
  float* mean = nullptr;               // [B, rows]
  float* inverse_deviation = nullptr;  // [B, rows]
};

struct LayerNormBackwardArgs {
  Activation activation = Activation::kIdentity;
  int batch = 0, rows = 0, columns = 0;
  const float* input = nullptr;              // [B, rows, columns]
  const float* output = nullptr;             // [B, rows, columns]; not read for kIdentity
  const float* mean = nullptr;               // [B, rows]
  const float* inverse_deviation = nullptr;  // [B, rows]
  const float* scale = nullptr;              // [columns] per task
  std::int64_t scale_stride = 0;
  const float* output_adjoint = nullptr;  // [B, rows, columns]
  float* input_adjoint = nullptr;         // [B, rows, columns], overwritten; null: not wanted
  float* scale_gradient = nullptr;        // [columns] per task, overwritten
  std::int64_t scale_gradient_stride = 0;
  float* shift_gradient = nullptr;  // [columns] per task, overwritten
  std::int64_t shift_gradient_stride = 0;
};

/// Mean cross-entropy of softmax(logits) over the rows, and its gradient.
struct SoftmaxCrossEntropyArgs {
  int batch = 0, rows = 0, classes = 0;
  float* logits = nullptr;                // [B, rows, classes], in place: d loss / d logits
  const std::uint16_t* labels = nullptr;  // [B, rows]
  float* loss = nullptr;                  // [B]
};

/// loss = mean of (values - targets)^2 over rows and columns, and its gradient.
struct MeanSquaredErrorArgs {
  int batch = 0, rows = 0, columns = 0;
  float* values = nullptr;         // [B, rows, columns], in place: d loss / d values
  const float* targets = nullptr;  // [B, rows, columns]
  float* loss = nullptr;           // [B]
};

/// loss += weight / 2 * sum theta^2, gradient += weight * theta.
struct L2PenaltyArgs {
  float weight = 0.0F;
  int batch = 0;
  std::int64_t count = 0;        // parameters of a task
  const float* theta = nullptr;  // [B] blocks of [count], `stride` apart
  float* gradient = nullptr;     // likewise, in place
  std::int64_t stride = 0;
  float* loss = nullptr;  // [B], in place
};

/// loss += mean over the count of min((theta - centre)^2, 10), and its gradient: the convex
/// coordinates of RNNProp (Lv, Jiang, Li 2017).
struct ClippedSquaresArgs {
  int batch = 0;
  std::int64_t count = 0;          // coordinates of a task
  const float* centres = nullptr;  // [B, count]
  const float* theta = nullptr;    // [B] blocks of [count], `stride` apart
  float* gradient = nullptr;       // likewise, overwritten
  std::int64_t stride = 0;
  float* loss = nullptr;  // [B], in place
};

/// A fresh minibatch for every task: rows drawn uniformly, with replacement, from a data set.
/// Row r of task b is data set row floor(U * count), U the r-th draw of the stream
/// (key.seed, key.purpose, key.task + b, key.step + step). Value i of a row becomes
/// value * scale[i % channels] + shift[i % channels].
struct GatherMinibatchArgs {
  const RandomKey* key = nullptr;  // [1]: recorded work can be repeated with another one
  std::uint32_t step = 0;
  int batch = 0, rows = 0;
  std::int64_t count = 0;                 // rows of the data set
  int row_size = 0;                       // values of a row
  int channels = 1;                       // a divisor of row_size
  const std::uint8_t* bytes = nullptr;    // [count, row_size], or
  const float* values = nullptr;          // [count, row_size]: one of the two
  const float* scale = nullptr;           // [channels]
  const float* shift = nullptr;           // [channels]
  const std::uint16_t* labels = nullptr;  // [count]; null: there are none
  const float* targets = nullptr;         // [count, target_size]; null: there are none
  int target_size = 0;
  float* minibatch = nullptr;                 // [B, rows, row_size]
  std::uint16_t* minibatch_labels = nullptr;  // [B, rows], where there are labels
  float* minibatch_targets = nullptr;         // [B, rows, target_size], where there are targets
};

/// loss = scale * sum_f ||W_f theta_f - y_f||^2 and its gradient, over F functions of
/// D coordinates.
struct QuadraticArgs {
  int batch = 0, functions = 0, dimension = 0;  // B, F, D
  float scale = 1.0F;
  const float* matrices = nullptr;  // W [B, F, D, D]
  const float* targets = nullptr;   // y [B, F, D]
  const float* theta = nullptr;     // [F, D] per task
  float* gradient = nullptr;        // [F, D] per task, overwritten
  std::int64_t stride = 0;          // of both
  float* loss = nullptr;            // [B]
};

}  // namespace l2o
