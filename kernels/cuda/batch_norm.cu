// Batch normalization with the statistics of the minibatch, and its backward pass:
//   x^ = (x - mean) r, y = activation(scale x^ + shift), r = 1 / sqrt(variance + epsilon);
//   with dz = dy activation'(z), the sums over the rows are
//   d shift = sum dz, d scale = sum dz x^, and dx = scale r (dz - mean(dz) - x^ mean(dz x^)).
#include <cmath>
#include <cstdint>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

// --------------------------------------------------------------------------------------- forward

/// Sums of x - x0 and of its square, x0 being the column's first value, so that no digits are lost
/// if the mean is large.
struct Statistics {
  BatchNormArgs args;

  L2O_DEVICE void add(std::int64_t task, std::int64_t row, int column, TwoSums& sums) const {
    const float* column_values = args.input + task * args.rows * args.columns + column;
    const double difference = double{column_values[row * args.columns]} - double{column_values[0]};
    sums.first += difference;
    sums.second += difference * difference;
  }
  L2O_DEVICE void finish(std::int64_t task, int column, const TwoSums& sums) const {
    const auto rows = static_cast<double>(args.rows);
    const double difference = sums.first / rows;
    const double variance = std::fmax(sums.second / rows - difference * difference, 0.0);
    const double first = args.input[task * args.rows * args.columns + column];
    args.mean[task * args.columns + column] = static_cast<float>(first + difference);
    args.inverse_deviation[task * args.columns + column] =
        static_cast<float>(1.0 / std::sqrt(variance + double{args.epsilon}));
  }
};

struct Normalize {
  BatchNormArgs args;

  L2O_DEVICE void operator()(std::int64_t task, int column, std::int64_t at) const {
    const std::int64_t statistic_index = task * args.columns + column;
    const float scale = args.scale[task * args.scale_stride + column];
    const float shift = args.shift[task * args.shift_stride + column];
    const float normalized =
        (args.input[at] - args.mean[statistic_index]) * args.inverse_deviation[statistic_index];
    args.output[at] = activate(args.activation, normalized * scale + shift);
  }
};

// -------------------------------------------------------------------------------------- backward

L2O_DEVICE float adjoint_at(const BatchNormBackwardArgs& args, std::int64_t at) {
  const float adjoint = args.output_adjoint[at];
  return args.activation == Activation::kIdentity
             ? adjoint
             : adjoint * activation_slope(args.activation, args.output[at]);
}

L2O_DEVICE float normalized_at(const BatchNormBackwardArgs& args, std::int64_t task, int column,
                               std::int64_t at) {
  const std::int64_t statistic_index = task * args.columns + column;
  return (args.input[at] - args.mean[statistic_index]) * args.inverse_deviation[statistic_index];
}

struct ScaleAndShiftGradients {
  BatchNormBackwardArgs args;

  L2O_DEVICE void add(std::int64_t task, std::int64_t row, int column, TwoSums& sums) const {
    const std::int64_t at = (task * args.rows + row) * args.columns + column;
    const float dz = adjoint_at(args, at);
    sums.first += double{dz};
    sums.second += double{dz} * double{normalized_at(args, task, column, at)};
  }
  L2O_DEVICE void finish(std::int64_t task, int column, const TwoSums& sums) const {
    args.shift_gradient[task * args.shift_gradient_stride + column] =
        static_cast<float>(sums.first);
    args.scale_gradient[task * args.scale_gradient_stride + column] =
        static_cast<float>(sums.second);
  }
};

struct InputAdjoint {
  BatchNormBackwardArgs args;
  float inverse_rows;  // weight of a row in a mean

  L2O_DEVICE void operator()(std::int64_t task, int column, std::int64_t at) const {
    const float sum = args.shift_gradient[task * args.shift_gradient_stride + column];
    const float product = args.scale_gradient[task * args.scale_gradient_stride + column];
    const float factor = args.scale[task * args.scale_stride + column] *
                         args.inverse_deviation[task * args.columns + column];
    const float normalized = normalized_at(args, task, column, at);
    args.input_adjoint[at] = factor * (adjoint_at(args, at) - sum * inverse_rows -
                                       normalized * (product * inverse_rows));
  }
};

}  // namespace

void batch_norm(const BatchNormArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  column_sums("batch_norm", args.batch, args.rows, args.columns, Statistics{args}, device);
  for_each_in_rows("batch_norm", args.batch, args.rows, args.columns, Normalize{args}, device);
}

void batch_norm_backward(const BatchNormBackwardArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  column_sums("batch_norm_backward", args.batch, args.rows, args.columns,
              ScaleAndShiftGradients{args}, device);
  if (args.input_adjoint == nullptr) return;
  for_each_in_rows("batch_norm_backward", args.batch, args.rows, args.columns,
                   InputAdjoint{args, 1.0F / static_cast<float>(args.rows)}, device);
}

}  // namespace l2o::cuda
