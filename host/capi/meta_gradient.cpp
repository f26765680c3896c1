// l2o.h: the meta-gradient of an unroll that the caller made.
#include <algorithm>
#include <vector>

#include "host/backend/buffer.h"
#include "host/backend/checked_size.h"
#include "host/capi/objects.h"
#include "host/engine/limits.h"
#include "host/optimizer/device_optimizer.h"

using namespace l2o;
using namespace l2o::capi;

namespace {

/// The unroll of one call: n coordinates, T steps.
struct CallerUnroll {
  std::int64_t n;
  int unroll_length;         // T
  const float* trace;        // [T+1, n] backend memory
  const float* weights;      // [T+1] host memory
  const float* start_state;  // [S, n] host memory, or null: zeros
};

void compute(Backend& backend, const Optimizer& rule, const CallerUnroll& unroll,
             float* meta_gradient) {
  DeviceOptimizer optimizer(backend, rule);
  CoordinateState start_state(backend, rule.cell, unroll.n);
  if (unroll.start_state != nullptr) {
    backend.import_state(rule.cell, unroll.n, unroll.start_state, start_state.data());
  }
  Buffer<float> weights(backend, static_cast<std::size_t>(unroll.unroll_length) + 1);
  backend.upload(weights.data(), unroll.weights, weights.bytes());
  Buffer<float> result(backend, rule.meta_parameters.size());

  UnrollBackwardArgs args = unroll_backward_args(optimizer, unroll.n, unroll.unroll_length);
  Buffer<std::byte> scratch(backend, backend.unroll_backward_scratch_bytes(args));
  args.trace = unroll.trace;
  args.weights = weights.data();
  args.start_state = start_state.data();
  args.meta_gradient = result.data();
  args.scratch = scratch.data();
  backend.unroll_backward(args);
  backend.download(meta_gradient, result.data(), result.bytes());
}

}  // namespace

l2o_status l2o_meta_gradient(l2o_context* context, const l2o_optimizer* optimizer, size_t n,
                             size_t unroll_length, const float* trace, const float* weights,
                             const float* start_state, float* meta_gradient) {
  return guarded([&] {
    const std::shared_ptr<Context> context_object = object_of(context);
    const std::shared_ptr<const Optimizer> rule = object_of(optimizer)->snapshot();
    const CallerUnroll unroll = {to_size(n, "n"),
                                 to_int(unroll_length, 0, l2o::kMaxSteps, "unroll_length"), trace,
                                 weights, start_state};
    checked_size({std::int64_t{unroll.unroll_length} + 1, unroll.n, sizeof(float)});
    require_values(trace, n, "trace");
    require(weights, "weights");
    require(meta_gradient, "meta_gradient");
    const Entry entry(*context_object);
    if (n == 0 || unroll_length == 0) {
      std::fill_n(meta_gradient, rule->meta_parameters.size(), 0.0F);
    } else {
      compute(context_object->backend(), *rule, unroll, meta_gradient);
    }
  });
}
