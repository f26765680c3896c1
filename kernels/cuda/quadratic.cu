// Many small quadratic functions at once, or a few large ones. A function of up to 128 coordinates
// is processed by some lanes of a warp, a larger one by a block, or by several if there are too few
// functions to keep the GPU busy. The matrix is read from device memory once, unless the parts of
// it that run at the same time exceed the L2 cache.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

/// Offset of theta and gradient of function number `function` of a task.
L2O_DEVICE std::int64_t offset_of(const QuadraticArgs& args, std::int64_t task,
                                  std::int64_t function) {
  return task * args.stride + function * args.dimension;
}

/// Stores a block's share of the loss of a task in partials [B, chunks], or directly in the result
/// if there is only one chunk. All threads of the block call it.
L2O_DEVICE void store_loss(const QuadraticArgs& args, std::int64_t index, std::int64_t chunks,
                           double loss, double* partials) {
  loss = block_sum(loss);
  if (thread_index() != 0) return;
  if (chunks == 1) {
    args.loss[index] = static_cast<float>(double{args.scale} * loss);
  } else {
    partials[index] = loss;
  }
}

void sum_losses(const QuadraticArgs& args, std::int64_t chunks, const Device& device) {
  if (chunks == 1) return;
  sum_chunks({.rows = args.batch,
              .columns = 1,
              .chunks = chunks,
              .partials = device.workspace,
              .scale = double{args.scale},
              .out = args.loss,
              .stride = 1},
             device);
}

// ------------------------------------------------------------------------------- small functions

constexpr int kMaxSmallQuadraticThreads = 512;

/// kWidth lanes, a power of two, process one function; each has kColumns of its columns. Lanes
/// without a column, or without a function, compute with zeros: they only participate in the
/// shuffles. Returns ||W theta - y||^2 in lane 0 and 0 in the others.
template <int kWidth, int kColumns>
L2O_DEVICE double small_function(const QuadraticArgs& args, std::int64_t task,
                                 std::int64_t function_in_task, bool has_function) {
  const int dimension = kWidth == 1 ? 1 : args.dimension;
  const int lane = thread_index() % kWidth;
  const std::int64_t function = task * args.functions + function_in_task;
  const std::int64_t offset = offset_of(args, task, function_in_task);
  const float* matrix = args.matrices + function * dimension * dimension;
  const float* target = args.targets + function * dimension;
  float theta[kColumns];
  float gradient[kColumns] = {};
  bool has_column[kColumns];
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
    const int column = lane + c * kWidth;
    has_column[c] = has_function && column < dimension;
    theta[c] = has_column[c] ? args.theta[offset + column] : 0.0F;
  }
  double loss = 0.0;
  // The residual of a row, and in the same pass its contribution 2 scale r_i W_i to the gradient.
#pragma unroll 4
  for (int i = 0; i < dimension; ++i) {
    float row[kColumns];
    float product = 0.0F;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      row[c] = has_column[c] ? matrix[i * dimension + lane + c * kWidth] : 0.0F;
      product = std::fma(row[c], theta[c], product);
    }
    const float residual = sum_over_lanes(product, kWidth) - (has_function ? target[i] : 0.0F);
    if (lane == 0) loss += double{residual} * double{residual};
    const float factor = 2.0F * args.scale * residual;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) gradient[c] = std::fma(factor, row[c], gradient[c]);
  }
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
    if (has_column[c]) args.gradient[offset + lane + c * kWidth] = gradient[c];
  }
  return loss;
}

/// A block processes a chunk of the functions of one task.
template <int kWidth, int kColumns>
__global__ void __launch_bounds__(kMaxSmallQuadraticThreads, kColumns == 1 ? 3 : 2)
    small_quadratic_kernel(QuadraticArgs args, Chunks chunks, double* partials) {
  for (std::int64_t index = block_index(); index < args.batch * chunks.count;
       index += block_count()) {
    const std::int64_t task = index / chunks.count, chunk = index % chunks.count;
    const std::int64_t end = std::min((chunk + 1) * chunks.size, std::int64_t{args.functions});
    double loss = 0.0;
    for (std::int64_t first = chunk * chunks.size; first < end; first += block_threads() / kWidth) {
      const std::int64_t function = first + thread_index() / kWidth;
      loss +=
          small_function<kWidth, kColumns>(args, task, std::min(function, end - 1), function < end);
    }
    store_loss(args, index, chunks.count, loss, partials);
  }
}

template <int kWidth, int kColumns>
void small_quadratic(const QuadraticArgs& args, const Device& device) {
  constexpr std::int64_t kMinRounds = 8;  // per block
  const Chunks chunks =
      chunks_of(args.functions, kMinRounds * kMaxSmallQuadraticThreads / kWidth, args.batch);
  const int threads = threads_for(chunks.size * kWidth, kMaxSmallQuadraticThreads);
  const std::int64_t blocks =
      blocks_for(args.batch * chunks.count, 1, device.resident_blocks(threads));
  launch("quadratic", small_quadratic_kernel<kWidth, kColumns>, device,
         {blocks, threads, block_sum_bytes(threads)}, args, chunks, device.workspace);
  sum_losses(args, chunks.count, device);
}

// ------------------------------------------------------------------------------- large functions

constexpr int kLargeQuadraticThreads = 1024;
constexpr int kBand = kLargeQuadraticThreads / kWarpSize;  // rows that a block processes at once

/// The rows of a function are divided into pieces, one block's work each; an item is a piece of a
/// function of a task. If there are several pieces, each stores its share of the gradient in
/// piece_gradients.
struct LargePlan {
  std::int64_t pieces = 1;
  std::int64_t piece_rows = 0;
  Chunks chunks;                     // of the items of a task
  double* partials = nullptr;        // [B, chunks] losses
  float* piece_gradients = nullptr;  // [B, F, pieces, D]
};

LargePlan large_plan(const QuadraticArgs& args, const Device& device) {
  constexpr std::int64_t kTargetBlocks = 256;
  const std::int64_t functions = std::int64_t{args.batch} * args.functions;
  const std::int64_t doubles_per_piece = 1 + (std::int64_t{args.dimension} + 1) / 2;
  const std::int64_t target_pieces =
      std::min<std::int64_t>(kTargetBlocks / functions, (args.dimension - 1) / kBand + 1);
  const std::int64_t max_pieces_in_workspace =
      Device::kWorkspaceSize / doubles_per_piece / functions;
  LargePlan plan;
  plan.piece_rows =
      (args.dimension - 1) /
          std::max<std::int64_t>(std::min(target_pieces, max_pieces_in_workspace), 1) +
      1;
  plan.pieces = (args.dimension - 1) / plan.piece_rows + 1;
  plan.chunks = chunks_of(args.functions * plan.pieces, 1, args.batch);
  plan.partials = device.workspace;
  if (plan.pieces > 1) {
    plan.piece_gradients = reinterpret_cast<float*>(device.workspace + functions * plan.pieces);
  }
  return plan;
}

/// out [D] = the gradient of rows [first, end) of a function, counted over all tasks, at theta [D];
/// returns this thread's share of the rows' ||W theta - y||^2.
L2O_DEVICE double large_function(const QuadraticArgs& args, std::int64_t function,
                                 const float* theta, std::int64_t first, std::int64_t end,
                                 float* out) {
  auto* const factors = reinterpret_cast<float*>(shared_memory());  // [kBand]
  const std::int64_t dimension = args.dimension;
  const float* matrix = args.matrices + function * dimension * dimension;
  const int warp = thread_index() / kWarpSize, lane = thread_index() % kWarpSize;
  for (std::int64_t j = thread_index(); j < dimension; j += kLargeQuadraticThreads) out[j] = 0.0F;
  double loss = 0.0;
  for (std::int64_t band = first; band < end; band += kBand) {
    // Each warp computes the residual of one row.
    const std::int64_t i = band + warp;
    if (i < end) {
      float product = 0.0F;
      for (std::int64_t j = lane; j < dimension; j += kWarpSize) {
        product = std::fma(matrix[i * dimension + j], theta[j], product);
      }
      const float residual =
          sum_over_lanes(product, kWarpSize) - args.targets[function * dimension + i];
      if (lane == 0) {
        loss += double{residual} * double{residual};
        factors[warp] = 2.0F * args.scale * residual;
      }
    }
    synchronize_block();
    // Each thread has some columns and reads the rows again, which are still in the caches.
    const int rows = static_cast<int>(std::min<std::int64_t>(kBand, end - band));
    for (std::int64_t j = thread_index(); j < dimension; j += kLargeQuadraticThreads) {
      float sum = out[j];
#pragma unroll 8
      for (int k = 0; k < rows; ++k) {
        sum = std::fma(factors[k], matrix[(band + k) * dimension + j], sum);
      }
      out[j] = sum;
    }
    synchronize_block();
  }
  return loss;
}

__global__ void __launch_bounds__(kLargeQuadraticThreads, 1)
    large_quadratic_kernel(QuadraticArgs args, LargePlan plan) {
  const std::int64_t items = args.functions * plan.pieces;
  for (std::int64_t index = block_index(); index < args.batch * plan.chunks.count;
       index += block_count()) {
    const std::int64_t task = index / plan.chunks.count, chunk = index % plan.chunks.count;
    const std::int64_t end = std::min((chunk + 1) * plan.chunks.size, items);
    double loss = 0.0;
    for (std::int64_t item = chunk * plan.chunks.size; item < end; ++item) {
      const std::int64_t global_piece = task * items + item;
      const std::int64_t function = global_piece / plan.pieces;
      const std::int64_t offset = offset_of(args, task, item / plan.pieces);
      const std::int64_t first_row = global_piece % plan.pieces * plan.piece_rows;
      const std::int64_t end_row =
          std::min(first_row + plan.piece_rows, std::int64_t{args.dimension});
      float* const out = plan.pieces == 1 ? args.gradient + offset
                                          : plan.piece_gradients + global_piece * args.dimension;
      loss += large_function(args, function, args.theta + offset, first_row, end_row, out);
    }
    store_loss(args, index, plan.chunks.count, loss, plan.partials);
  }
}

constexpr int kSumPiecesThreads = 256;

/// gradient = the sum of the pieces' gradients.
__global__ void __launch_bounds__(kSumPiecesThreads)
    sum_pieces_kernel(QuadraticArgs args, LargePlan plan) {
  const std::int64_t n = std::int64_t{args.batch} * args.functions * args.dimension;
  const std::int64_t step = std::int64_t{block_count()} * kSumPiecesThreads;
  for (std::int64_t i = std::int64_t{block_index()} * kSumPiecesThreads + thread_index(); i < n;
       i += step) {
    const std::int64_t function = i / args.dimension, column = i % args.dimension;
    const float* function_gradients =
        plan.piece_gradients + function * plan.pieces * args.dimension;
    double sum = 0.0;
    for (std::int64_t piece = 0; piece < plan.pieces; ++piece) {
      sum += double{function_gradients[piece * args.dimension + column]};
    }
    args.gradient[offset_of(args, function / args.functions, function % args.functions) + column] =
        static_cast<float>(sum);
  }
}

void large_quadratic(const QuadraticArgs& args, const Device& device) {
  const LargePlan plan = large_plan(args, device);
  const std::int64_t blocks =
      blocks_for(args.batch * plan.chunks.count, 1, device.resident_blocks(kLargeQuadraticThreads));
  launch("quadratic", large_quadratic_kernel, device,
         {blocks, kLargeQuadraticThreads, block_sum_bytes(kLargeQuadraticThreads)}, args, plan);
  if (plan.pieces > 1) {
    const std::int64_t n = std::int64_t{args.batch} * args.functions * args.dimension;
    launch("quadratic", sum_pieces_kernel, device,
           {blocks_for(n, kSumPiecesThreads, device.resident_blocks(kSumPiecesThreads)),
            kSumPiecesThreads},
           args, plan);
  }
  sum_losses(args, plan.chunks.count, device);
}

}  // namespace

void quadratic(const QuadraticArgs& args, const Device& device) {
  if (args.batch == 0 || args.functions == 0 || args.dimension == 0) return;
  if (args.dimension == 1) {
    small_quadratic<1, 1>(args, device);
  } else if (args.dimension <= 4) {
    small_quadratic<4, 1>(args, device);
  } else if (args.dimension <= 16) {
    small_quadratic<16, 1>(args, device);
  } else if (args.dimension <= 32) {
    small_quadratic<32, 1>(args, device);
  } else if (args.dimension <= 64) {
    small_quadratic<32, 2>(args, device);
  } else if (args.dimension <= 128) {
    small_quadratic<32, 4>(args, device);
  } else {
    large_quadratic(args, device);
  }
}

}  // namespace l2o::cuda
