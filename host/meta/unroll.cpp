#include "host/meta/unroll.h"

#include <fmt/format.h>

#include <algorithm>

#include "host/backend/checked_size.h"
#include "host/core/error.h"
#include "kernels/cells/cell_list.h"

namespace l2o {
namespace {

std::int64_t slots_of(const Truncation& truncation) {
  return std::int64_t{truncation.longest()} + 1;
}

/// N, where there is memory for an unroll of so many coordinates.
std::int64_t coordinates_that_fit(const Backend& backend, const CellConfig& cell,
                                  const Optimizee& optimizee, const Truncation& truncation,
                                  std::size_t recompute_budget) {
  const auto n =
      static_cast<std::int64_t>(checked_size({optimizee.tasks(), optimizee.coordinates()}));
  const UnrollMemory memory =
      Unroll::memory(backend, cell, n, optimizee.tasks(), truncation, recompute_budget);
  const std::size_t in_use = backend.memory_in_use(), all = backend.device().memory_bytes;
  if (all != 0 && memory.total() > all - std::min(all, in_use)) {
    const auto megabytes = [](std::size_t bytes) { return (bytes + 999'999) / 1'000'000; };
    throw Error(
        Status::kOutOfMemory,
        fmt::format("out of memory: meta-training takes {} MB (gradient trace {}, state {}, "
                    "replay {}) beside the {} MB in use, of {}; lower train.tasks ({}), "
                    "train.unroll_length ({}) or evaluation.runs",
                    megabytes(memory.total()), megabytes(memory.trace), megabytes(memory.state),
                    megabytes(memory.replay), megabytes(in_use), megabytes(all), optimizee.tasks(),
                    truncation.longest()));
  }
  return n;
}

}  // namespace

UnrollMemory Unroll::memory(const Backend& backend, const CellConfig& cell, std::int64_t n,
                            int tasks, const Truncation& truncation, std::size_t recompute_budget) {
  const std::int64_t slots = slots_of(truncation);
  constexpr std::int64_t kFloat = sizeof(float);
  UnrollMemory memory;
  memory.trace = checked_size({slots, n, kFloat});
  memory.state = 2 * backend.state_bytes(cell, n);
  memory.rest = checked_size({n + slots * tasks + 2 * slots, kFloat});
  for (const int length : {truncation.longest(), truncation.length(truncation.unrolls() - 1)}) {
    UnrollBackwardArgs args;
    args.cell = cell;
    args.n = n;
    args.unroll_length = length;
    args.segment_length = backend.plan_segment_length(cell, length, recompute_budget);
    memory.replay = std::max(memory.replay, backend.unroll_backward_scratch_bytes(args));
  }
  return memory;
}

Unroll::Unroll(Backend& backend, const CellConfig& cell, Optimizee& optimizee,
               const Truncation& truncation, const LossWeights& weights,
               std::size_t recompute_budget)
    : backend_(&backend),
      cell_(cell),
      optimizee_(&optimizee),
      truncation_(truncation),
      tasks_(static_cast<std::size_t>(optimizee.tasks())),
      n_(coordinates_that_fit(backend, cell, optimizee, truncation, recompute_budget)),
      full_(make_schedule(truncation.longest(), weights, recompute_budget)),
      last_(make_schedule(truncation.length(truncation.unrolls() - 1), weights, recompute_budget)),
      state_(backend, cell, n_),
      start_state_(backend, state_.bytes()),
      theta_(backend, static_cast<std::size_t>(n_)) {
  const std::int64_t slots = slots_of(truncation);
  trace_ = Buffer<float>(backend, checked_size({slots, n_}));
  losses_ = Buffer<float>(backend, checked_size({slots, optimizee.tasks()}));
  scratch_ = Buffer<std::byte>(
      backend, memory(backend, cell, n_, optimizee.tasks(), truncation, recompute_budget).replay);
}

Unroll::Schedule Unroll::make_schedule(int length, const LossWeights& weights,
                                       std::size_t recompute_budget) {
  Schedule schedule;
  schedule.length = length;
  schedule.segment_length = backend_->plan_segment_length(cell_, length, recompute_budget);
  schedule.weights = weights.of_unroll(length);
  std::vector<float> per_task;
  for (const double weight : schedule.weights) {
    per_task.push_back(static_cast<float>(weight / static_cast<double>(tasks_)));
  }
  schedule.weights_per_task = Buffer<float>(*backend_, per_task.size());
  schedule.weights_per_task.upload(per_task);
  return schedule;
}

const Unroll::Schedule& Unroll::schedule_of(int k) const {
  return k + 1 < truncation_.unrolls() ? full_ : last_;
}

void Unroll::start_episode(const TaskRange& range) {
  optimizee_->sample(range);
  optimizee_->initial_parameters(theta_.data());
  state_.reset();
}

void Unroll::resume_episode(const TaskRange& range, const CarriedState& carried) {
  optimizee_->sample(range);
  theta_.upload(carried.theta);
  backend_->import_state(cell_, n_, carried.state.data(), state_.data());
}

CarriedState Unroll::carried() const {
  CarriedState carried;
  carried.theta = theta_.download();
  carried.state.resize(checked_size({cell_state_size(cell_), n_}));
  backend_->export_state(cell_, n_, state_.data(), carried.state.data());
  return carried;
}

void Unroll::start(int k) {
  unroll_ = k;
  optimizee_->start_evaluations(truncation_.first_evaluation(k));
}

void Unroll::take_steps(DeviceOptimizer& optimizer) {
  backend_->copy(start_state_.data(), state_.data(), state_.bytes());
  const int length = truncation_.length(unroll_);
  for (int t = 0; t <= length; ++t) {
    const auto slot = static_cast<std::size_t>(t);
    float* gradient = trace_.data() + slot * theta_.size();
    optimizee_->value_and_gradient(theta_.data(), static_cast<std::uint32_t>(t),
                                   losses_.data() + slot * tasks_, gradient);
    if (t < length) step(optimizer, n_, gradient, state_, theta_.data());
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
  if (optimizee_->is_recordable()) {
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
  UnrollBackwardArgs args = backward_args(schedule);
  args.packed = optimizer.packed();
  args.trace = trace_.data();
  args.weights = schedule.weights_per_task.data();
  args.start_state = start_state_.data();
  args.meta_gradient = meta_gradient;
  args.scratch = scratch_.data();
  backend_->unroll_backward(args);
}

UnrollBackwardArgs Unroll::backward_args(const Schedule& schedule) const {
  UnrollBackwardArgs args;
  args.cell = cell_;
  args.n = n_;
  args.unroll_length = schedule.length;
  args.segment_length = schedule.segment_length;
  return args;
}

}  // namespace l2o
