// l2o.h: optimizee.
#include <fmt/format.h>

#include "host/backend/checked_size.h"
#include "host/capi/objects.h"
#include "host/core/config.h"
#include "host/optimizee/callback.h"

using namespace l2o;
using namespace l2o::capi;

namespace {

/// A caller's function said that it cannot go on.
void check(int result, const char* function) {
  if (result != 0) {
    throw Error(Status::kFailure,
                fmt::format("the objective's function {} returned {}", function, result));
  }
}

ObjectiveFunctions functions_of(const l2o_objective& objective, Backend& backend) {
  require_struct_size(objective.size, sizeof(objective), "objective");
  if (objective.coordinates == 0) throw Error(Status::kUsage, "objective.coordinates is 0");
  if (objective.initial_parameters == nullptr) {
    throw Error(Status::kUsage, "objective.initial_parameters is NULL");
  }
  if (objective.value_and_gradient == nullptr) {
    throw Error(Status::kUsage, "objective.value_and_gradient is NULL");
  }
  ObjectiveFunctions functions;
  functions.coordinates = to_size(objective.coordinates, "objective.coordinates");
  if (objective.sample != nullptr) {
    functions.sample = [objective](int slot, std::uint64_t seed, std::uint32_t task) {
      check(objective.sample(objective.user, static_cast<size_t>(slot), seed, task), "sample");
    };
  }
  functions.initial_parameters = [objective, &backend](int slot, float* theta) {
    check(objective.initial_parameters(objective.user, static_cast<size_t>(slot), theta,
                                       backend.stream()),
          "initial_parameters");
  };
  functions.value_and_gradient = [objective, &backend](int slot, std::uint32_t evaluation,
                                                       const float* theta, float* loss,
                                                       float* gradient) {
    check(objective.value_and_gradient(objective.user, static_cast<size_t>(slot), evaluation, theta,
                                       loss, gradient, backend.stream()),
          "value_and_gradient");
  };
  return functions;
}

}  // namespace

l2o_status l2o_optimizee_create(l2o_context* context, const char* config, size_t tasks,
                                const char* data_directory, l2o_optimizee** optimizee) {
  return create(optimizee, "optimizee", [&] {
    std::shared_ptr<Context> context_object = object_of(context);
    ConfigReader reader = ConfigReader::from_text(text_or_empty(config), "task config");
    const int batch = to_int(tasks, 1, kMaxTasks, "tasks");
    const Entry entry(*context_object);
    auto made =
        make_optimizee({context_object->backend(), batch, text_or_empty(data_directory)}, reader);
    reader.finish();
    return std::make_shared<OptimizeeObject>(std::move(context_object), std::move(made));
  });
}

void l2o_objective_init(l2o_objective* objective) {
  guarded([&] {
    require(objective, "objective");
    *objective = {};
    objective->size = sizeof(*objective);
  });
}

l2o_status l2o_optimizee_create_callback(l2o_context* context, const l2o_objective* objective,
                                         size_t tasks, l2o_optimizee** optimizee) {
  return create(optimizee, "optimizee", [&] {
    std::shared_ptr<Context> context_object = object_of(context);
    require(objective, "objective");
    ObjectiveFunctions functions = functions_of(*objective, context_object->backend());
    const int batch = to_int(tasks, 1, kMaxTasks, "tasks");
    checked_size({functions.coordinates, batch, sizeof(float)});
    return std::make_shared<OptimizeeObject>(std::move(context_object),
                                             make_callback_optimizee(std::move(functions), batch));
  });
}

void l2o_optimizee_destroy(l2o_optimizee* optimizee) { destroy<OptimizeeObject>(optimizee); }
