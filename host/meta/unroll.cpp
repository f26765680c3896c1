#include "host/meta/unroll.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/backend/checked_size.h"
#include "host/core/error.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
Unroll::Unroll(Backend& backend, const std::vector<CellConfig>& cells,
               const std::vector<Member>& members, const Truncation& truncation,
               const LossWeights& weights, std::size_t recompute_budget,
               const UnrollOptions& options)
    : backend_(&backend),
      members_(members),
      truncation_(truncation),
      options_(options),
      space_(members),
      tasks_(static_cast<std::size_t>(task_count(members))) {
  require_memory(backend, cells, members, truncation, recompute_budget, options);
  const std::int64_t slots = truncation.slots();
  for (int g = 0; g < space_.groups(); ++g) {
    const CellConfig& cell = cells[static_cast<std::size_t>(g)];
    const std::int64_t n = space_.n(g);
    CoordinateState state(backend, cell, n);
    const std::size_t state_bytes = state.bytes();
    groups_.push_back(
        {.cell = cell,
         .n = n,
         .state = std::move(state),
         .start_state = Buffer<std::byte>(backend, state_bytes),
         .theta = Buffer<float>(backend, static_cast<std::size_t>(n)),
         .start_theta = Buffer<float>(backend, static_cast<std::size_t>(n)),
         .trace = Buffer<float>(backend, checked_size({slots, n})),
         .tile_weights = Buffer<float>(backend, static_cast<std::size_t>(tile_count(n))),
         .step_weights = {},
         .task_of_tile = {},
         .tile_scales = {}});
    Group& group = groups_.back();
    group.theta.fill_zero();
    group.trace.fill_zero();
    if (options.logarithmic) {
      group.step_weights = Buffer<float>(backend, checked_size({slots, group.tiles()}));
      group.task_of_tile = Buffer<std::int32_t>(backend, static_cast<std::size_t>(group.tiles()));
      group.task_of_tile.upload(task_of_tile(g));
    }
    if (options.scaled) {
      group.tile_scales = Buffer<float>(backend, checked_size({slots - 1, group.tiles()}));
    }
  }
  full_ = make_schedule(truncation.longest(), weights, recompute_budget);
  last_ = make_schedule(truncation.length(truncation.unrolls() - 1), weights, recompute_budget);
  theta_blocks_.resize(groups_.size());
  const_blocks_.resize(groups_.size());
  gradient_blocks_.resize(groups_.size());
  losses_ = Buffer<float>(backend, checked_size({slots, static_cast<std::int64_t>(tasks_)}));
  scratch_ = Buffer<std::byte>(
      backend, memory(backend, cells, members, truncation, recompute_budget, options).replay);
  set_scales(std::vector<double>(members.size(), 1.0));
}

void Unroll::set_scales(const std::vector<double>& scales) {
  for (std::size_t m = 0; m < members_.size(); ++m) members_[m].scale = scales[m];
  std::vector<Member> counted = members_;
  for (Member& member : counted) {
    if (options_.by_member) member.weight = 1.0;
    if (options_.logarithmic) member.scale = 1.0;  // a factor inside a logarithm has no gradient
  }
  for (int g = 0; g < space_.groups(); ++g) {
    groups_[static_cast<std::size_t>(g)].tile_weights.upload(space_.tile_weights(g, counted));
  }
}

Unroll::Schedule Unroll::make_schedule(int length, const LossWeights& weights,
                                       std::size_t recompute_budget) {
  Schedule schedule;
  schedule.length = length;
  for (const Group& group : groups_) {
    schedule.segment_lengths.push_back(
        backend_->plan_segment_length(group.cell, length, recompute_budget));
  }
  schedule.weights = weights.of_unroll(length);
  schedule.device_weights = Buffer<float>(*backend_, schedule.weights.size());
  schedule.device_weights.upload({schedule.weights.begin(), schedule.weights.end()});
  return schedule;
}

const Unroll::Schedule& Unroll::schedule_of(int k) const {
  return k + 1 < truncation_.unrolls() ? full_ : last_;
}

void Unroll::start_episode(const std::vector<TaskRange>& ranges) {
  for (std::size_t m = 0; m < members_.size(); ++m) start_member(m, ranges[m]);
}

void Unroll::start_member(std::size_t m, const TaskRange& range) {
  const Member& member = members_[m];
  member.optimizee->sample(range);
  theta_of(m);
  member.optimizee->initial_parameters(theta_blocks_);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const int number = static_cast<int>(g);
    const CellConfig& cell = groups_[g].cell;
    backend_->fill_zero(groups_[g].state.data() +
                            backend_->state_bytes(cell, space_.offset(number, static_cast<int>(m))),
                        backend_->state_bytes(cell, space_.size_of(number, member)));
  }
}

std::vector<std::int32_t> Unroll::task_of_tile(int group) const {
  std::vector<std::int32_t> tasks(
      static_cast<std::size_t>(groups_[static_cast<std::size_t>(group)].tiles()), -1);
  std::int32_t first_task = 0;
  for (std::size_t m = 0; m < members_.size(); ++m) {
    const Optimizee& optimizee = *members_[m].optimizee;
    const std::int64_t stride = optimizee.layout().group_size(group);
    if (optimizee.tasks() > 1 && stride % kTile != 0) {
      throw Error(Status::kUsage,
                  fmt::format("a meta-loss of logarithms of {} tasks of {} coordinates; expected "
                              "one task, or a multiple of {} coordinates",
                              optimizee.tasks(), stride, kTile));
    }
    auto tile = tasks.begin() + space_.offset(group, static_cast<int>(m)) / kTile;
    for (int task = 0; task < optimizee.tasks(); ++task) {
      tile = std::fill_n(tile, tile_count(stride), first_task + task);
    }
    first_task += optimizee.tasks();
  }
  return tasks;
}

void Unroll::set_update_scales(const std::vector<std::vector<double>>& scales) {
  for (int g = 0; g < space_.groups(); ++g) {
    Group& group = groups_[static_cast<std::size_t>(g)];
    std::vector<float> of_tiles(group.tile_scales.size(), 1.0F);
    for (std::size_t m = 0; m < members_.size(); ++m) {
      const std::int64_t first = space_.offset(g, static_cast<int>(m)) / kTile;
      const std::int64_t count = tile_count(space_.size_of(g, members_[m]));
      auto row = of_tiles.begin() + first;
      for (const double scale : scales[m]) {
        std::fill_n(row, count, static_cast<float>(scale));
        row += group.tiles();
      }
    }
    group.tile_scales.upload(of_tiles);
  }
}

CoordinateRange Unroll::shard_range(std::size_t shard, std::size_t group) const {
  return space_.range(static_cast<int>(group), members_, shard * shard_members(), shard_members());
}

void Unroll::resume_episode(const std::vector<TaskRange>& ranges, const CarriedState& carried) {
  for (std::size_t m = 0; m < members_.size(); ++m) members_[m].optimizee->sample(ranges[m]);
  const float* theta = carried.theta.data();
  const float* state = carried.state.data();
  for (std::size_t shard = 0; shard < options_.shards; ++shard) {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      Group& group = groups_[g];
      const auto [first, n] = shard_range(shard, g);
      backend_->upload(group.theta.data() + first, theta,
                       static_cast<std::size_t>(n) * sizeof(float));
      backend_->import_state(group.cell, n, state,
                             group.state.data() + backend_->state_bytes(group.cell, first));
      theta += n;
      state += cell_state_size(group.cell) * n;
    }
  }
}

CarriedState Unroll::carried() const {
  CarriedState carried;
  carried.theta.resize(carried_theta_size());
  carried.state.resize(carried_state_size());
  float* theta = carried.theta.data();
  float* state = carried.state.data();
  for (std::size_t shard = 0; shard < options_.shards; ++shard) {
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const Group& group = groups_[g];
      const auto [first, n] = shard_range(shard, g);
      backend_->download(theta, group.theta.data() + first,
                         static_cast<std::size_t>(n) * sizeof(float));
      backend_->export_state(group.cell, n,
                             group.state.data() + backend_->state_bytes(group.cell, first), state);
      theta += n;
      state += cell_state_size(group.cell) * n;
    }
  }
  return carried;
}

std::size_t Unroll::carried_theta_size() const {
  std::int64_t size = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) size += shard_range(0, g).n;
  return options_.shards * static_cast<std::size_t>(size);
}

std::size_t Unroll::carried_state_size() const {
  std::size_t size = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    size += checked_size({cell_state_size(groups_[g].cell), shard_range(0, g).n});
  }
  return options_.shards * size;
}

ConstParameterBlocks Unroll::theta_of(std::size_t m) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    theta_blocks_[g] =
        groups_[g].theta.data() + space_.offset(static_cast<int>(g), static_cast<int>(m));
    const_blocks_[g] = theta_blocks_[g];
  }
  return const_blocks_;
}

ParameterBlocks Unroll::gradients_of(std::size_t m, int t) {
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    gradient_blocks_[g] = groups_[g].trace.data() + t * groups_[g].n +
                          space_.offset(static_cast<int>(g), static_cast<int>(m));
  }
  return gradient_blocks_;
}

void Unroll::evaluate_members(int t) {
  const ProfiledScope scope(*backend_, profile_ ? &profile_->gradient : nullptr);
  float* losses = losses_.data() + static_cast<std::size_t>(t) * tasks_;
  for (std::size_t m = 0; m < members_.size(); ++m) {
    members_[m].optimizee->value_and_gradient(theta_of(m), static_cast<std::uint32_t>(t), losses,
                                              gradients_of(m, t));
    losses += members_[m].optimizee->tasks();
  }
}

void Unroll::start(const std::vector<int>& k) {
  unroll_ = k.front();
  for (std::size_t m = 0; m < members_.size(); ++m) {
    members_[m].optimizee->start_evaluations(truncation_.first_evaluation(k[m]));
  }
}

void Unroll::save_start() {
  for (Group& group : groups_) {
    backend_->copy(group.start_state.data(), group.state.data(), group.state.bytes());
    backend_->copy(group.start_theta.data(), group.theta.data(), group.theta.bytes());
  }
}

void Unroll::go_back_to_start() {
  for (Group& group : groups_) {
    backend_->copy(group.state.data(), group.start_state.data(), group.state.bytes());
    backend_->copy(group.theta.data(), group.start_theta.data(), group.theta.bytes());
  }
}

void Unroll::take_steps(DeviceOptimizer& optimizer) {
  const int length = truncation_.length(unroll_);
  for (int t = 0; t <= length; ++t) {
    backend_->poll();
    evaluate_members(t);
    if (t < length) step_groups(optimizer, t);
  }
}

void Unroll::step_groups(DeviceOptimizer& optimizer, int t) {
  const ProfiledScope scope(*backend_, profile_ ? &profile_->step : nullptr);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    StepScales scales;
    if (options_.scaled) scales.of_tiles = group.tile_scales.data() + t * group.tiles();
    step(optimizer, group.n, group.trace.data() + t * group.n, group.state, group.theta.data(),
         static_cast<int>(g), scales);
  }
}

void Unroll::forward(DeviceOptimizer& optimizer, int k) {
  start(std::vector<int>(members_.size(), k));
  save_start();
  take_steps(optimizer);
}

void Unroll::forward_and(DeviceOptimizer& optimizer, const std::vector<int>& k,
                         const std::function<void()>& follow) {
  start(k);
  save_start();  // not recorded: a failed recording has executed none of its ops
  const auto work = [&] {
    take_steps(optimizer);
    follow();
  };
  const bool is_recordable =
      std::all_of(members_.begin(), members_.end(),
                  [](const Member& member) { return member.optimizee->is_recordable(); });
  try {
    if (is_recordable && profile_ == nullptr) {
      backend_->run(unroll_ + 1 < truncation_.unrolls() ? full_.recording : last_.recording, work);
    } else {
      work();
    }
  } catch (...) {
    go_back_to_start();
    throw;
  }
}

std::size_t Unroll::loss_count() const {
  return (static_cast<std::size_t>(truncation_.length(unroll_)) + 1) * tasks_;
}

std::vector<float> Unroll::losses() const {
  std::vector<float> host(loss_count());
  backend_->download(host.data(), losses_.data(), host.size() * sizeof(float));
  return host;
}

UnrollBackwardArgs Unroll::backward_args(DeviceOptimizer& optimizer, std::size_t g) {
  const Schedule& schedule = schedule_of(unroll_);
  const Group& group = groups_[g];
  UnrollBackwardArgs args;
  args.cell = group.cell;
  args.n = group.n;
  args.unroll_length = schedule.length;
  args.segment_length = schedule.segment_lengths[g];
  args.packed = optimizer.packed(static_cast<int>(g));
  args.trace = group.trace.data();
  args.trace_stride = group.n;
  args.weights = schedule.device_weights.data();
  args.tile_weights = group.tile_weights.data();
  if (options_.logarithmic) {
    args.tile_weights = group.step_weights.data();
    args.tile_weight_stride = group.tiles();
  }
  if (options_.scaled) {
    args.tile_scales = group.tile_scales.data();
    args.tile_scale_stride = group.tiles();
  }
  args.start_state = group.start_state.data();
  args.scratch = scratch_.data();
  return args;
}

void Unroll::restrict_to(const CoordinateRange& range, std::size_t g,
                         UnrollBackwardArgs& args) const {
  args.n = range.n;
  args.trace += range.first;
  args.tile_weights += range.first / kTile;
  if (args.tile_scales != nullptr) args.tile_scales += range.first / kTile;
  args.start_state = static_cast<const std::byte*>(args.start_state) +
                     backend_->state_bytes(groups_[g].cell, range.first);
}

void Unroll::backward(DeviceOptimizer& optimizer, float* meta_gradient) {
  const ProfiledScope scope(*backend_, profile_ ? &profile_->backward : nullptr);
  const std::size_t p = optimizer.meta_parameters().size();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    if (options_.logarithmic) {
      backend_->log_loss_weights({.evaluations = schedule_of(unroll_).length + 1,
                                  .tiles = group.tiles(),
                                  .tasks = static_cast<int>(tasks_),
                                  .losses = losses_.data(),
                                  .tile_weights = group.tile_weights.data(),
                                  .task_of_tile = group.task_of_tile.data(),
                                  .floor = kLogFloor,
                                  .weights = group.step_weights.data()});
    }
    const std::size_t rows = options_.gradients(members_.size());
    const std::size_t of_row = members_.size() / rows;
    for (std::size_t row = 0; row < rows; ++row) {
      UnrollBackwardArgs args = backward_args(optimizer, g);
      restrict_to(space_.range(static_cast<int>(g), members_, row * of_row, of_row), g, args);
      args.meta_gradient =
          meta_gradient + row * p + optimizer.first_meta_parameter(static_cast<int>(g));
      backend_->unroll_backward(args);
    }
  }
}

}  // namespace l2o
