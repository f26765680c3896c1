#include "host/engine/task_runner.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "host/backend/checked_size.h"
#include "host/core/error.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o {
namespace {

/// The curves are kept in host memory until the last run is done: fail before the first if they
/// will not fit. For a GPU, the size of host memory is not known.
void require_memory_for_curves(const DeviceInfo& device, const RunRequest& request) {
  const std::size_t bytes = checked_size(
      {request.runs, std::int64_t{request.steps} + 1, static_cast<std::int64_t>(sizeof(float))});
  const std::size_t all = device.memory_bytes;
  if (device.kind != DeviceKind::kCpu || all == 0 || bytes <= all) return;
  throw Error(Status::kOutOfMemory,
              fmt::format("out of memory: the losses of {} runs of {} steps need {} MB, more than "
                          "the {} MB of memory; reduce the number of runs or steps",
                          request.runs, request.steps, bytes / 1'000'000, all / 1'000'000));
}

}  // namespace

TaskRunner::TaskRunner(Backend& backend, const ConfigReader& task, TaskRunnerOptions options)
    : backend_(backend), task_(task), options_(std::move(options)) {
  coordinates_ = batch_of(1).coordinates();
  task_.finish();
}

Curves TaskRunner::run(const Model& model, const RunRequest& request) {
  require_memory_for_curves(backend_.device(), request);
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
