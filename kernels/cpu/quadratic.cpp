// Batched small quadratic functions.
#include <algorithm>

#include "kernels/cpu/launchers.h"

namespace l2o::cpu {

void quadratic(const QuadraticArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.functions == 0 || args.dimension == 0) return;
  const std::int64_t dimension = args.dimension;
  pool.parallel_for(args.batch, [&](std::int64_t task, int) {
    double loss = 0.0;
    const std::int64_t first = task * args.functions;
    for (std::int64_t function = first; function < first + args.functions; ++function) {
      const float* matrix = args.matrices + function * dimension * dimension;
      const float* target = args.targets + function * dimension;
      const std::int64_t offset = task * args.stride + (function - first) * dimension;
      const float* theta = args.theta + offset;
      float* gradient = args.gradient + offset;
      std::fill(gradient, gradient + dimension, 0.0F);
      // One pass over W: the residual of each row, followed by its contribution 2 scale r_i W_i to
      // the gradient.
      for (std::int64_t i = 0; i < dimension; ++i) {
        const float* row = matrix + i * dimension;
        float residual = -target[i];
        for (std::int64_t j = 0; j < dimension; ++j) residual += row[j] * theta[j];
        loss += static_cast<double>(residual) * residual;
        const float factor = 2.0F * args.scale * residual;
        for (std::int64_t j = 0; j < dimension; ++j) gradient[j] += factor * row[j];
      }
    }
    args.loss[task] = static_cast<float>(args.scale * loss);
  });
}

}  // namespace l2o::cpu
