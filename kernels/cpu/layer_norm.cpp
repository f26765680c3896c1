// Layer normalization and its backward pass; as in batch_norm.cpp, with the statistics of each row.
#include <cmath>

#include "kernels/cpu/launchers.h"
#include "kernels/cpu/row_sums.h"
#include "kernels/cpu/visit_activation.h"

namespace l2o::cpu {

void layer_norm(const LayerNormArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const int columns = args.columns;
  visit_activation(args.activation, [&](auto value, auto) {
    for_rows(
        pool, args.batch, args.rows, [&](std::int64_t task, std::int64_t first, std::int64_t end) {
          const float* scale = args.scale + task * args.scale_stride;
          const float* shift = args.shift + task * args.shift_stride;
          for (std::int64_t row = task * args.rows + first; row < task * args.rows + end; ++row) {
            const float* x = args.input + row * columns;
            float* y = args.output + row * columns;
            double sum = 0.0, squares = 0.0;
            for (int j = 0; j < columns; ++j) sum += double{x[j]};
            const double mean = sum / columns;
            for (int j = 0; j < columns; ++j) {
              const double distance = double{x[j]} - mean;
              squares += distance * distance;
            }
            const auto center = static_cast<float>(mean);
            const auto inverse =
                static_cast<float>(1.0 / std::sqrt(squares / columns + double{args.epsilon}));
            args.mean[row] = center;
            args.inverse_deviation[row] = inverse;
            for (int j = 0; j < columns; ++j) {
              y[j] = value((x[j] - center) * inverse * scale[j] + shift[j]);
            }
          }
        });
  });
}

void layer_norm_backward(const LayerNormBackwardArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const int columns = args.columns;
  visit_activation(args.activation, [&](auto, auto slope) {
    const bool has_slope = args.activation != Activation::kIdentity;
    const auto adjoint_of = [&](std::int64_t at) {
      return has_slope ? args.output_adjoint[at] * slope(args.output[at]) : args.output_adjoint[at];
    };
    const auto normal_of = [&](std::int64_t row, std::int64_t at) {
      return (args.input[at] - args.mean[row]) * args.inverse_deviation[row];
    };
    sum_rows(
        pool, args.batch, args.rows, 2 * columns,
        [&](std::int64_t task, std::int64_t first, std::int64_t end, double* sums) {
          for (std::int64_t row = task * args.rows + first; row < task * args.rows + end; ++row) {
            for (int j = 0; j < columns; ++j) {
              const std::int64_t at = row * columns + j;
              const float dz = adjoint_of(at);
              sums[j] += double{dz};
              sums[columns + j] += double{dz * normal_of(row, at)};
            }
          }
        },
        [&](std::int64_t task, const double* sums) {
          for (int j = 0; j < columns; ++j) {
            args.shift_gradient[task * args.shift_gradient_stride + j] =
                static_cast<float>(sums[j]);
            args.scale_gradient[task * args.scale_gradient_stride + j] =
                static_cast<float>(sums[columns + j]);
          }
        });
    if (args.input_adjoint == nullptr) return;
    for_rows(
        pool, args.batch, args.rows, [&](std::int64_t task, std::int64_t first, std::int64_t end) {
          const float* scale = args.scale + task * args.scale_stride;
          for (std::int64_t row = task * args.rows + first; row < task * args.rows + end; ++row) {
            double sum = 0.0, product = 0.0;
            for (int j = 0; j < columns; ++j) {
              const std::int64_t at = row * columns + j;
              const double dx = double{adjoint_of(at) * scale[j]};
              sum += dx;
              product += dx * double{normal_of(row, at)};
            }
            const auto mean = static_cast<float>(sum / columns);
            const auto mean_product = static_cast<float>(product / columns);
            for (int j = 0; j < columns; ++j) {
              const std::int64_t at = row * columns + j;
              args.input_adjoint[at] =
                  args.inverse_deviation[row] *
                  (adjoint_of(at) * scale[j] - mean - normal_of(row, at) * mean_product);
            }
          }
        });
  });
}

}  // namespace l2o::cpu
