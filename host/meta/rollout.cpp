#include "host/meta/rollout.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "host/backend/checked_size.h"
#include "kernels/cells/cell_list.h"
#include "kernels/math/philox.h"

namespace l2o {

Rollout::Rollout(Backend& backend, const CellConfig& cell, Optimizee& optimizee, int steps)
    : optimizee_(&optimizee),
      n_(static_cast<std::int64_t>(checked_size({optimizee.tasks(), optimizee.coordinates()}))),
      slots_(static_cast<std::size_t>(steps) + 1),
      state_(backend, cell, n_),
      theta_(backend, static_cast<std::size_t>(n_)),
      gradient_(backend, static_cast<std::size_t>(n_)),
      losses_(backend, checked_size({std::int64_t{steps} + 1, optimizee.tasks()})) {}

std::vector<std::vector<float>> Rollout::run(DeviceOptimizer& optimizer, const TaskRange& range) {
  const auto tasks = static_cast<std::size_t>(optimizee_->tasks());
  optimizee_->sample(range);
  optimizee_->initial_parameters(theta_.data());
  state_.reset();
  optimizee_->start_evaluations(0);
  for (std::size_t t = 0; t < slots_; ++t) {
    optimizee_->value_and_gradient(theta_.data(), static_cast<std::uint32_t>(t),
                                   losses_.data() + t * tasks, gradient_.data());
    if (t + 1 < slots_) step(optimizer, n_, gradient_.data(), state_, theta_.data());
  }

  const std::vector<float> host_losses = losses_.download();
  std::vector<std::vector<float>> curves(tasks, std::vector<float>(slots_));
  for (std::size_t t = 0; t < slots_; ++t) {
    for (std::size_t task = 0; task < tasks; ++task) {
      curves[task][t] = host_losses[t * tasks + task];
    }
  }
  return curves;
}

std::vector<std::vector<float>> rollout(DeviceOptimizer& optimizer, Optimizee& optimizee,
                                        const TaskRange& range, int steps) {
  return Rollout(optimizer.backend(), optimizer.cell(), optimizee, steps).run(optimizer, range);
}

int rollout_tasks(const CellConfig& cell, std::int64_t coordinates, int runs,
                  std::int64_t max_coordinates) {
  // The state of an LSTM with many units is large.
  constexpr std::int64_t kStateBytes = std::int64_t{256} << 20;
  const std::int64_t bytes = cell_state_size(cell) * static_cast<std::int64_t>(sizeof(float));
  if (bytes > 0) max_coordinates = std::min(max_coordinates, kStateBytes / bytes);
  const std::int64_t most =
      std::max<std::int64_t>(1, max_coordinates / std::max<std::int64_t>(coordinates, 1));
  const std::int64_t batches = (runs + most - 1) / most;
  return static_cast<int>((runs + batches - 1) / batches);
}

std::uint64_t stream_seed(std::uint64_t seed, TaskStream stream) {
  // Purpose 0 of the generator (word 3 of the counter) is nobody else's: RandomPurpose starts at 1.
  const PhiloxBlock block = philox4x32({{static_cast<std::uint32_t>(stream), 0, 0, 0}}, seed);
  return (std::uint64_t{block.word[1]} << 32) | block.word[0];
}

}  // namespace l2o
