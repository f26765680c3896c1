// Ops between the backward pass of an unroll and the meta-update.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/launchers.h"
#include "kernels/math/finite.h"
#include "kernels/math/meta_gradient.h"

namespace l2o::cpu {

void log_loss_weights(const LogLossWeightsArgs& args, ThreadPool& /*pool*/) {
  for (int t = 0; t < args.evaluations; ++t) {
    const float* losses = args.losses + static_cast<std::ptrdiff_t>(t) * args.tasks;
    float* weights = args.weights + t * args.tiles;
    for (std::int64_t i = 0; i < args.tiles; ++i) {
      const std::int32_t task = args.task_of_tile[i];
      weights[i] =
          task < 0 ? 0.0F : log_loss_weight(args.tile_weights[i], losses[task], args.floor);
    }
  }
}

void combine_gradients(const CombineGradientsArgs& args, ThreadPool& /*pool*/) {
  bool any = false;
  for (int m = 0; m < args.count; ++m) {
    const float* gradient = args.gradients + m * args.size;
    double norm_squared = 0.0;
    for (std::int64_t i = 0; i < args.size; ++i) norm_squared += double{gradient[i]} * gradient[i];
    bool usable = is_usable_gradient(std::sqrt(norm_squared), 1.0);
    for (int t = 0; t < args.evaluations; ++t) {
      const float* losses = args.losses + static_cast<std::ptrdiff_t>(t) * args.tasks;
      usable = usable && std::none_of(losses + args.first_task[m], losses + args.first_task[m + 1],
                                      is_not_finite);
    }
    args.norms[m] = usable ? static_cast<float>(std::sqrt(norm_squared)) : kLeftOut;
    any = any || usable;
  }
  for (std::int64_t i = 0; i < args.size; ++i) {
    args.combined[i] = any ? combined_gradient_element(args.gradients + i, args.size, args.weights,
                                                       args.norms, args.count, args.clip_norm)
                           : std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace l2o::cpu
