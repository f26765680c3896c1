// Bias and activation of a layer, and their backward pass.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/column_sums.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/vectors.h"

namespace l2o::cuda {
namespace {

// --------------------------------------------------------------------------------------- forward

/// whole_vectors: rows consist of whole aligned groups of four values.
__global__ void __launch_bounds__(kElementThreads)
    bias_activation_kernel(BiasActivationArgs args, RowChunks p, bool whole_vectors) {
  for (std::int64_t index = block_index(); index < p.batch * p.chunks; index += block_count()) {
    const std::int64_t task = index / p.chunks, first = index % p.chunks * p.chunk_rows;
    const auto rows = std::min<std::int64_t>(p.chunk_rows, args.rows - first);
    const auto columns = static_cast<std::uint32_t>(args.columns);
    const auto size = static_cast<std::uint32_t>(rows) * columns;
    const auto thread = static_cast<std::uint32_t>(thread_index());
    const float* bias = args.bias + task * args.bias_stride;
    float* values = args.values + (task * args.rows + first) * args.columns;
    if (whole_vectors) {
      for (std::uint32_t i = 4 * thread; i < size; i += 4 * kElementThreads) {
        const float* column_biases = bias + i % columns;
        auto z = load_vector<float4>(values + i);
        z.x = activate(args.activation, z.x + column_biases[0]);
        z.y = activate(args.activation, z.y + column_biases[1]);
        z.z = activate(args.activation, z.z + column_biases[2]);
        z.w = activate(args.activation, z.w + column_biases[3]);
        store_vector(values + i, z);
      }
    } else {
      for (std::uint32_t i = thread; i < size; i += kElementThreads) {
        values[i] = activate(args.activation, values[i] + bias[i % columns]);
      }
    }
  }
}

// -------------------------------------------------------------------------------------- backward

/// As column_sums_kernel, with one sum, the bias gradient; stores it directly in the result if
/// there is only one chunk.
__global__ void __launch_bounds__(kColumnSumsThreads)
    bias_activation_backward_kernel(BiasActivationBackwardArgs args, ColumnSumsPlan plan) {
  constexpr int kLoadsInFlight = 8;  // each of one row
  const Chunks& chunks = plan.chunks;
  const std::int64_t groups = plan.groups();
  const int width = plan.width;
  const int lane = thread_index() % width;
  const std::int64_t step = block_threads() / width;
  for (std::int64_t index = block_index(); index < plan.pieces(); index += block_count()) {
    const std::int64_t chunk = index % chunks.count, task = index / chunks.count / groups;
    const int column = static_cast<int>(index / chunks.count % groups) * width + lane;
    const std::int64_t end = std::min((chunk + 1) * chunks.size, std::int64_t{args.rows});
    double sum = 0.0;
    if (column < args.columns) {
      for (std::int64_t first = chunk * chunks.size + thread_index() / width; first < end;
           first += kLoadsInFlight * step) {
        const std::int64_t offset = (task * args.rows + first) * args.columns + column;
        float adjoint[kLoadsInFlight] = {};
#pragma unroll
        for (int k = 0; k < kLoadsInFlight; ++k) {
          const std::int64_t at = offset + k * step * args.columns;
          if (first + k * step >= end) continue;
          adjoint[k] = args.adjoint[at];
          if (args.activation != Activation::kIdentity) {
            adjoint[k] *= activation_slope(args.activation, args.activated[at]);
          }
        }
#pragma unroll
        for (int k = 0; k < kLoadsInFlight; ++k) {
          if (first + k * step >= end) continue;
          if (args.activation != Activation::kIdentity) {
            args.adjoint[offset + k * step * args.columns] = adjoint[k];
          }
          sum += double{adjoint[k]};
        }
      }
    }
    sum = block_sum(sum, width);
    if (thread_index() < width && column < args.columns) {
      if (chunks.count == 1) {
        args.bias_gradient[task * args.bias_gradient_stride + column] = static_cast<float>(sum);
      } else {
        plan.partials[(task * args.columns + column) * chunks.count + chunk] = sum;
      }
    }
  }
}

}  // namespace

void bias_activation(const BiasActivationArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const bool whole_vectors = args.columns % 4 == 0 && is_aligned<float4>(args.values);
  const RowChunks p = row_chunks(args.batch, args.rows, args.columns);
  const std::int64_t blocks =
      blocks_for(p.batch * p.chunks, 1, device.resident_blocks(kElementThreads));
  launch("bias_activation", bias_activation_kernel, device, {blocks, kElementThreads}, args, p,
         whole_vectors);
}

void bias_activation_backward(const BiasActivationBackwardArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const ColumnSumsPlan plan = plan_column_sums(args.batch, args.rows, args.columns, 1, device);
  launch("bias_activation_backward", bias_activation_backward_kernel, device,
         column_sums_shape(plan, device), args, plan);
  if (plan.chunks.count > 1) {
    sum_chunks({.rows = args.batch,
                .columns = args.columns,
                .chunks = plan.chunks.count,
                .partials = plan.partials,
                .out = args.bias_gradient,
                .stride = args.bias_gradient_stride},
               device);
  }
}

}  // namespace l2o::cuda
