// Adam on phi by one block: phi is small (5,141 numbers by default), its norm is needed first, and
// everything that varies between updates is read from device memory, so that a recorded launch can
// be replayed.
#include <cmath>
#include <cstdint>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"
#include "kernels/math/finite.h"
#include "kernels/math/meta_adam.h"
#include "kernels/math/meta_gradient.h"

namespace l2o::cuda {
namespace {

constexpr int kThreads = 1024;

__global__ void __launch_bounds__(kThreads) meta_update_kernel(MetaUpdateArgs args) {
  const int thread = thread_index();
  double norm_squared = 0.0;
  for (std::int64_t i = thread; i < args.size; i += kThreads) {
    const double gradient = args.meta_gradient[i];
    norm_squared += gradient * gradient;
  }
  double non_finite_losses = 0.0;
  for (std::int64_t i = thread; i < args.loss_count; i += kThreads) {
    if (is_not_finite(args.losses[i])) non_finite_losses += 1.0;
  }
  const std::int64_t updates = *args.updates + 1;  // before anyone writes it: block_sum() waits

  const double norm = std::sqrt(block_sum(norm_squared));
  const double scale = clip_scale(norm, args.clip_norm);
  const bool usable = block_sum(non_finite_losses) == 0.0 && is_usable_gradient(norm, scale);
  if (thread == 0) {
    *args.report = {static_cast<float>(norm), usable ? 1 : 0};
    if (usable) *args.updates = updates;
  }
  if (!usable) return;

  const MetaAdam adam =
      meta_adam(args.beta1, args.beta2, args.epsilon, *args.learning_rate, updates);
  for (std::int64_t i = thread; i < args.size; i += kThreads) {
    adam.update(scale * args.meta_gradient[i], args.meta[i], args.first_moment[i],
                args.second_moment[i]);
  }
}

}  // namespace

void meta_update(const MetaUpdateArgs& args, const Device& device) {
  launch("meta_update", meta_update_kernel, device, {1, kThreads, block_sum_bytes(kThreads)}, args);
}

}  // namespace l2o::cuda
