// Losses other than cross-entropy, and terms added to a loss: sums over the values of a task in
// chunks; each value's gradient is computed in the same pass.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/block_sum.cuh"
#include "kernels/cuda/chunked_sums.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/launchers.h"

namespace l2o::cuda {
namespace {

constexpr int kMaxThreads = 512;

/// How the sum of a task becomes its loss.
struct LossPlan {
  int batch = 0;
  std::int64_t count = 0;  // values per task
  Chunks chunks = {};
  double* partials = nullptr;  // [B, chunks], if there are several
  double scale = 1.0;          // loss = scale * sum, or += with `add`
  bool add = false;
  float* loss = nullptr;  // [B]
};

/// A block processes a chunk of the values of one task. term(task, i) returns the term of value i
/// in the sum of the task.
template <class Term>
__global__ void __launch_bounds__(kMaxThreads) loss_kernel(Term term, LossPlan plan) {
  for (std::int64_t index = block_index(); index < plan.batch * plan.chunks.count;
       index += block_count()) {
    const std::int64_t task = index / plan.chunks.count, chunk = index % plan.chunks.count;
    const std::int64_t end = std::min((chunk + 1) * plan.chunks.size, plan.count);
    double sum = 0.0;
    for (std::int64_t i = chunk * plan.chunks.size + thread_index(); i < end;
         i += block_threads()) {
      sum += term(task, i);
    }
    sum = block_sum(sum);
    if (thread_index() != 0) continue;
    if (plan.chunks.count == 1) {
      const auto loss = static_cast<float>(plan.scale * sum);
      plan.loss[task] = plan.add ? plan.loss[task] + loss : loss;
    } else {
      plan.partials[index] = sum;
    }
  }
}

template <class Term>
void sum_terms(const char* name, LossPlan plan, const Term& term, const Device& device) {
  constexpr int kMinRounds = 8;  // per block
  plan.chunks = chunks_of(plan.count, kMinRounds * kMaxThreads, plan.batch);
  plan.partials = device.workspace;
  const int threads = threads_for(plan.chunks.size, kMaxThreads);
  const std::int64_t blocks =
      blocks_for(plan.batch * plan.chunks.count, 1, device.resident_blocks(threads));
  launch(name, loss_kernel<Term>, device, {blocks, threads, block_sum_bytes(threads)}, term, plan);
  if (plan.chunks.count == 1) return;
  sum_chunks({.rows = plan.batch,
              .columns = 1,
              .chunks = plan.chunks.count,
              .partials = plan.partials,
              .scale = plan.scale,
              .out = plan.loss,
              .stride = 1,
              .add = plan.add},
             device);
}

struct SquaredError {
  MeanSquaredErrorArgs args;
  float factor;  // 2 / number of values per task

  L2O_DEVICE double operator()(std::int64_t task, std::int64_t i) const {
    const std::int64_t at = task * args.rows * args.columns + i;
    const float difference = args.values[at] - args.targets[at];
    args.values[at] = factor * difference;
    return double{difference} * double{difference};
  }
};

struct SquaredParameter {
  L2PenaltyArgs args;

  L2O_DEVICE double operator()(std::int64_t task, std::int64_t i) const {
    const std::int64_t at = task * args.stride + i;
    const float theta = args.theta[at];
    args.gradient[at] += args.weight * theta;
    return double{theta} * double{theta};
  }
};

struct ClippedSquare {
  ClippedSquaresArgs args;

  L2O_DEVICE double operator()(std::int64_t task, std::int64_t i) const {
    constexpr float kMaxSquare = 10.0F;
    const std::int64_t at = task * args.stride + i;
    const float difference = args.theta[at] - args.centers[task * args.count + i];
    const float square = difference * difference;
    const bool is_clipped = square > kMaxSquare;  // false for NaN, which stays NaN
    args.gradient[at] = is_clipped ? 0.0F : 2.0F * difference / static_cast<float>(args.count);
    return double{is_clipped ? kMaxSquare : square};
  }
};

}  // namespace

void mean_squared_error(const MeanSquaredErrorArgs& args, const Device& device) {
  if (args.batch == 0 || args.rows == 0 || args.columns == 0) return;
  const std::int64_t count = std::int64_t{args.rows} * args.columns;
  const double inverse_count = 1.0 / static_cast<double>(count);
  sum_terms("mean_squared_error",
            {.batch = args.batch, .count = count, .scale = inverse_count, .loss = args.loss},
            SquaredError{args, static_cast<float>(2.0 * inverse_count)}, device);
}

void l2_penalty(const L2PenaltyArgs& args, const Device& device) {
  if (args.batch == 0 || args.count == 0) return;
  sum_terms("l2_penalty",
            {.batch = args.batch,
             .count = args.count,
             .scale = 0.5 * double{args.weight},
             .add = true,
             .loss = args.loss},
            SquaredParameter{args}, device);
}

void clipped_squares(const ClippedSquaresArgs& args, const Device& device) {
  if (args.batch == 0 || args.count == 0) return;
  sum_terms("clipped_squares",
            {.batch = args.batch,
             .count = args.count,
             .scale = 1.0 / static_cast<double>(args.count),
             .add = true,
             .loss = args.loss},
            ClippedSquare{args}, device);
}

}  // namespace l2o::cuda
