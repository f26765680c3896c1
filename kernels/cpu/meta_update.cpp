// Adam on phi. phi is small (5,141 numbers by default), so that one thread and double precision
// cost nothing beside the unroll.

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/launchers.h"

namespace l2o::cpu {

void meta_update(const MetaUpdateArgs& args) {
  double norm_squared = 0.0;
  for (std::int64_t i = 0; i < args.size; ++i) {
    const double gradient = args.meta_gradient[i];
    norm_squared += gradient * gradient;
  }
  const double norm = std::sqrt(norm_squared);
  const double scale = args.clip_norm > 0.0F && norm > args.clip_norm ? args.clip_norm / norm : 1.0;

  // A gradient whose square the second moment cannot hold is as bad as an infinite one: the moment
  // would stay infinite and phi would never move again. The negation catches NaN.
  const bool usable = !(norm * scale * norm * scale > double{std::numeric_limits<float>::max()}) &&
                      std::isfinite(norm) &&
                      std::all_of(args.losses, args.losses + args.loss_count,
                                  [](float loss) { return std::isfinite(loss); });
  *args.report = {static_cast<float>(norm), usable ? 1 : 0};
  if (!usable) return;

  const auto updates = static_cast<double>(++*args.updates);
  const double correction1 = 1.0 - std::pow(double{args.beta1}, updates);
  const double correction2 = 1.0 - std::pow(double{args.beta2}, updates);
  for (std::int64_t i = 0; i < args.size; ++i) {
    const double gradient = scale * args.meta_gradient[i];
    const double first = args.beta1 * double{args.first_moment[i]} + (1.0 - args.beta1) * gradient;
    const double second =
        args.beta2 * double{args.second_moment[i]} + (1.0 - args.beta2) * gradient * gradient;
    const double update =
        first / correction1 / (std::sqrt(second / correction2) + double{args.epsilon});
    args.first_moment[i] = static_cast<float>(first);
    args.second_moment[i] = static_cast<float>(second);
    args.meta[i] = static_cast<float>(args.meta[i] - double{*args.learning_rate} * update);
  }
}

}  // namespace l2o::cpu
