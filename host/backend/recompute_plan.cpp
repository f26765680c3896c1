#include "host/backend/recompute_plan.h"

#include <string>

#include "host/core/error.h"

namespace l2o {
namespace {

int ceil_div(int a, int b) { return (a - 1) / b + 1; }

}  // namespace

std::size_t recompute_bytes(int unroll_length, int segment_length, const ReplayBytes& bytes) {
  const auto steps = static_cast<std::size_t>(segment_length);
  const auto checkpoints = static_cast<std::size_t>(ceil_div(unroll_length, segment_length)) - 1;
  return steps * bytes.per_step + checkpoints * bytes.per_checkpoint;
}

int plan_recompute_segment(int unroll_length, const ReplayBytes& bytes, std::size_t budget) {
  if (unroll_length < 1) {
    throw Error(Status::kInternal, "unroll of " + std::to_string(unroll_length) + " steps");
  }
  int least_length = unroll_length;
  std::size_t least = recompute_bytes(unroll_length, unroll_length, bytes);
  for (int segments = 1; segments <= unroll_length; ++segments) {
    const int length = ceil_div(unroll_length, segments);
    const std::size_t needed = recompute_bytes(unroll_length, length, bytes);
    if (needed <= budget) return length;
    if (needed < least) {
      least = needed;
      least_length = length;
    }
  }
  return least_length;
}

}  // namespace l2o
