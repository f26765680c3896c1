// Classification loss: mean over the rows of log(sum_j e^z_j) - z_label, and its gradient.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

constexpr int kMaxThreads = 512;

/// A block processes a chunk of rows of one task: `width` lanes, a power of two up to a warp,
/// process one row at a time. Partial losses are stored in partials [B, chunks], or directly in the
/// result if there is only one chunk.
__global__ void __launch_bounds__(kMaxThreads)
    softmax_cross_entropy_kernel(SoftmaxCrossEntropyArgs args, int width, Chunks chunks,
                                 double* partials) {
  const float mean = 1.0F / static_cast<float>(args.rows);
  const int lane = thread_index() % width;
  for (std::int64_t index = block_index(); index < args.batch * chunks.count;
       index += block_count()) {
    const std::int64_t task = index / chunks.count, chunk = index % chunks.count;
    const std::int64_t end = std::min((chunk + 1) * chunks.size, std::int64_t{args.rows});
    double loss = 0.0;
    for (std::int64_t first = chunk * chunks.size; first < end; first += block_threads() / width) {
      const std::int64_t in_task = first + thread_index() / width;
      const std::int64_t row = task * args.rows + std::min(in_task, end - 1);
      // Lanes without a row have no classes: they only participate in the shuffles.
      const int classes = in_task < end ? args.classes : 0;
      const int label = args.labels[row];
      float* z = args.logits + row * args.classes;

      // Shifted by the largest logit, no exponential overflows and the sum is at least 1.
      float largest = -std::numeric_limits<float>::infinity();
      for (int j = lane; j < classes; j += width) largest = std::fmax(largest, z[j]);
      for (int mask = width / 2; mask > 0; mask /= 2) {
        largest = std::fmax(largest, shuffle_xor(largest, mask));
      }
      float sum = 0.0F;
      float label_logit = 0.0F;
      for (int j = lane; j < classes; j += width) {
        const float shifted = z[j] - largest;
        if (j == label) label_logit = shifted;
        z[j] = std::exp(shifted);
        sum += z[j];
      }
      for (int mask = width / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
      const float scale = mean / sum;
      for (int j = lane; j < classes; j += width) {
        z[j] = z[j] * scale - (j == label ? mean : 0.0F);
        if (j == label) loss += static_cast<double>(std::log(sum) - label_logit);
      }
    }
    loss = block_sum(loss);
    if (thread_index() == 0) {
      if (chunks.count == 1) {
        args.loss[task] = static_cast<float>(loss / args.rows);
      } else {
        partials[index] = loss;
      }
    }
  }
}

}  // namespace

void softmax_cross_entropy(const SoftmaxCrossEntropyArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.classes == 0) return;
  constexpr int kMinRounds = 8;  // per block
  int width = 1;
  while (width < std::min(args.classes, kWarpSize)) width *= 2;
  const Chunks chunks = chunks_of(args.rows, kMinRounds * kMaxThreads / width, args.batch);
  const int threads = threads_for(chunks.size * width, kMaxThreads);
  const std::int64_t blocks =
      blocks_for(args.batch * chunks.count, 1, device.resident_blocks(threads));
  launch("softmax_cross_entropy", softmax_cross_entropy_kernel, device,
         {blocks, threads, block_sum_bytes(threads)}, args, width, chunks, device.workspace);
  if (chunks.count > 1) {
    sum_chunks({.rows = args.batch,
                .columns = 1,
                .chunks = chunks.count,
                .partials = device.workspace,
                .scale = 1.0 / args.rows,
                .out = args.loss,
                .stride = 1},
               device);
  }
}

}  // namespace l2o::cuda
