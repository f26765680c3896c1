// Work between the backward pass of an unroll and the meta-update. Both kernels are small: phi has
// thousands of numbers, and a tile is 32 coordinates.
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/elementwise.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/math/finite.h"
#include "kernels/math/meta_gradient.h"

namespace l2o::cuda {
namespace {

struct LogLossWeight {
  LogLossWeightsArgs args;
  L2O_DEVICE void operator()(std::int64_t i) const {
    const float* losses = args.losses + i / args.tiles * args.tasks;
    const std::int64_t tile = i % args.tiles;
    const std::int32_t task = args.task_of_tile[tile];
    args.weights[i] =
        task < 0 ? 0.0F : log_loss_weight(args.tile_weights[tile], losses[task], args.floor);
  }
};

constexpr int kThreads = 256;

/// Runs in one block, since norms are needed first.
__global__ void __launch_bounds__(kThreads) combine_gradients_kernel(CombineGradientsArgs args) {
  const int thread = thread_index();
  bool any_usable = false;
  for (int m = 0; m < args.count; ++m) {
    double norm_squared = 0.0, non_finite_losses = 0.0;
    for (std::int64_t i = thread; i < args.size; i += kThreads) {
      const double gradient = args.gradients[m * args.size + i];
      norm_squared += gradient * gradient;
    }
    const int first = args.first_task[m], tasks = args.first_task[m + 1] - first;
    for (int i = thread; i < args.evaluations * tasks; i += kThreads) {
      const float loss = args.losses[i / tasks * args.tasks + first + i % tasks];
      if (is_not_finite(loss)) non_finite_losses += 1.0;
    }
    const double norm = std::sqrt(block_sum(norm_squared));
    const bool usable = block_sum(non_finite_losses) == 0.0 && is_usable_gradient(norm, 1.0);
    if (thread == 0) args.norms[m] = usable ? static_cast<float>(norm) : kLeftOut;
    any_usable = any_usable || usable;
  }
  synchronize_block();  // the norms are complete
  for (std::int64_t i = thread; i < args.size; i += kThreads) {
    args.combined[i] = any_usable
                           ? combined_gradient_element(args.gradients + i, args.size, args.weights,
                                                       args.norms, args.count, args.clip_norm)
                           : std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace

void log_loss_weights(const LogLossWeightsArgs& args, const Device& device) {
  for_each("log_loss_weights", args.evaluations * args.tiles, LogLossWeight{args}, device);
}

void combine_gradients(const CombineGradientsArgs& args, const Device& device) {
  launch("combine_gradients", combine_gradients_kernel, device,
         {1, kThreads, block_sum_bytes(kThreads)}, args);
}

}  // namespace l2o::cuda
