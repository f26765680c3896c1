#include "host/backend/recompute_plan.h"

#include "host/core/error.h"

namespace l2o {
namespace {

int ceil_div(int a, int b) { return (a - 1) / b + 1; }

}  // namespace

std::size_t recompute_bytes(int unroll_length, int segment_length, const RecomputeCost& cost) {
  const auto steps = static_cast<std::size_t>(segment_length);
  const auto checkpoints = static_cast<std::size_t>(ceil_div(unroll_length, segment_length)) - 1;
  return steps * cost.bytes_per_step + checkpoints * cost.bytes_per_checkpoint;
}

int plan_recompute_segment(int unroll_length, const RecomputeCost& cost, std::size_t budget) {
  if (unroll_length < 1) {
    throw Error(Status::kInternal, "unroll of " + std::to_string(unroll_length) + " steps");
  }
  int least_length = unroll_length;
  std::size_t least_bytes = recompute_bytes(unroll_length, unroll_length, cost);
  for (int segments = 1; segments <= unroll_length; ++segments) {
    const int length = ceil_div(unroll_length, segments);
    const std::size_t bytes = recompute_bytes(unroll_length, length, cost);
    if (bytes <= budget) return length;
    if (bytes < least_bytes) {
      least_bytes = bytes;
      least_length = length;
    }
  }
  return least_length;
}

}  // namespace l2o
