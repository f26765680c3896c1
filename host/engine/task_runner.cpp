#include "host/engine/task_runner.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>

#include "host/backend/checked_size.h"
#include "host/core/error.h"
#include "host/engine/agreement.h"
#include "host/engine/stop.h"
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

/// Hash of all that determines the results of a run, besides the tasks.
std::uint64_t hash_of(const Model& model, const RunRequest& request) {
  const StepScaling& scaling = request.scaling;
  const std::string text =
      fmt::format("{} {} {} {} {} {} {} {}", static_cast<int>(request.stream), request.first,
                  request.runs, request.steps, scaling.scales.gradient, scaling.scales.update,
                  scaling.scales.weight_decay, static_cast<int>(scaling.schedule));
  return XXH64(text.data(), text.size(), model_hash(model));
}

}  // namespace

TaskRunner::TaskRunner(Backend& backend, const ConfigReader& task, TaskRunnerOptions options)
    : backend_(backend), task_(task), options_(std::move(options)) {
  coordinates_ = batch_of(1).coordinates();
  task_.finish();
  Communicator& ranks = *options_.ranks;
  if (ranks.size() == 1) return;
  require_same(
      ranks,
      traits_of_run(backend_, fmt::format("seed = {}\n{}", options_.seed, task_.resolved_table()),
                    data_fingerprint()));
}

Curves TaskRunner::run(const Model& model, const RunRequest& request) {
  require_memory_for_curves(backend_.device(), request);
  Communicator& ranks = *options_.ranks;
  const int share = (request.runs + ranks.size() - 1) / ranks.size();
  const int batch_size =
      rollout_tasks(model.cells(), coordinates_, share, options_.coordinates_at_once);
  if (ranks.size() == 1) return run_mine(model, request, batch_size);

  require_same(ranks, {{"the model or the options of a run", hash_of(model, request)}});
  Stop stop;
  Curves mine;
  try {
    mine = run_mine(model, request, batch_size);
  } catch (const Error& error) {
    stop = Stop(error);
  }
  stop.agree(ranks);
  const auto slots = static_cast<std::size_t>(request.steps) + 1;
  const auto batches = static_cast<std::size_t>((request.runs + batch_size - 1) / batch_size);
  const auto size = static_cast<std::size_t>(ranks.size());
  const std::size_t most = (batches + size - 1) / size * static_cast<std::size_t>(batch_size);
  std::vector<double> sent(most * slots);
  auto end = sent.begin();
  for (const std::vector<float>& curve : mine) end = std::ranges::copy(curve, end).out;
  const std::vector<double> all = all_gathered(ranks, sent);
  Curves curves;
  for (int run = 0; run < request.runs; ++run) {
    const int batch = run / batch_size;
    const int place = batch / ranks.size() * batch_size + run % batch_size;
    const auto first =
        all.begin() +
        static_cast<std::ptrdiff_t>(static_cast<std::size_t>(batch % ranks.size()) * sent.size() +
                                    static_cast<std::size_t>(place) * slots);
    std::vector<float>& curve = curves.emplace_back(slots);
    std::transform(first, first + static_cast<std::ptrdiff_t>(slots), curve.begin(),
                   [](double loss) { return static_cast<float>(loss); });
  }
  return curves;
}

Curves TaskRunner::run_mine(const Model& model, const RunRequest& request, int batch_size) {
  const Communicator& ranks = *options_.ranks;
  const std::vector<CellConfig> cells = model.cells();
  DeviceOptimizer device_optimizer(backend_, model);
  Optimizee& optimizee = batch_of(batch_size);
  optimizee.assign_groups(model.groups());
  Rollout rollout(backend_, cells, optimizee, request.steps);
  const auto before_step = [&](int tasks) {
    // The other ranks run as many at the same time, as long as there are enough.
    if (options_.before_step) options_.before_step(std::min(tasks * ranks.size(), request.runs));
  };
  Curves curves;
  const int stride = batch_size * ranks.size();
  for (int first = ranks.rank() * batch_size; first < request.runs; first += stride) {
    const TaskRange range = {stream_seed(options_.seed, request.stream),
                             static_cast<std::uint32_t>(request.first + first)};
    Curves batch = rollout.run(device_optimizer, range, request.scaling, before_step);
    // The last batch may hold more tasks than are wanted.
    const auto wanted = static_cast<std::size_t>(std::min(batch_size, request.runs - first));
    std::move(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(wanted),
              std::back_inserter(curves));
  }
  return curves;
}

Optimizee& TaskRunner::batch_of(int tasks) {
  std::unique_ptr<Optimizee>& batch = batches_[tasks];
  if (!batch) batch = make_optimizee({backend_, tasks, options_.data_directory, true}, task_);
  return *batch;
}

}  // namespace l2o
