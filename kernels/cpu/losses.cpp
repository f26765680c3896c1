// Losses other than cross-entropy, and terms that are added to a loss.
#include <algorithm>

#include "kernels/cpu/launchers.h"
#include "kernels/cpu/row_sums.h"

namespace l2o::cpu {

void mean_squared_error(const MeanSquaredErrorArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const double count = static_cast<double>(args.rows) * args.columns;
  const auto factor = static_cast<float>(2.0 / count);
  sum_rows(
      pool, args.batch, args.rows, 1,
      [&](std::int64_t task, std::int64_t first, std::int64_t end, double* sum) {
        const std::int64_t begin = (task * args.rows + first) * args.columns;
        for (std::int64_t i = begin; i < (task * args.rows + end) * args.columns; ++i) {
          const float distance = args.values[i] - args.targets[i];
          *sum += double{distance} * distance;
          args.values[i] = factor * distance;
        }
      },
      [&](std::int64_t task, const double* sum) {
        args.loss[task] = static_cast<float>(*sum / count);
      });
}

void l2_penalty(const L2PenaltyArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.count == 0) return;
  sum_rows(
      pool, args.batch, args.count, 1,
      [&](std::int64_t task, std::int64_t first, std::int64_t end, double* sum) {
        const float* theta = args.theta + task * args.stride;
        float* gradient = args.gradient + task * args.stride;
        for (std::int64_t i = first; i < end; ++i) {
          *sum += double{theta[i]} * theta[i];
          gradient[i] += args.weight * theta[i];
        }
      },
      [&](std::int64_t task, const double* sum) {
        args.loss[task] += static_cast<float>(0.5 * double{args.weight} * *sum);
      });
}

void clipped_squares(const ClippedSquaresArgs& args, ThreadPool& pool) {
  if (args.batch == 0 || args.count == 0) return;
  constexpr float kMaxSquare = 10.0F;
  const auto count = static_cast<float>(args.count);
  sum_rows(
      pool, args.batch, args.count, 1,
      [&](std::int64_t task, std::int64_t first, std::int64_t end, double* sum) {
        const float* centers = args.centers + task * args.count;
        const float* theta = args.theta + task * args.stride;
        float* gradient = args.gradient + task * args.stride;
        for (std::int64_t i = first; i < end; ++i) {
          const float distance = theta[i] - centers[i], square = distance * distance;
          // NaN stays NaN.
          *sum += double{square > kMaxSquare ? kMaxSquare : square};
          gradient[i] = square > kMaxSquare ? 0.0F : 2.0F * distance / count;
        }
      },
      [&](std::int64_t task, const double* sum) {
        args.loss[task] += static_cast<float>(*sum / static_cast<double>(args.count));
      });
}

}  // namespace l2o::cpu
