// l2o.h: evaluate.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "host/backend/checked_size.h"
#include "host/capi/objects.h"
#include "host/engine/limits.h"
#include "host/meta/rollout.h"
#include "host/optimizer/device_optimizer.h"

using namespace l2o;
using namespace l2o::capi;

l2o_status l2o_evaluate(l2o_context* context, const l2o_optimizer* optimizer,
                        l2o_optimizee* optimizee, uint64_t seed, uint32_t first_task, size_t steps,
                        float* losses, size_t count) {
  return guarded([&] {
    const std::shared_ptr<Context> context_object = object_of(context);
    const std::shared_ptr<const Optimizer> rule = object_of(optimizer)->snapshot();
    const std::shared_ptr<OptimizeeObject> optimizee_object = object_of(optimizee);
    require_same_context(*context_object, *optimizee_object);
    const int tasks = optimizee_object->optimizee().tasks();
    const int length = to_int(steps, 0, kMaxSteps, "steps");
    require_count(count, checked_size({tasks, std::int64_t{length} + 1}), "count");
    require(losses, "losses");
    if (std::int64_t{first_task} + tasks > kTaskNumbers) {
      throw Error(Status::kUsage, fmt::format("first_task is {} with {} tasks; a stream has {}",
                                              first_task, tasks, kTaskNumbers));
    }

    const Entry entry(*context_object);
    DeviceOptimizer device_optimizer(context_object->backend(), *rule);
    const std::vector<std::vector<float>> curves =
        rollout(device_optimizer, optimizee_object->optimizee(), {seed, first_task}, length);
    for (const std::vector<float>& curve : curves) {
      losses = std::copy(curve.begin(), curve.end(), losses);
    }
  });
}
