#include "host/engine/task_runner.h"

#include <cstddef>
#include <utility>

#include "host/optimizer/device_optimizer.h"

namespace l2o {

TaskRunner::TaskRunner(Backend& backend, const ConfigReader& task, TaskRunnerOptions options)
    : backend_(backend), task_(task), options_(std::move(options)) {
  coordinates_ = batch_of(1).coordinates();
  task_.finish();
}

Curves TaskRunner::run(const Model& model, const RunRequest& request) {
  const std::vector<CellConfig> cells = model.cells();
  const int batch_size =
      rollout_tasks(cells, coordinates_, request.runs, options_.coordinates_at_once);
  DeviceOptimizer device_optimizer(backend_, model);
  Optimizee& optimizee = batch_of(batch_size);
  optimizee.assign_groups(model.groups());
  Rollout rollout(backend_, cells, optimizee, request.steps);
  Curves curves;
  for (int done = 0; done < request.runs; done += batch_size) {
    const TaskRange range = {stream_seed(options_.seed, request.stream),
                             static_cast<std::uint32_t>(request.first + done)};
    for (std::vector<float>& curve :
         rollout.run(device_optimizer, range, request.scaling, options_.before_step)) {
      if (curves.size() < static_cast<std::size_t>(request.runs)) {
        curves.push_back(std::move(curve));
      }
    }
  }
  return curves;
}

Optimizee& TaskRunner::batch_of(int tasks) {
  std::unique_ptr<Optimizee>& batch = batches_[tasks];
  if (!batch) batch = make_optimizee({backend_, tasks, options_.data_directory, true}, task_);
  return *batch;
}

}  // namespace l2o
