#include "host/meta/rollout.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "host/backend/checked_size.h"
#include "kernels/cells/cell_list.h"
#include "kernels/math/philox.h"

namespace l2o {

Rollout::Rollout(Backend& backend, const std::vector<CellConfig>& cells, Optimizee& optimizee,
                 int steps)
    : optimizee_(&optimizee),
      slots_(static_cast<std::size_t>(steps) + 1),
      losses_(backend, checked_size({std::int64_t{steps} + 1, optimizee.tasks()})) {
  for (int g = 0; g < optimizee.layout().groups(); ++g) {
    const std::size_t n = checked_size({optimizee.tasks(), optimizee.layout().group_size(g)});
    groups_.push_back({.n = static_cast<std::int64_t>(n),
                       .state = CoordinateState(backend, cells[static_cast<std::size_t>(g)],
                                                static_cast<std::int64_t>(n)),
                       .theta = Buffer<float>(backend, n),
                       .gradient = Buffer<float>(backend, n)});
  }
}

std::vector<std::vector<float>> Rollout::run(DeviceOptimizer& optimizer, const TaskRange& range,
                                             const StepScaling& scaling,
                                             const std::function<void(int tasks)>& before_step) {
  const auto tasks = static_cast<std::size_t>(optimizee_->tasks());
  optimizee_->sample(range);
  std::vector<float*> theta, gradient;
  for (Group& group : groups_) {
    theta.push_back(group.theta.data());
    gradient.push_back(group.gradient.data());
    group.state.reset();
  }
  const std::vector<const float*> const_theta(theta.begin(), theta.end());
  optimizee_->initial_parameters(theta);
  optimizee_->start_evaluations(0);
  for (std::size_t t = 0; t < slots_; ++t) {
    optimizer.backend().poll();
    if (before_step) before_step(optimizee_->tasks());
    optimizee_->value_and_gradient(const_theta, static_cast<std::uint32_t>(t),
                                   losses_.data() + t * tasks, gradient);
    if (t + 1 == slots_) break;
    StepScales scales = scaling.scales;
    scales.update *= static_cast<float>(
        update_scale(scaling.schedule, static_cast<int>(t), static_cast<int>(slots_ - 1)));
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      step(optimizer, groups_[g].n, gradient[g], groups_[g].state, theta[g], static_cast<int>(g),
           scales);
    }
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

std::vector<double> Rollout::movement() {
  std::vector<std::vector<float>> moved;
  std::vector<float*> theta;
  for (Group& group : groups_) {
    moved.push_back(group.theta.download());
    theta.push_back(group.theta.data());
  }
  optimizee_->initial_parameters(theta);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const std::vector<float> start = groups_[g].theta.download();
    for (std::size_t i = 0; i < start.size(); ++i) moved[g][i] -= start[i];
  }
  std::vector<double> distances;
  const ParameterLayout& layout = optimizee_->layout();
  for (const ParameterTensor& tensor : layout.tensors()) {
    double squares = 0.0;
    for (int task = 0; task < optimizee_->tasks(); ++task) {
      const float* values = moved[static_cast<std::size_t>(tensor.group)].data() +
                            task * layout.group_size(tensor.group) + tensor.offset;
      for (std::int64_t i = 0; i < tensor.size; ++i) squares += double{values[i]} * values[i];
    }
    const double count = static_cast<double>(tensor.size) * optimizee_->tasks();
    distances.push_back(std::sqrt(squares / std::max(count, 1.0)));
  }
  return distances;
}

std::vector<std::vector<float>> rollout(DeviceOptimizer& optimizer, Optimizee& optimizee,
                                        const TaskRange& range, int steps) {
  std::vector<CellConfig> cells;
  cells.reserve(static_cast<std::size_t>(optimizer.groups()));
  for (int g = 0; g < optimizer.groups(); ++g) cells.push_back(optimizer.cell(g));
  return Rollout(optimizer.backend(), cells, optimizee, steps).run(optimizer, range);
}

int rollout_tasks(const std::vector<CellConfig>& cells, std::int64_t coordinates, int runs,
                  std::int64_t max_coordinates) {
  // The state of an LSTM with many units is large.
  constexpr std::int64_t kStateBytes = std::int64_t{256} << 20;
  int state_size = 0;
  for (const CellConfig& cell : cells) state_size = std::max(state_size, cell_state_size(cell));
  const std::int64_t bytes = state_size * static_cast<std::int64_t>(sizeof(float));
  if (bytes > 0) max_coordinates = std::min(max_coordinates, kStateBytes / bytes);
  const std::int64_t most =
      std::max<std::int64_t>(1, max_coordinates / std::max<std::int64_t>(coordinates, 1));
  const std::int64_t batches = (runs + most - 1) / most;
  return static_cast<int>((runs + batches - 1) / batches);
}

std::uint64_t stream_seed(std::uint64_t seed, TaskStream stream, std::uint32_t member) {
  // Purpose 0 of the generator (word 3 of the counter) is used only here: RandomPurpose starts
  // at 1.
  const PhiloxBlock block = philox4x32({{static_cast<std::uint32_t>(stream), member, 0, 0}}, seed);
  return (std::uint64_t{block.word[1]} << 32) | block.word[0];
}

}  // namespace l2o
