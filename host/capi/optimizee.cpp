// l2o.h: optimizee.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>

#include "host/backend/checked_size.h"
#include "host/capi/objects.h"
#include "host/core/config.h"
#include "host/data/data_set.h"
#include "host/engine/limits.h"
#include "host/optimizee/callback.h"

using namespace l2o;
using namespace l2o::capi;

namespace {

/// Throws kFailure if a caller's function reported that it cannot continue.
void check(int result, const char* function) {
  if (result != 0) {
    throw Error(Status::kFailure,
                fmt::format("the objective's function {} returned {}", function, result));
  }
}

/// The objective's functions of one task, called for one task after another.
ObjectiveFunctions functions_of_tasks(const l2o_objective& objective, Backend& backend) {
  const auto n = static_cast<std::int64_t>(objective.coordinates);
  ObjectiveFunctions functions;
  if (objective.sample != nullptr) {
    functions.sample = [objective](std::uint64_t seed, std::uint32_t first, int tasks) {
      for (int slot = 0; slot < tasks; ++slot) {
        check(objective.sample(objective.user, static_cast<size_t>(slot), seed,
                               first + static_cast<std::uint32_t>(slot)),
              "sample");
      }
    };
  }
  functions.initial_parameters = [objective, n, &backend](int tasks, float* theta) {
    for (int slot = 0; slot < tasks; ++slot) {
      check(objective.initial_parameters(objective.user, static_cast<size_t>(slot),
                                         theta + slot * n, backend.stream()),
            "initial_parameters");
    }
  };
  functions.value_and_gradient = [objective, n, &backend](std::uint32_t evaluation, int tasks,
                                                          const float* theta, float* losses,
                                                          float* gradients) {
    for (int slot = 0; slot < tasks; ++slot) {
      check(objective.value_and_gradient(objective.user, static_cast<size_t>(slot), evaluation,
                                         theta + slot * n, losses + slot, gradients + slot * n,
                                         backend.stream()),
            "value_and_gradient");
    }
  };
  return functions;
}

/// The objective's functions of a whole batch.
ObjectiveFunctions functions_of_batches(const l2o_objective& objective, Backend& backend) {
  ObjectiveFunctions functions;
  functions.is_recordable = objective.is_recordable != 0;
  if (objective.sample_batch != nullptr) {
    functions.sample = [objective](std::uint64_t seed, std::uint32_t first, int tasks) {
      check(objective.sample_batch(objective.user, seed, first, static_cast<size_t>(tasks)),
            "sample_batch");
    };
  }
  functions.initial_parameters = [objective, &backend](int tasks, float* theta) {
    check(objective.initial_parameters_batch(objective.user, static_cast<size_t>(tasks), theta,
                                             backend.stream()),
          "initial_parameters_batch");
  };
  functions.value_and_gradient = [objective, &backend](std::uint32_t evaluation, int tasks,
                                                       const float* theta, float* losses,
                                                       float* gradients) {
    check(objective.value_and_gradient_batch(objective.user, evaluation, static_cast<size_t>(tasks),
                                             theta, losses, gradients, backend.stream()),
          "value_and_gradient_batch");
  };
  return functions;
}

ObjectiveFunctions functions_of(const l2o_objective& given, Backend& backend) {
  // Version 0.1 ended with value_and_gradient.
  const auto objective =
      current_version(given, {offsetof(l2o_objective, sample_batch)}, "objective");
  if (objective.coordinates == 0) throw Error(Status::kUsage, "objective.coordinates is 0");
  const bool has_tasks = objective.sample != nullptr || objective.initial_parameters != nullptr ||
                         objective.value_and_gradient != nullptr;
  const bool has_batches = objective.sample_batch != nullptr ||
                           objective.initial_parameters_batch != nullptr ||
                           objective.value_and_gradient_batch != nullptr;
  if (has_tasks && has_batches) {
    throw Error(Status::kUsage,
                "objective has functions of one task and of a batch; expected only one kind");
  }
  const auto require_function = [](bool is_there, const char* name) {
    if (!is_there) throw Error(Status::kUsage, fmt::format("objective.{} is NULL", name));
  };
  if (has_batches) {
    require_function(objective.initial_parameters_batch != nullptr, "initial_parameters_batch");
    require_function(objective.value_and_gradient_batch != nullptr, "value_and_gradient_batch");
  } else {
    require_function(objective.initial_parameters != nullptr, "initial_parameters");
    require_function(objective.value_and_gradient != nullptr, "value_and_gradient");
  }
  ObjectiveFunctions functions = has_batches ? functions_of_batches(objective, backend)
                                             : functions_of_tasks(objective, backend);
  functions.coordinates = to_size(objective.coordinates, "objective.coordinates");
  return functions;
}

/// A copy of the caller's arrays.
DataSet data_set_of(const l2o_data& data) {
  constexpr int kMaxExtent = 1 << 24;
  require_struct_size(data.size, sizeof(data), "data");
  DataSet set;
  set.source = "the given arrays";
  set.rows = to_int(data.rows, 0, std::numeric_limits<int>::max(), "data.rows");
  set.height = to_int(data.height, 1, kMaxExtent, "data.height");
  set.width = to_int(data.width, 1, kMaxExtent, "data.width");
  set.channels = to_int(data.channels, 1, kMaxExtent, "data.channels");
  set.classes = to_int(data.classes, 0, kMaxClasses, "data.classes");
  set.target_size = to_int(data.target_size, 0, kMaxExtent, "data.target_size");
  const std::size_t row_bytes = checked_size({set.height, set.width, set.channels, sizeof(float)});
  if (row_bytes > std::numeric_limits<int>::max()) {
    throw Error(Status::kUsage, fmt::format("a row of data has {} x {} x {} values; expected fewer "
                                            "than 2^29",
                                            set.height, set.width, set.channels));
  }
  checked_size({set.rows, set.row_size(), sizeof(float)});
  if ((data.inputs == nullptr) == (data.input_bytes == nullptr)) {
    throw Error(Status::kUsage,
                "expected either data.inputs or data.input_bytes, and the other NULL");
  }
  if ((data.targets == nullptr) != (data.target_size == 0)) {
    throw Error(Status::kUsage,
                fmt::format("data.target_size is {} and data.targets is {}", data.target_size,
                            data.targets == nullptr ? "NULL" : "not NULL"));
  }
  const std::int64_t values = set.rows * set.row_size();
  if (data.inputs != nullptr) set.values.assign(data.inputs, data.inputs + values);
  if (data.input_bytes != nullptr) set.bytes.assign(data.input_bytes, data.input_bytes + values);
  if (data.targets != nullptr) {
    set.targets.assign(data.targets, data.targets + checked_size({set.rows, set.target_size}));
  }
  if (data.labels == nullptr) {
    if (set.classes > 0) throw Error(Status::kUsage, "data.classes without data.labels");
    return set;
  }
  const std::int64_t bound = set.classes > 0 ? set.classes : kMaxClasses;
  for (std::int64_t row_number = 0; row_number < set.rows; ++row_number) {
    const std::int64_t label = data.labels[row_number];
    if (label < 0 || label >= bound) {
      throw Error(Status::kBadData, fmt::format("label {} of row {} is not one of 0..{}", label,
                                                row_number, bound - 1));
    }
    set.labels.push_back(static_cast<std::uint16_t>(label));
  }
  if (set.classes == 0 && set.rows > 0) {
    set.classes = 1 + *std::max_element(set.labels.begin(), set.labels.end());
  }
  return set;
}

/// `arrays` returns the caller's data set, if any.
template <class Arrays>
l2o_status create_by_config(l2o_context* context, const char* config, size_t tasks,
                            const char* data_directory, Arrays&& arrays,
                            l2o_optimizee** optimizee) {
  return create(optimizee, "optimizee", [&] {
    std::shared_ptr<Context> context_object = object_of(context);
    const std::optional<DataSet> set = arrays();
    ConfigReader reader = ConfigReader::from_text(text_or_empty(config), "task config");
    const int batch = to_int(tasks, 1, kMaxTasks, "tasks");
    const Entry entry(*context_object);
    auto made = make_optimizee({.backend = context_object->backend(),
                                .tasks = batch,
                                .data_dir = text_or_empty(data_directory),
                                .arrays = set ? &*set : nullptr},
                               reader);
    reader.finish();
    return std::make_shared<OptimizeeObject>(std::move(context_object), std::move(made),
                                             reader.resolved());
  });
}

}  // namespace

l2o_status l2o_optimizee_create(l2o_context* context, const char* config, size_t tasks,
                                const char* data_directory, l2o_optimizee** optimizee) {
  const auto none = [] { return std::optional<DataSet>(); };
  return create_by_config(context, config, tasks, data_directory, none, optimizee);
}

l2o_status l2o_optimizee_create_with_data(l2o_context* context, const char* config, size_t tasks,
                                          const l2o_data* data, l2o_optimizee** optimizee) {
  const auto copied = [&] {
    require(data, "data");
    return std::optional<DataSet>(data_set_of(*data));
  };
  return create_by_config(context, config, tasks, nullptr, copied, optimizee);
}

void l2o_data_init(l2o_data* data) {
  guarded([&] {
    require(data, "data");
    *data = {};
    data->size = sizeof(*data);
    data->height = data->width = data->channels = 1;
  });
}

#undef l2o_objective_init

void l2o_objective_init_sized(l2o_objective* objective, size_t size) {
  guarded([&] {
    require(objective, "objective");
    init_struct(objective, size, l2o_objective{});
  });
}

void l2o_objective_init(l2o_objective* objective) {
  l2o_objective_init_sized(objective, offsetof(l2o_objective, sample_batch));
}

l2o_status l2o_optimizee_create_callback(l2o_context* context, const l2o_objective* objective,
                                         size_t tasks, l2o_optimizee** optimizee) {
  return create(optimizee, "optimizee", [&] {
    std::shared_ptr<Context> context_object = object_of(context);
    require(objective, "objective");
    ObjectiveFunctions functions = functions_of(*objective, context_object->backend());
    const int batch = to_int(tasks, 1, kMaxTasks, "tasks");
    checked_size({functions.coordinates, batch, sizeof(float)});
    return std::make_shared<OptimizeeObject>(
        std::move(context_object), make_callback_optimizee(std::move(functions), batch), "");
  });
}

void l2o_optimizee_destroy(l2o_optimizee* optimizee) { destroy<OptimizeeObject>(optimizee); }
