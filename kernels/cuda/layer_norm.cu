// Layer normalization and its backward pass. Formulas as in batch_norm.cu, with the statistics of
// each row, except that scale varies within a row:
//   dx = r (g - mean(g) - x^ mean(g x^)), g = scale dz.
// A group of adjacent lanes of a warp processes each row.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

constexpr int kThreads = 256;

/// Calls work(row, lane, columns) for all rows of all tasks, with `width` lanes per row; `width`
/// is a power of two. Lanes without a row get 0 columns: they only participate in the shuffles.
template <class Work>
L2O_DEVICE void for_each_row(std::int64_t rows, int columns, int width, const Work& work) {
  const std::int64_t rows_per_block = kThreads / width;
  for (std::int64_t first = block_index() * rows_per_block; first < rows;
       first += block_count() * rows_per_block) {
    const std::int64_t row = first + thread_index() / width;
    work(std::min(row, rows - 1), thread_index() % width, row < rows ? columns : 0);
  }
}

/// Lanes per row: a power of two, at most the warp size.
int lanes_per_row(int columns) {
  int width = 1;
  while (width < std::min(columns, kWarpSize)) width *= 2;
  return width;
}

LaunchShape rows_shape(std::int64_t rows, int columns, const Device& device) {
  return {blocks_for(rows, kThreads / lanes_per_row(columns), device.resident_blocks(kThreads)),
          kThreads};
}

// --------------------------------------------------------------------------------------- forward

__global__ void __launch_bounds__(kThreads) layer_norm_kernel(LayerNormArgs args, int width) {
  const std::int64_t rows = std::int64_t{args.batch} * args.rows;
  for_each_row(rows, args.columns, width, [&](std::int64_t row, int lane, int columns) {
    const std::int64_t task = row / args.rows;
    const float* x = args.input + row * args.columns;
    double sum = 0.0, squares = 0.0;
    for (int j = lane; j < columns; j += width) sum += double{x[j]};
    const double mean = sum_over_lanes(sum, width) / args.columns;
    for (int j = lane; j < columns; j += width) {
      const double difference = double{x[j]} - mean;
      squares += difference * difference;
    }
    const double variance = sum_over_lanes(squares, width) / args.columns;
    const auto center = static_cast<float>(mean);
    const auto inverse = static_cast<float>(1.0 / std::sqrt(variance + double{args.epsilon}));
    if (lane == 0 && columns > 0) {
      args.mean[row] = center;
      args.inverse_deviation[row] = inverse;
    }
    const float* scale = args.scale + task * args.scale_stride;
    const float* shift = args.shift + task * args.shift_stride;
    float* y = args.output + row * args.columns;
    for (int j = lane; j < columns; j += width) {
      y[j] = activate(args.activation, (x[j] - center) * inverse * scale[j] + shift[j]);
    }
  });
}

// -------------------------------------------------------------------------------------- backward

L2O_DEVICE float adjoint_at(const LayerNormBackwardArgs& args, std::int64_t at) {
  const float adjoint = args.output_adjoint[at];
  return args.activation == Activation::kIdentity
             ? adjoint
             : adjoint * activation_slope(args.activation, args.output[at]);
}

/// row: an index over the rows of all tasks.
L2O_DEVICE float normalized_at(const LayerNormBackwardArgs& args, std::int64_t row,
                               std::int64_t at) {
  return (args.input[at] - args.mean[row]) * args.inverse_deviation[row];
}

struct ScaleAndShiftGradients {
  LayerNormBackwardArgs args;

  L2O_DEVICE void add(std::int64_t task, std::int64_t row, int column, TwoSums& sums) const {
    const std::int64_t global_row = task * args.rows + row;
    const std::int64_t at = global_row * args.columns + column;
    const float dz = adjoint_at(args, at);
    sums.first += double{dz};
    sums.second += double{dz} * double{normalized_at(args, global_row, at)};
  }
  L2O_DEVICE void finish(std::int64_t task, int column, const TwoSums& sums) const {
    args.shift_gradient[task * args.shift_gradient_stride + column] =
        static_cast<float>(sums.first);
    args.scale_gradient[task * args.scale_gradient_stride + column] =
        static_cast<float>(sums.second);
  }
};

__global__ void __launch_bounds__(kThreads)
    layer_norm_input_adjoint_kernel(LayerNormBackwardArgs args, int width) {
  const std::int64_t rows = std::int64_t{args.batch} * args.rows;
  for_each_row(rows, args.columns, width, [&](std::int64_t row, int lane, int columns) {
    const float* scale = args.scale + row / args.rows * args.scale_stride;
    const std::int64_t first = row * args.columns;
    double sum = 0.0, product = 0.0;
    for (int j = lane; j < columns; j += width) {
      const double adjoint = double{adjoint_at(args, first + j) * scale[j]};
      sum += adjoint;
      product += adjoint * double{normalized_at(args, row, first + j)};
    }
    const auto mean = static_cast<float>(sum_over_lanes(sum, width) / args.columns);
    const auto mean_product = static_cast<float>(sum_over_lanes(product, width) / args.columns);
    for (int j = lane; j < columns; j += width) {
      const std::int64_t at = first + j;
      args.input_adjoint[at] =
          args.inverse_deviation[row] *
          (adjoint_at(args, at) * scale[j] - mean - normalized_at(args, row, at) * mean_product);
    }
  });
}

}  // namespace

void layer_norm(const LayerNormArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  launch("layer_norm", layer_norm_kernel, device,
         rows_shape(std::int64_t{args.batch} * args.rows, args.columns, device), args,
         lanes_per_row(args.columns));
}

void layer_norm_backward(const LayerNormBackwardArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  column_sums("layer_norm_backward", args.batch, args.rows, args.columns,
              ScaleAndShiftGradients{args}, device);
  if (args.input_adjoint == nullptr) return;
  launch("layer_norm_backward", layer_norm_input_adjoint_kernel, device,
         rows_shape(std::int64_t{args.batch} * args.rows, args.columns, device), args,
         lanes_per_row(args.columns));
}

}  // namespace l2o::cuda
