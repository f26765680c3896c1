#include "host/meta/unroll.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "host/backend/checked_size.h"
#include "host/core/error.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

std::int64_t slots_of(const Truncation& truncation) {
  return std::int64_t{truncation.longest()} + 1;
}

std::int64_t tasks_of(const std::vector<Member>& members) {
  std::int64_t tasks = 0;
  for (const Member& member : members) tasks += member.optimizee->tasks();
  return tasks;
}

/// The members, where there is memory for an unroll of them.
const std::vector<Member>& members_that_fit(const Backend& backend,
                                            const std::vector<CellConfig>& cells,
                                            const std::vector<Member>& members,
                                            const Truncation& truncation,
                                            std::size_t recompute_budget) {
  const UnrollMemory memory = Unroll::memory(backend, cells, members, truncation, recompute_budget);
  const std::size_t in_use = backend.memory_in_use(), all = backend.device().memory_bytes;
  if (all != 0 && memory.total() > all - std::min(all, in_use)) {
    const auto megabytes = [](std::size_t bytes) { return (bytes + 999'999) / 1'000'000; };
    throw Error(
        Status::kOutOfMemory,
        fmt::format("out of memory: meta-training takes {} MB (gradient trace {}, state {}, "
                    "replay {}) beside the {} MB in use, of {}; lower train.tasks ({}), "
                    "train.unroll_length ({}) or evaluation.runs",
                    megabytes(memory.total()), megabytes(memory.trace), megabytes(memory.state),
                    megabytes(memory.replay), megabytes(in_use), megabytes(all), tasks_of(members),
                    truncation.longest()));
  }
  return members;
}

}  // namespace

UnrollMemory Unroll::memory(const Backend& backend, const std::vector<CellConfig>& cells,
                            const std::vector<Member>& members, const Truncation& truncation,
                            std::size_t recompute_budget) {
  const CoordinateSpace space(members);
  const std::int64_t slots = slots_of(truncation);
  constexpr std::int64_t kFloat = sizeof(float);
  UnrollMemory memory;
  memory.rest = checked_size({slots * tasks_of(members) + 2 * slots, kFloat});
  for (int group = 0; group < space.groups(); ++group) {
    const CellConfig& cell = cells[static_cast<std::size_t>(group)];
    const std::int64_t n = space.n(group);
    memory.trace += checked_size({slots, n, kFloat});
    memory.state += 2 * backend.state_bytes(cell, n);
    memory.rest += checked_size({n + tile_count(n), kFloat});
    for (const int length : {truncation.longest(), truncation.length(truncation.unrolls() - 1)}) {
      UnrollBackwardArgs args;
      args.cell = cell;
      args.n = n;
      args.unroll_length = length;
      args.segment_length = backend.plan_segment_length(cell, length, recompute_budget);
      memory.replay = std::max(memory.replay, backend.unroll_backward_scratch_bytes(args));
    }
  }
  return memory;
}

Unroll::Unroll(Backend& backend, const std::vector<CellConfig>& cells,
               const std::vector<Member>& members, const Truncation& truncation,
               const LossWeights& weights, std::size_t recompute_budget)
    : backend_(&backend),
      members_(members_that_fit(backend, cells, members, truncation, recompute_budget)),
      truncation_(truncation),
      space_(members),
      tasks_(static_cast<std::size_t>(tasks_of(members))) {
  const std::int64_t slots = slots_of(truncation);
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
         .trace = Buffer<float>(backend, checked_size({slots, n})),
         .tile_weights = Buffer<float>(backend, static_cast<std::size_t>(tile_count(n)))});
    groups_.back().theta.fill_zero();
    groups_.back().trace.fill_zero();
  }
  full_ = make_schedule(truncation.longest(), weights, recompute_budget);
  last_ = make_schedule(truncation.length(truncation.unrolls() - 1), weights, recompute_budget);
  theta_blocks_.resize(groups_.size());
  const_blocks_.resize(groups_.size());
  gradient_blocks_.resize(groups_.size());
  losses_ = Buffer<float>(backend, checked_size({slots, static_cast<std::int64_t>(tasks_)}));
  scratch_ = Buffer<std::byte>(
      backend, memory(backend, cells, members, truncation, recompute_budget).replay);
  set_scales(std::vector<double>(members.size(), 1.0));
}

void Unroll::set_scales(const std::vector<double>& scales) {
  for (std::size_t m = 0; m < members_.size(); ++m) members_[m].scale = scales[m];
  for (int g = 0; g < space_.groups(); ++g) {
    groups_[static_cast<std::size_t>(g)].tile_weights.upload(space_.tile_weights(g, members_));
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
  for (std::size_t m = 0; m < members_.size(); ++m) {
    members_[m].optimizee->sample(ranges[m]);
    theta_of(m);
    members_[m].optimizee->initial_parameters(theta_blocks_);
  }
  for (Group& group : groups_) group.state.reset();
}

void Unroll::resume_episode(const std::vector<TaskRange>& ranges, const CarriedState& carried) {
  for (std::size_t m = 0; m < members_.size(); ++m) members_[m].optimizee->sample(ranges[m]);
  const float* theta = carried.theta.data();
  const float* state = carried.state.data();
  for (Group& group : groups_) {
    backend_->upload(group.theta.data(), theta, group.theta.bytes());
    backend_->import_state(group.cell, group.n, state, group.state.data());
    theta += group.n;
    state += cell_state_size(group.cell) * group.n;
  }
}

CarriedState Unroll::carried() const {
  CarriedState carried;
  carried.theta.resize(carried_theta_size());
  carried.state.resize(carried_state_size());
  float* theta = carried.theta.data();
  float* state = carried.state.data();
  for (const Group& group : groups_) {
    backend_->download(theta, group.theta.data(), group.theta.bytes());
    backend_->export_state(group.cell, group.n, group.state.data(), state);
    theta += group.n;
    state += cell_state_size(group.cell) * group.n;
  }
  return carried;
}

std::size_t Unroll::carried_state_size() const {
  std::size_t size = 0;
  for (const Group& group : groups_) size += checked_size({cell_state_size(group.cell), group.n});
  return size;
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
  float* losses = losses_.data() + static_cast<std::size_t>(t) * tasks_;
  for (std::size_t m = 0; m < members_.size(); ++m) {
    members_[m].optimizee->value_and_gradient(theta_of(m), static_cast<std::uint32_t>(t), losses,
                                              gradients_of(m, t));
    losses += members_[m].optimizee->tasks();
  }
}

void Unroll::start(int k) {
  unroll_ = k;
  for (const Member& member : members_) {
    member.optimizee->start_evaluations(truncation_.first_evaluation(k));
  }
}

void Unroll::take_steps(DeviceOptimizer& optimizer) {
  for (Group& group : groups_) {
    backend_->copy(group.start_state.data(), group.state.data(), group.state.bytes());
  }
  const int length = truncation_.length(unroll_);
  for (int t = 0; t <= length; ++t) {
    evaluate_members(t);
    if (t == length) break;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      Group& group = groups_[g];
      step(optimizer, group.n, group.trace.data() + t * group.n, group.state, group.theta.data(),
           static_cast<int>(g));
    }
  }
}

void Unroll::forward(DeviceOptimizer& optimizer, int k) {
  start(k);
  take_steps(optimizer);
}

void Unroll::forward_and(DeviceOptimizer& optimizer, int k, const std::function<void()>& follow) {
  start(k);
  const auto work = [&] {
    take_steps(optimizer);
    follow();
  };
  const bool is_recordable =
      std::all_of(members_.begin(), members_.end(),
                  [](const Member& member) { return member.optimizee->is_recordable(); });
  if (is_recordable) {
    backend_->run(k + 1 < truncation_.unrolls() ? full_.recording : last_.recording, work);
  } else {
    work();
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

void Unroll::backward(DeviceOptimizer& optimizer, float* meta_gradient) {
  const Schedule& schedule = schedule_of(unroll_);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    const int number = static_cast<int>(g);
    UnrollBackwardArgs args;
    args.cell = group.cell;
    args.n = group.n;
    args.unroll_length = schedule.length;
    args.segment_length = schedule.segment_lengths[g];
    args.packed = optimizer.packed(number);
    args.trace = group.trace.data();
    args.weights = schedule.device_weights.data();
    args.tile_weights = group.tile_weights.data();
    args.start_state = group.start_state.data();
    args.meta_gradient = meta_gradient + optimizer.first_meta_parameter(number);
    args.scratch = scratch_.data();
    backend_->unroll_backward(args);
  }
}

}  // namespace l2o
