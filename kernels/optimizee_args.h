// Arguments of the ops of optimizees, the same for all backends and batched over B tasks. A
// "stride" is the distance in elements from one task to the next; op_args.h describes the
// conventions of all ops.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/math/philox.h"

namespace l2o {

enum class Distribution : int {
  kUniform,     ///< a + b * U[0,1)
  kNormal,      ///< a + b * N(0,1)
  kLogUniform,  ///< exp(a + b * U[0,1))
};

/// out[task][i] = draw number first + i of the stream (key.seed, key.purpose, key.task + task,
/// key.step); with one_draw, draw number `first` for every i.
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

/// C[b] = op(A[b]) op(B[b]); dense row-major matrices.
struct GemmArgs {
  bool transpose_a = false;
  bool transpose_b = false;
  int m = 0, n = 0, k = 0;  // C is [m,n], op(A) [m,k], op(B) [k,n]
  int batch = 0;
  const float* a = nullptr;
  std::int64_t stride_a = 0;
  const float* b = nullptr;
  std::int64_t stride_b = 0;
  float* c = nullptr;
  std::int64_t stride_c = 0;
};

enum class Activation : int { kIdentity, kSigmoid, kRelu, kTanh, kElu, kSoftplus, kGelu };

/// Whether the slope can be computed from y = activation(z) alone. Ops that apply an activation in
/// place do not keep z and support only such activations.
constexpr bool slope_depends_only_on_output(Activation activation) {
  return activation != Activation::kGelu;
}

/// values = activation(values + bias); the bias is added to every row.
struct BiasActivationArgs {
  Activation activation = Activation::kIdentity;  // slope_depends_only_on_output
  int batch = 0, rows = 0, columns = 0;
  float* values = nullptr;      // [B, rows, columns], in place
  const float* bias = nullptr;  // [columns] per task
  std::int64_t bias_stride = 0;
};

/// adjoint *= activation'(z), expressed by y = activation(z); bias_gradient = its column sums.
struct BiasActivationBackwardArgs {
  Activation activation = Activation::kIdentity;  // slope_depends_only_on_output
  int batch = 0, rows = 0, columns = 0;
  const float* activated = nullptr;  // y [B, rows, columns]; not read for kIdentity
  float* adjoint = nullptr;          // [B, rows, columns], in place: d loss/d y -> d loss/d z
  float* bias_gradient = nullptr;    // [columns] per task, overwritten
  std::int64_t bias_gradient_stride = 0;
};

/// output = activation(input), elementwise: elu and softplus with their constant at 1, gelu with
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
/// u, v in [0, kernel); values outside the image are 0.
struct ConvolutionShape {
  int batch = 0;                            // B
  int images = 0;                           // R
  int height = 0, width = 0, channels = 0;  // size of the input
  int out_height = 0, out_width = 0, out_channels = 0;
  int kernel = 1;
  int stride = 1;
  int pad_top = 0, pad_left = 0;
};

/// output = activation(input * weights + bias).
struct ConvolutionArgs {
  ConvolutionShape shape;
  Activation activation = Activation::kIdentity;  // slope_depends_only_on_output
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
  std::int64_t images = 0;                  // images of all tasks
  int height = 0, width = 0, channels = 0;  // size of the input
  int out_height = 0, out_width = 0;
  int kernel_height = 1, kernel_width = 1;  // at most 256
  int stride = 1;
};

/// The maximum of each window (the first of equal values in row order, or the last NaN if there is
/// one), or its mean.
struct PoolArgs {
  PoolShape shape;
  const float* input = nullptr;     // [images, height, width, channels]
  float* output = nullptr;          // [images, out_height, out_width, channels]
  std::uint16_t* argmax = nullptr;  // shape of the output, kMax only: row-major index of the
                                    // maximum in its window
};

struct PoolBackwardArgs {
  PoolShape shape;
  const float* output_adjoint = nullptr;  // [images, out_height, out_width, channels]
  const std::uint16_t* argmax = nullptr;  // from PoolArgs, kMax only
  float* input_adjoint = nullptr;         // [images, height, width, channels], overwritten
};

/// Batch normalization (Ioffe & Szegedy 2015), always with the statistics of the minibatch: with
/// mean and (biased) variance of each column over the rows of its task,
///   output = activation(scale * (input - mean) / sqrt(variance + epsilon) + shift).
struct BatchNormArgs {
  Activation activation = Activation::kIdentity;  // slope_depends_only_on_output
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
  float* input_adjoint = nullptr;         // [B, rows, columns], overwritten; null: not computed
  float* scale_gradient = nullptr;        // [columns] per task, overwritten
  std::int64_t scale_gradient_stride = 0;
  float* shift_gradient = nullptr;  // [columns] per task, overwritten
  std::int64_t shift_gradient_stride = 0;
};

/// Layer normalization (Ba, Kiros, Hinton 2016): like batch normalization, but with mean and
/// variance of each row over its columns.
struct LayerNormArgs {
  Activation activation = Activation::kIdentity;  // slope_depends_only_on_output
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
  float* input_adjoint = nullptr;         // [B, rows, columns], overwritten; null: not computed
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
  std::int64_t count = 0;        // parameters per task
  const float* theta = nullptr;  // [B] blocks of [count], `stride` apart
  float* gradient = nullptr;     // likewise, in place
  std::int64_t stride = 0;
  float* loss = nullptr;  // [B], in place
};

/// loss += mean over the count of min((theta - center)^2, 10), and its gradient: the convex
/// coordinates of RNNProp (Lv, Jiang, Li 2017).
struct ClippedSquaresArgs {
  int batch = 0;
  std::int64_t count = 0;          // coordinates per task
  const float* centers = nullptr;  // [B, count]
  const float* theta = nullptr;    // [B] blocks of [count], `stride` apart
  float* gradient = nullptr;       // likewise, overwritten
  std::int64_t stride = 0;
  float* loss = nullptr;  // [B], in place
};

/// A new minibatch for every task: rows drawn uniformly, with replacement, from a data set.
/// Row r of task b is data set row floor(U * count), U the r-th draw of the stream
/// (key.seed, key.purpose, key.task + b, key.step + step). Value i of a row becomes
/// value * scale[i % channels] + shift[i % channels].
struct GatherMinibatchArgs {
  const RandomKey* key = nullptr;  // [1]: recorded work can be replayed with another key
  std::uint32_t step = 0;
  int batch = 0, rows = 0;
  std::int64_t count = 0;                 // rows of the data set
  int row_size = 0;                       // values per row
  int channels = 1;                       // a divisor of row_size
  const std::uint8_t* bytes = nullptr;    // [count, row_size], or
  const float* values = nullptr;          // [count, row_size]; exactly one is set
  const float* scale = nullptr;           // [channels]
  const float* shift = nullptr;           // [channels]
  const std::uint16_t* labels = nullptr;  // [count]; null: no labels
  const float* targets = nullptr;         // [count, target_size]; null: no targets
  int target_size = 0;
  float* minibatch = nullptr;                 // [B, rows, row_size]
  std::uint16_t* minibatch_labels = nullptr;  // [B, rows], if there are labels
  float* minibatch_targets = nullptr;         // [B, rows, target_size], if there are targets
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
  std::int64_t stride = 0;          // of theta and gradient
  float* loss = nullptr;            // [B]
};

}  // namespace l2o
