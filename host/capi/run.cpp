// l2o.h: run.
#include "host/capi/run_object.h"
#include "host/engine/limits.h"

using namespace l2o;
using namespace l2o::capi;

namespace {

std::shared_ptr<Run> make_run(l2o_context* context, const l2o_optimizer* optimizer, size_t count,
                              const size_t* sizes) {
  std::shared_ptr<Context> context_object = object_of(context);
  std::shared_ptr<SharedOptimizer> optimizer_object = object_of(optimizer);
  to_int(count, 0, kMaxTensors, "count");
  require_values(sizes, count, "sizes");
  std::vector<std::int64_t> tensors;
  for (size_t i = 0; i < count; ++i) tensors.push_back(to_size(sizes[i], "size of a tensor"));
  const Entry entry(*context_object);
  return std::make_shared<Run>(context_object, std::move(optimizer_object), tensors);
}

}  // namespace

l2o_status l2o_run_create(l2o_context* context, const l2o_optimizer* optimizer, size_t n,
                          l2o_run** run) {
  return create(run, "run", [&] { return make_run(context, optimizer, 1, &n); });
}

l2o_status l2o_run_create_multi(l2o_context* context, const l2o_optimizer* optimizer, size_t count,
                                const size_t* sizes, l2o_run** run) {
  return create(run, "run", [&] { return make_run(context, optimizer, count, sizes); });
}

l2o_status l2o_run_step(l2o_run* run, const float* gradient, float* parameters) {
  return guarded([&] {
    const std::shared_ptr<Run> object = object_of(run);
    const auto n = static_cast<size_t>(object->n());
    require_values(gradient, n, "gradient");
    require_values(parameters, n, "parameters");
    const Entry entry(object->context());
    if (n > 0) object->step(gradient, parameters);
  });
}

l2o_status l2o_run_step_multi(l2o_run* run, size_t count, const float* const* gradients,
                              float* const* parameters) {
  return guarded([&] {
    const std::shared_ptr<Run> object = object_of(run);
    require_count(count, object->tensors(), "count");
    require_values(gradients, count, "gradients");
    require_values(parameters, count, "parameters");
    for (size_t i = 0; i < count; ++i) {
      require_values(gradients[i], object->size(i), "a pointer of gradients");
      require_values(parameters[i], object->size(i), "a pointer of parameters");
    }
    const Entry entry(object->context());
    if (object->n() > 0) object->step(gradients, parameters);
  });
}

l2o_status l2o_run_set_scales(l2o_run* run, float update_scale, float gradient_scale,
                              float weight_decay) {
  return guarded([&] {
    const std::shared_ptr<Run> object = object_of(run);
    require_scale(update_scale, false, "update_scale");
    require_scale(gradient_scale, true, "gradient_scale");
    require_scale(weight_decay, false, "weight_decay");
    const Entry entry(object->context());
    object->set_scales(
        {.gradient = gradient_scale, .update = update_scale, .weight_decay = weight_decay});
  });
}

l2o_status l2o_run_reset(l2o_run* run) {
  return guarded([&] {
    const std::shared_ptr<Run> object = object_of(run);
    const Entry entry(object->context());
    object->reset();
  });
}

size_t l2o_run_state_size(const l2o_run* run) {
  return guarded_size([&] { return object_of(run)->state_size(); });
}

l2o_status l2o_run_get_state(l2o_run* run, float* values, size_t count) {
  return guarded([&] {
    const std::shared_ptr<Run> object = object_of(run);
    require_count(count, object->state_size(), "count");
    require_values(values, count, "values");
    const Entry entry(object->context());
    object->get_state(values);
  });
}

l2o_status l2o_run_set_state(l2o_run* run, const float* values, size_t count) {
  return guarded([&] {
    const std::shared_ptr<Run> object = object_of(run);
    require_count(count, object->state_size(), "count");
    require_values(values, count, "values");
    const Entry entry(object->context());
    object->set_state(values);
  });
}

l2o_status l2o_run_set_nan_policy(l2o_run* run, l2o_nan_policy policy) {
  return guarded([&] {
    const std::shared_ptr<Run> object = object_of(run);
    require_nan_policy(policy, "policy");
    const Entry entry(object->context());
    object->set_nan_policy(policy);
  });
}

l2o_status l2o_run_skipped_steps(l2o_run* run, uint64_t* steps) {
  return guarded([&] {
    const std::shared_ptr<Run> object = object_of(run);
    require(steps, "steps");
    const Entry entry(object->context());
    *steps = object->skipped_steps();
  });
}

void l2o_run_destroy(l2o_run* run) { destroy<Run>(run); }
