// Batch normalization with the statistics of the minibatch, and its backward pass:
//   x^ = (x - mean) r, y = activation(scale x^ + shift), r = 1 / sqrt(variance + epsilon);
//   with dz = dy activation'(z), the sums over the rows are
//   d shift = sum dz, d scale = sum dz x^, and dx = scale r (dz - mean(dz) - x^ mean(dz x^)).
#include <cmath>

#include "kernels/cpu/launchers.h"
#include "kernels/cpu/row_sums.h"
#include "kernels/cpu/visit_activation.h"

namespace l2o::cpu {
namespace {

/// Columns that are summed in float32 for kFloatRows rows, before the sums are added in double.
constexpr int kColumns = 64;
constexpr std::int64_t kFloatRows = 16;

/// Starts of a task's rows in the backward pass. They never alias, so that loops over columns are
/// vectorized without run-time checks.
struct Rows {
  const float* __restrict x;
  const float* __restrict y;  // for the identity, which does not need it, dy
  const float* __restrict dy;
  float* __restrict dx;
};

}  // namespace

void batch_norm(const BatchNormArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const int columns = args.columns;
  // Sums of x - shift and of its square: shifting by a value of the column avoids cancellation if
  // the mean is large.
  sum_rows(
      pool, args.batch, args.rows, 2 * columns,
      [&](std::int64_t task, std::int64_t first, std::int64_t end, double* sums) {
        const float* of_task = args.input + task * args.rows * columns;
        for (int column = 0; column < columns; column += kColumns) {
          const int width = std::min(kColumns, columns - column);
          const float* shift = of_task + column;  // row 0
          for (std::int64_t row = first; row < end; row += kFloatRows) {
            float sum[kColumns] = {}, squares[kColumns] = {};
            for (std::int64_t r = row; r < std::min(row + kFloatRows, end); ++r) {
              const float* x = of_task + r * columns + column;
              for (int j = 0; j < width; ++j) {
                const float distance = x[j] - shift[j];
                sum[j] += distance;
                squares[j] += distance * distance;
              }
            }
            for (int j = 0; j < width; ++j) {
              sums[column + j] += double{sum[j]};
              sums[columns + column + j] += double{squares[j]};
            }
          }
        }
      },
      [&](std::int64_t task, const double* sums) {
        const auto rows = static_cast<double>(args.rows);
        const float* shift = args.input + task * args.rows * columns;
        for (int j = 0; j < columns; ++j) {
          const double distance = sums[j] / rows;
          const double variance = std::fmax(sums[columns + j] / rows - distance * distance, 0.0);
          args.mean[task * columns + j] = static_cast<float>(shift[j] + distance);
          args.inverse_deviation[task * columns + j] =
              static_cast<float>(1.0 / std::sqrt(variance + double{args.epsilon}));
        }
      });
  visit_activation(args.activation, [&](auto value, auto) {
    for_rows(pool, args.batch, args.rows,
             [&](std::int64_t task, std::int64_t first, std::int64_t end) {
               const float* mean = args.mean + task * columns;
               const float* inverse = args.inverse_deviation + task * columns;
               const float* scale = args.scale + task * args.scale_stride;
               const float* shift = args.shift + task * args.shift_stride;
               for (std::int64_t row = first; row < end; ++row) {
                 const std::int64_t at = (task * args.rows + row) * columns;
                 const float* x = args.input + at;
                 float* y = args.output + at;
                 for (int j = 0; j < columns; ++j) {
                   y[j] = value((x[j] - mean[j]) * inverse[j] * scale[j] + shift[j]);
                 }
               }
             });
  });
}

void batch_norm_backward(const BatchNormBackwardArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const int columns = args.columns;
  const bool has_slope = args.activation != Activation::kIdentity;
  const auto rows_at = [&](std::int64_t at) {
    const float* dy = args.output_adjoint + at;
    float* dx = args.input_adjoint == nullptr ? nullptr : args.input_adjoint + at;
    return Rows{args.input + at, has_slope ? args.output + at : dy, dy, dx};
  };
  visit_activation(args.activation, [&](auto, auto slope) {
    sum_rows(
        pool, args.batch, args.rows, 2 * columns,
        [&](std::int64_t task, std::int64_t first, std::int64_t end, double* sums) {
          for (int column = 0; column < columns; column += kColumns) {
            const int width = std::min(kColumns, columns - column);
            const float* mean = args.mean + task * columns + column;
            const float* inverse = args.inverse_deviation + task * columns + column;
            for (std::int64_t row = first; row < end; row += kFloatRows) {
              float sum[kColumns] = {}, product[kColumns] = {};
              for (std::int64_t r = row; r < std::min(row + kFloatRows, end); ++r) {
                const Rows at = rows_at((task * args.rows + r) * columns + column);
                float dz[kColumns];
                for (int j = 0; j < width; ++j) dz[j] = at.dy[j] * slope(at.y[j]);
                for (int j = 0; j < width; ++j) {
                  sum[j] += dz[j];
                  product[j] += dz[j] * ((at.x[j] - mean[j]) * inverse[j]);
                }
              }
              for (int j = 0; j < width; ++j) {
                sums[column + j] += double{sum[j]};
                sums[columns + column + j] += double{product[j]};
              }
            }
          }
        },
        [&](std::int64_t task, const double* sums) {
          float* shift = args.shift_gradient + task * args.shift_gradient_stride;
          float* scale = args.scale_gradient + task * args.scale_gradient_stride;
          for (int j = 0; j < columns; ++j) {
            shift[j] = static_cast<float>(sums[j]);
            scale[j] = static_cast<float>(sums[columns + j]);
          }
        });
    if (args.input_adjoint == nullptr) return;
    const float share = 1.0F / static_cast<float>(args.rows);
    for_rows(pool, args.batch, args.rows,
             [&](std::int64_t task, std::int64_t first, std::int64_t end) {
               for (int column = 0; column < columns; column += kColumns) {
                 const int width = std::min(kColumns, columns - column);
                 const float* mean = args.mean + task * columns + column;
                 const float* inverse = args.inverse_deviation + task * columns + column;
                 const float* scale = args.scale + task * args.scale_stride + column;
                 const float* sum = args.shift_gradient + task * args.shift_gradient_stride;
                 const float* product = args.scale_gradient + task * args.scale_gradient_stride;
                 float factor[kColumns], mean_dz[kColumns], mean_product[kColumns];
                 for (int j = 0; j < width; ++j) {
                   factor[j] = scale[j] * inverse[j];
                   mean_dz[j] = sum[column + j] * share;
                   mean_product[j] = product[column + j] * share;
                 }
                 for (std::int64_t row = first; row < end; ++row) {
                   const Rows at = rows_at((task * args.rows + row) * columns + column);
                   for (int j = 0; j < width; ++j) {
                     const float normal = (at.x[j] - mean[j]) * inverse[j];
                     const float dz = at.dy[j] * slope(at.y[j]);
                     at.dx[j] = factor[j] * (dz - mean_dz[j] - normal * mean_product[j]);
                   }
                 }
               }
             });
  });
}

}  // namespace l2o::cpu
