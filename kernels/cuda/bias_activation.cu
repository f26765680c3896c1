// Bias and activation of a layer, and their backward pass.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/cuda/vectors.h"

namespace l2o::cuda {
namespace {

constexpr int kThreads = 256;

// --------------------------------------------------------------------------------------- forward

/// A block processes `chunk_rows` rows of one task at a time: one vector per thread, or slightly
/// more to complete a row. whole_vectors: rows consist of whole aligned groups of four values.
__global__ void __launch_bounds__(kThreads)
    bias_activation_kernel(BiasActivationArgs args, std::int64_t chunks, int chunk_rows,
                           bool whole_vectors) {
  for (std::int64_t index = block_index(); index < args.batch * chunks; index += block_count()) {
    const std::int64_t task = index / chunks, first = index % chunks * chunk_rows;
    const auto rows = std::min<std::int64_t>(chunk_rows, args.rows - first);
    const auto columns = static_cast<std::uint32_t>(args.columns);
    const auto size = static_cast<std::uint32_t>(rows) * columns;
    const auto thread = static_cast<std::uint32_t>(thread_index());
    const float* bias = args.bias + task * args.bias_stride;
    float* values = args.values + (task * args.rows + first) * args.columns;
    if (whole_vectors) {
      for (std::uint32_t i = 4 * thread; i < size; i += 4 * kThreads) {
        const float* of_columns = bias + i % columns;
        auto z = load_vector<float4>(values + i);
        z.x = activate(args.activation, z.x + of_columns[0]);
        z.y = activate(args.activation, z.y + of_columns[1]);
        z.z = activate(args.activation, z.z + of_columns[2]);
        z.w = activate(args.activation, z.w + of_columns[3]);
        store_vector(values + i, z);
      }
    } else {
      for (std::uint32_t i = thread; i < size; i += kThreads) {
        values[i] = activate(args.activation, values[i] + bias[i % columns]);
      }
    }
  }
}

// -------------------------------------------------------------------------------------- backward

/// A block processes a group of `width` columns, a power of two, and a chunk of rows; its threads
/// form rows of `width`. Partial sums of the bias gradient are stored in partials [B, columns,
/// chunks], or directly in the result if there is only one chunk.
__global__ void __launch_bounds__(kThreads)
    bias_activation_backward_kernel(BiasActivationBackwardArgs args, int width, Chunks chunks,
                                    double* partials) {
  constexpr int kAtOnce = 8;  // rows whose loads are in flight together
  const std::int64_t groups = (args.columns - 1) / width + 1;
  const int lane = thread_index() % width;
  const std::int64_t step = block_threads() / width;
  for (std::int64_t index = block_index(); index < args.batch * groups * chunks.count;
       index += block_count()) {
    const std::int64_t chunk = index % chunks.count, task = index / chunks.count / groups;
    const int column = static_cast<int>(index / chunks.count % groups) * width + lane;
    const std::int64_t end = std::min((chunk + 1) * chunks.size, std::int64_t{args.rows});
    double sum = 0.0;
    if (column < args.columns) {
      for (std::int64_t first = chunk * chunks.size + thread_index() / width; first < end;
           first += kAtOnce * step) {
        const std::int64_t offset = (task * args.rows + first) * args.columns + column;
        float adjoint[kAtOnce] = {};
#pragma unroll
        for (int k = 0; k < kAtOnce; ++k) {
          const std::int64_t at = offset + k * step * args.columns;
          if (first + k * step >= end) continue;
          adjoint[k] = args.adjoint[at];
          if (args.activation != Activation::kIdentity) {
            adjoint[k] *= activation_slope(args.activation, args.activated[at]);
          }
        }
#pragma unroll
        for (int k = 0; k < kAtOnce; ++k) {
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
        partials[(task * args.columns + column) * chunks.count + chunk] = sum;
      }
    }
  }
}

}  // namespace

void bias_activation(const BiasActivationArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const bool whole_vectors = args.columns % 4 == 0 && is_aligned<float4>(args.values);
  const int chunk_rows = std::min(std::max(4 * kThreads / args.columns, 1), args.rows);
  const std::int64_t chunks = (args.rows - 1) / chunk_rows + 1;
  const std::int64_t blocks = blocks_for(args.batch * chunks, 1, device.resident_blocks(kThreads));
  launch("bias_activation", bias_activation_kernel, device, {blocks, kThreads}, args, chunks,
         chunk_rows, whole_vectors);
}

void bias_activation_backward(const BiasActivationBackwardArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  constexpr std::int64_t kLeastRows = 32;  // per thread
  int width = 1;
  while (width < std::min(args.columns, kWarp)) width *= 2;
  const std::int64_t sums = std::int64_t{args.batch} * args.columns;
  const Chunks chunks = chunks_of(args.rows, kLeastRows * kThreads / width, sums);
  const std::int64_t groups = (args.columns - 1) / width + 1;
  const int threads = threads_for(chunks.size * width, kThreads);
  const std::int64_t blocks =
      blocks_for(args.batch * groups * chunks.count, 1, device.resident_blocks(threads));
  launch("bias_activation_backward", bias_activation_backward_kernel, device,
         {blocks, threads, block_sum_bytes(threads)}, args, width, chunks, device.workspace);
  if (chunks.count > 1) {
    sum_chunks({.rows = args.batch,
                .columns = args.columns,
                .chunks = chunks.count,
                .partials = device.workspace,
                .out = args.bias_gradient,
                .stride = args.bias_gradient_stride},
               device);
  }
}

}  // namespace l2o::cuda
