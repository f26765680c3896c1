// A layer's bias and activation, and their backward pass.
#include <algorithm>

#include "kernels/cpu/launchers.h"
#include "kernels/cpu/row_sums.h"
#include "kernels/cpu/visit_activation.h"

namespace l2o::cpu {
void bias_activation(const BiasActivationArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  constexpr std::int64_t kBlockRows = 64;
  const std::int64_t blocks = (args.rows - 1) / kBlockRows + 1;
  visit_activation(args.activation, [&](auto value, auto) {
    pool.parallel_for(args.batch * blocks, [&](std::int64_t index, int) {
      const std::int64_t task = index / blocks;
      const std::int64_t first = index % blocks * kBlockRows;
      const std::int64_t end = std::min<std::int64_t>(first + kBlockRows, args.rows);
      const float* bias = args.bias + task * args.bias_stride;
      for (std::int64_t row = first; row < end; ++row) {
        float* values = args.values + (task * args.rows + row) * args.columns;
        for (int j = 0; j < args.columns; ++j) values[j] = value(values[j] + bias[j]);
      }
    });
  });
}

void bias_activation_backward(const BiasActivationBackwardArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  visit_activation(args.activation, [&](auto, auto slope) {
    sum_rows(
        pool, args.batch, args.rows, args.columns,
        [&](std::int64_t task, std::int64_t first, std::int64_t end, double* sums) {
          for (std::int64_t row = first; row < end; ++row) {
            const std::int64_t offset = (task * args.rows + row) * args.columns;
            float* adjoint = args.adjoint + offset;
            if (args.activation != Activation::kIdentity) {
              const float* activated = args.activated + offset;
              for (int j = 0; j < args.columns; ++j) adjoint[j] *= slope(activated[j]);
            }
            for (int j = 0; j < args.columns; ++j) sums[j] += double{adjoint[j]};
          }
        },
        [&](std::int64_t task, const double* sums) {
          float* bias_gradient = args.bias_gradient + task * args.bias_gradient_stride;
          for (int j = 0; j < args.columns; ++j) bias_gradient[j] = static_cast<float>(sums[j]);
        });
  });
}

}  // namespace l2o::cpu
