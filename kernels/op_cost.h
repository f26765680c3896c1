// The minimum work of each op, from which the benchmarks derive their roofs. One definition for all
// backends.
//
// bytes: the memory traffic if caches are empty at the start of the op and large enough for it:
//        each input read once, each output written once, float32 state.
// flops: those of the matrix products, a fused multiply-add counting as two. Activations, biases
//        and the preprocessing are not counted, so that a percentage of the roof is never flattered
//        by how they are computed; an op without matrix products has 0 and is bound by its bytes.
//
// Tensor cores multiply 16-bit numbers. If they compute an update rule's products, pass the
// precision: FLOPs are then those of 16-bit products, and the state has the size that is stored.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/cells/cell_list.h"
#include "kernels/cuda/state_layout.h"
#include "kernels/op_args.h"
#include "kernels/precision.h"

namespace l2o {

/// Products with W_in, W_ih, W_hh and w_out of one step of one coordinate: 9,960 at H = 20, L = 2
/// with two inputs.
constexpr double lstm_forward_flops(const LstmConfig& lstm) {
  double products = lstm.outputs() * lstm_output_inputs(lstm);
  products += lstm.input_projection * lstm.inputs();
  for (int layer = 0; layer < lstm.layers; ++layer) {
    products += 4.0 * lstm.hidden * (lstm_layer_layout(lstm, layer).inputs + lstm.hidden);
  }
  return 2.0 * products;
}

/// One coordinate-step of the unroll backward, 29,560 at the default shape: the replay, the
/// gradient of the weights (as many products again), and the gradient of their inputs, except the
/// preprocessed gradient, which is a constant.
constexpr double lstm_backward_flops(const LstmConfig& lstm) {
  const double readers = lstm.input_projection > 0 ? lstm.input_projection
                         : lstm.layers > 0         ? 4.0 * lstm.hidden
                                                   : 1.0;
  return 3.0 * lstm_forward_flops(lstm) - 2.0 * readers * lstm.inputs();
}

/// Number of 16-bit products per product: both factors are sums of 16-bit parts
/// (kernels/cuda/lstm_policy.cuh), and the product of two remainders is omitted.
struct TensorProducts {
  double forward;   ///< h and the inputs times the weights
  double backward;  ///< adjoints times the weights, and times h and the inputs
};
constexpr TensorProducts tensor_products(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return {3.0, 3.0};
    case Precision::kMixed:
      return {2.0, 1.0};
    case Precision::kHalf:
      break;
  }
  return {1.0, 1.0};
}

/// The precision of the learned rule if tensor cores multiply; empty if products are float32.
using TensorCores = std::optional<Precision>;

/// Bytes of the state of one coordinate.
inline double coordinate_state_bytes(const CellConfig& cell, TensorCores tensor_cores) {
  return static_cast<double>(cuda::state_tile_bytes(cell, tensor_cores.value_or(Precision::kF32))) /
         kTile;
}

inline double bytes(const PackArgs& args) { return 2.0 * 4.0 * cell_meta_size(args.cell); }
inline double flops(const PackArgs&) { return 0.0; }

/// Gradient, theta twice, state twice: 652 bytes per coordinate at the default shape; 492 at mixed
/// precision, 332 at half.
inline double bytes(const StepArgs& args, TensorCores tensor_cores = {}) {
  return static_cast<double>(args.n) *
         (3.0 * 4.0 + 2.0 * coordinate_state_bytes(args.cell, tensor_cores));
}
inline double flops(const StepArgs& args, TensorCores tensor_cores = {}) {
  if (args.cell.kind != kLstmKind) return 0.0;
  const double products = tensor_cores ? tensor_products(*tensor_cores).forward : 1.0;
  return static_cast<double>(args.n) * products * lstm_forward_flops(args.cell.lstm);
}

inline double bytes(const UnrollBackwardArgs& args, TensorCores tensor_cores = {}) {
  return static_cast<double>(args.n) *
             (4.0 * (args.unroll_length + 1.0) + coordinate_state_bytes(args.cell, tensor_cores)) +
         2.0 * 4.0 * cell_meta_size(args.cell);
}
inline double flops(const UnrollBackwardArgs& args, TensorCores tensor_cores = {}) {
  if (args.cell.kind != kLstmKind) return 0.0;
  const double replay = lstm_forward_flops(args.cell.lstm);
  const double back = lstm_backward_flops(args.cell.lstm) - replay;
  const TensorProducts products =
      tensor_cores ? tensor_products(*tensor_cores) : TensorProducts{1.0, 1.0};
  return static_cast<double>(args.n) * args.unroll_length *
         (products.forward * replay + products.backward * back);
}

/// phi and both moments twice, the gradient once.
constexpr double bytes(const MetaUpdateArgs& args) {
  return 7.0 * 4.0 * static_cast<double>(args.size);
}
constexpr double flops(const MetaUpdateArgs&) { return 0.0; }

constexpr double bytes(const LogLossWeightsArgs& args) {
  const double rows = args.evaluations;
  return 4.0 * (rows * static_cast<double>(args.tiles) + 2.0 * static_cast<double>(args.tiles) +
                rows * args.tasks);
}
constexpr double flops(const LogLossWeightsArgs&) { return 0.0; }

/// Every gradient twice: its norm is needed first.
constexpr double bytes(const CombineGradientsArgs& args) {
  return 4.0 * ((2.0 * args.count + 1.0) * static_cast<double>(args.size) +
                static_cast<double>(args.evaluations) * args.tasks + 3.0 * args.count + 1.0);
}
constexpr double flops(const CombineGradientsArgs&) { return 0.0; }

constexpr double bytes(const CountNotFiniteArgs& args) { return 4.0 * static_cast<double>(args.n); }
constexpr double flops(const CountNotFiniteArgs&) { return 0.0; }
constexpr double bytes(const ZeroNotFiniteArgs& args) {
  return 2.0 * 4.0 * static_cast<double>(args.n);
}
constexpr double flops(const ZeroNotFiniteArgs&) { return 0.0; }

constexpr double bytes(const FillRandomArgs& args) {
  return 4.0 * args.batch * static_cast<double>(args.count);
}
constexpr double flops(const FillRandomArgs&) { return 0.0; }

constexpr double bytes(const GemmArgs& args) {
  const double m = args.m, n = args.n, k = args.k;
  return 4.0 * args.batch * (m * k + k * n + m * n);
}
constexpr double flops(const GemmArgs& args) { return 2.0 * args.batch * args.m * args.n * args.k; }

constexpr double bytes(const BiasActivationArgs& args) {
  return 4.0 * args.batch * args.columns * (2.0 * args.rows + 1.0);
}
constexpr double flops(const BiasActivationArgs&) { return 0.0; }

/// The adjoint twice and y once; without an activation, only the adjoint is read, once.
constexpr double bytes(const BiasActivationBackwardArgs& args) {
  const double passes = args.activation == Activation::kIdentity ? 1.0 : 3.0;
  return 4.0 * args.batch * args.columns * (passes * args.rows + 1.0);
}
constexpr double flops(const BiasActivationBackwardArgs&) { return 0.0; }

constexpr double bytes(const ActivationArgs& args) {
  return 2.0 * 4.0 * static_cast<double>(args.n);
}
constexpr double flops(const ActivationArgs&) { return 0.0; }
/// Adjoints in and out, and the value that determines the slope.
constexpr double bytes(const ActivationBackwardArgs& args) {
  const double passes = args.activation == Activation::kIdentity ? 2.0 : 3.0;
  return passes * 4.0 * static_cast<double>(args.n);
}
constexpr double flops(const ActivationBackwardArgs&) { return 0.0; }

constexpr double bytes(const AddArgs& args) { return 3.0 * 4.0 * static_cast<double>(args.n); }
constexpr double flops(const AddArgs&) { return 0.0; }
constexpr double bytes(const MultiplyArgs& args) { return 3.0 * 4.0 * static_cast<double>(args.n); }
constexpr double flops(const MultiplyArgs&) { return 0.0; }

/// Number of values of the input, the output and the weights, over all tasks.
struct ConvolutionSizes {
  double input, output, weights;
};
constexpr ConvolutionSizes convolution_sizes(const ConvolutionShape& shape) {
  const double images = static_cast<double>(shape.batch) * shape.images;
  return {.input = images * shape.height * shape.width * shape.channels,
          .output = images * shape.out_height * shape.out_width * shape.out_channels,
          .weights = static_cast<double>(shape.batch) * shape.kernel * shape.kernel *
                     shape.channels * shape.out_channels};
}
/// Includes products with the zero padding: no implementation here skips them.
constexpr double convolution_flops(const ConvolutionShape& shape) {
  return 2.0 * convolution_sizes(shape).output * shape.kernel * shape.kernel * shape.channels;
}
constexpr double bytes(const ConvolutionArgs& args) {
  const ConvolutionSizes sizes = convolution_sizes(args.shape);
  return 4.0 * (sizes.input + sizes.output + sizes.weights +
                static_cast<double>(args.shape.batch) * args.shape.out_channels);
}
constexpr double flops(const ConvolutionArgs& args) { return convolution_flops(args.shape); }
constexpr double bytes(const ConvolutionBackwardInputArgs& args) {
  const ConvolutionSizes sizes = convolution_sizes(args.shape);
  return 4.0 * (sizes.input + sizes.output + sizes.weights);
}
constexpr double flops(const ConvolutionBackwardInputArgs& args) {
  return convolution_flops(args.shape);
}
constexpr double bytes(const ConvolutionBackwardWeightsArgs& args) {
  const ConvolutionSizes sizes = convolution_sizes(args.shape);
  return 4.0 * (sizes.input + sizes.output + sizes.weights);
}
constexpr double flops(const ConvolutionBackwardWeightsArgs& args) {
  return convolution_flops(args.shape);
}

/// Input and output, and `chosen` with kMax.
constexpr double pool_bytes(const PoolShape& shape) {
  const double images = static_cast<double>(shape.images) * shape.channels;
  const double output = images * shape.out_height * shape.out_width;
  return 4.0 * images * shape.height * shape.width +
         (shape.pooling == Pooling::kMax ? 4.0 + 2.0 : 4.0) * output;
}
constexpr double bytes(const PoolArgs& args) { return pool_bytes(args.shape); }
constexpr double flops(const PoolArgs&) { return 0.0; }
constexpr double bytes(const PoolBackwardArgs& args) { return pool_bytes(args.shape); }
constexpr double flops(const PoolBackwardArgs&) { return 0.0; }

/// Values in and out; scale, shift, mean and deviation of each column.
constexpr double bytes(const BatchNormArgs& args) {
  return 4.0 * args.batch * args.columns * (2.0 * static_cast<double>(args.rows) + 4.0);
}
constexpr double flops(const BatchNormArgs&) { return 0.0; }
/// The values, their adjoints in and out, and the output if there is an activation.
constexpr double bytes(const BatchNormBackwardArgs& args) {
  const double passes = args.activation == Activation::kIdentity ? 3.0 : 4.0;
  return 4.0 * args.batch * args.columns * (passes * static_cast<double>(args.rows) + 5.0);
}
constexpr double flops(const BatchNormBackwardArgs&) { return 0.0; }
constexpr double bytes(const LayerNormArgs& args) {
  return 4.0 * args.batch * (2.0 * args.rows * args.columns + 2.0 * args.columns + 2.0 * args.rows);
}
constexpr double flops(const LayerNormArgs&) { return 0.0; }
constexpr double bytes(const LayerNormBackwardArgs& args) {
  const double passes = args.activation == Activation::kIdentity ? 3.0 : 4.0;
  return 4.0 * args.batch *
         (passes * args.rows * args.columns + 3.0 * args.columns + 2.0 * args.rows);
}
constexpr double flops(const LayerNormBackwardArgs&) { return 0.0; }

/// Logits in and out; one label per row.
constexpr double bytes(const SoftmaxCrossEntropyArgs& args) {
  return args.batch * (args.rows * (2.0 * 4.0 * args.classes + 2.0) + 4.0);
}
constexpr double flops(const SoftmaxCrossEntropyArgs&) { return 0.0; }
constexpr double bytes(const MeanSquaredErrorArgs& args) {
  return 4.0 * args.batch * (3.0 * args.rows * args.columns + 1.0);
}
constexpr double flops(const MeanSquaredErrorArgs&) { return 0.0; }

/// theta once; the gradient and the loss twice.
constexpr double bytes(const L2PenaltyArgs& args) {
  return 4.0 * args.batch * (3.0 * static_cast<double>(args.count) + 2.0);
}
constexpr double flops(const L2PenaltyArgs&) { return 0.0; }
/// theta, centers and gradient; the loss twice.
constexpr double bytes(const ClippedSquaresArgs& args) {
  return 4.0 * args.batch * (3.0 * static_cast<double>(args.count) + 2.0);
}
constexpr double flops(const ClippedSquaresArgs&) { return 0.0; }

/// Drawn rows are read, and written as floats; labels and targets are copied.
constexpr double bytes(const GatherMinibatchArgs& args) {
  const double value = args.bytes != nullptr ? 1.0 : 4.0;
  const double label = args.labels != nullptr ? 2.0 * 2.0 : 0.0;
  const double target = args.targets != nullptr ? 2.0 * 4.0 * args.target_size : 0.0;
  return static_cast<double>(args.batch) * args.rows *
         (args.row_size * (value + 4.0) + label + target);
}
constexpr double flops(const GatherMinibatchArgs&) { return 0.0; }

/// W once; y, theta and the gradient.
constexpr double bytes(const QuadraticArgs& args) {
  const double dimension = args.dimension;
  return 4.0 * args.batch * (args.functions * (dimension * dimension + 3.0 * dimension) + 1.0);
}
/// W theta and W^T (W theta - y).
constexpr double flops(const QuadraticArgs& args) {
  return 4.0 * args.batch * args.functions * args.dimension * args.dimension;
}

}  // namespace l2o
