// Adam on phi. phi is small (5,141 numbers by default), so the cost of one thread and double
// precision is negligible compared to the unroll.

#include <algorithm>
#include <cmath>

#include "kernels/cpu/launchers.h"
#include "kernels/math/finite.h"
#include "kernels/math/meta_adam.h"
#include "kernels/math/meta_gradient.h"

namespace l2o::cpu {

void meta_update(const MetaUpdateArgs& args, ThreadPool& /*pool*/) {
  double norm_squared = 0.0;
  for (std::int64_t i = 0; i < args.size; ++i) {
    const double gradient = args.meta_gradient[i];
    norm_squared += gradient * gradient;
  }
  const double norm = std::sqrt(norm_squared);
  const double scale = clip_scale(norm, args.clip_norm);
  const bool usable = is_usable_gradient(norm, scale) &&
                      std::none_of(args.losses, args.losses + args.loss_count, is_not_finite);
  *args.report = {static_cast<float>(norm), usable ? 1 : 0};
  if (!usable) return;

  const MetaAdam adam =
      meta_adam(args.beta1, args.beta2, args.epsilon, *args.learning_rate, ++*args.updates);
  for (std::int64_t i = 0; i < args.size; ++i) {
    adam.update(scale * args.meta_gradient[i], args.meta[i], args.first_moment[i],
                args.second_moment[i]);
  }
}

}  // namespace l2o::cpu
