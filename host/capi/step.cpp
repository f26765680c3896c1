// l2o.h: step.
#include <fmt/format.h>

#include <cstdint>
#include <span>

#include "host/capi/step_tensors.h"
#include "host/engine/limits.h"

using namespace l2o;
using namespace l2o::capi;

namespace {

/// The state is loaded in aligned vectors.
constexpr std::uintptr_t kStateAlignment = 64;

void check_tensors(std::span<const l2o_tensor> tensors) {
  for (const l2o_tensor& tensor : tensors) {
    if (tensor.n == 0) continue;
    to_size(tensor.n, "n of a tensor");
    require(tensor.gradient, "gradient of a tensor");
    require(tensor.parameters, "parameters of a tensor");
    require(tensor.state, "state of a tensor");
    if (reinterpret_cast<std::uintptr_t>(tensor.state) % kStateAlignment != 0) {
      throw Error(Status::kUsage,
                  fmt::format("the state of a tensor is not aligned to {} bytes", kStateAlignment));
    }
  }
}

StepRequest request_of(const l2o_step_options& options) {
  require_struct_size(options.size, sizeof(options), "step_options");
  require_scale(options.update_scale, false, "update_scale");
  require_scale(options.gradient_scale, true, "gradient_scale");
  require_scale(options.weight_decay, false, "weight_decay");
  require_nan_policy(options.nan_policy, "nan_policy");
  const float sign = options.maximize != 0 ? -1.0F : 1.0F;
  return {.scales = {.gradient = sign * options.gradient_scale,
                     .update = options.update_scale,
                     .weight_decay = options.weight_decay},
          .nan_policy = options.nan_policy};
}

}  // namespace

void l2o_step_options_init(l2o_step_options* options) {
  guarded([&] {
    require(options, "options");
    *options = {};
    options->size = sizeof(*options);
    options->update_scale = options->gradient_scale = 1.0F;
  });
}

size_t l2o_state_bytes(l2o_context* context, const l2o_optimizer* optimizer, size_t n) {
  return guarded_size([&] {
    const std::shared_ptr<Context> object = object_of(context);
    const std::shared_ptr<SharedOptimizer> rule = object_of(optimizer);
    const std::int64_t count = to_size(n, "n");
    const std::size_t bytes = object->backend().state_bytes(rule->snapshot()->cell, count);
    require_bytes(bytes, "bytes of state");
    return bytes;
  });
}

l2o_status l2o_step(l2o_context* context, const l2o_optimizer* optimizer, size_t count,
                    const l2o_tensor* tensors, const l2o_step_options* options) {
  return guarded([&] {
    const std::shared_ptr<Context> object = object_of(context);
    const std::shared_ptr<SharedOptimizer> rule = object_of(optimizer);
    to_int(count, 0, kMaxTensors, "count");
    require_values(tensors, count, "tensors");
    l2o_step_options defaults;
    l2o_step_options_init(&defaults);
    const l2o_step_options& chosen = options == nullptr ? defaults : *options;
    const StepRequest request = request_of(chosen);
    check_tensors({tensors, count});
    const Entry entry(*object);
    const bool is_done = step_tensors(*object, *object->on_device(rule), {tensors, count}, request);
    if (!is_done && chosen.skipped_steps != nullptr) ++*chosen.skipped_steps;
  });
}
