#include "host/engine/training_loop.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "host/core/error.h"
#include "kernels/cells/cell_list.h"

namespace l2o {

TrainingLoop::TrainingLoop(Backend& backend, const TrainingConfig& config, const Optimizer& initial,
                           Optimizee& optimizee)
    : config_(config),
      initial_(initial),
      optimizer_(backend, initial),
      meta_optimizer_(backend, config.meta_optimizer, initial.meta_parameters.size()),
      unroll_(backend, initial.cell, optimizee, config.truncation, config.loss_weights,
              config.recompute_budget),
      memory_(Unroll::memory(backend, initial.cell, unroll_.n(), optimizee.tasks(),
                             config.truncation, config.recompute_budget)) {}

bool TrainingLoop::run_unroll() {
  const int k = static_cast<int>(at_.unroll);
  if (k == 0) unroll_.start_episode(episode_tasks());
  meta_optimizer_.set_learning_rate(learning_rate(k));
  unroll_.forward_and(optimizer_, k, [this] {
    unroll_.backward(optimizer_, meta_optimizer_.meta_gradient());
    meta_optimizer_.update(optimizer_, unroll_.device_losses(), unroll_.loss_count());
  });
  add_losses(unroll_.losses());
  const MetaUpdateReport report = meta_optimizer_.report();
  ++at_.unroll;
  ++at_.unrolls_done;
  if (report.applied != 0) {
    at_.sums.gradient_norm += report.gradient_norm;
    ++at_.sums.applied;
    at_.skipped_in_row = 0;
  } else {
    // theta or the state may not be finite either: nothing of this episode is worth going on with.
    ++at_.sums.skipped;
    ++at_.skipped_updates;
    ++at_.skipped_in_row;
  }
  return report.applied == 0 || at_.unroll == config_.truncation.unrolls();
}

void TrainingLoop::add_losses(const std::vector<float>& losses) {
  const auto tasks = static_cast<std::size_t>(config_.tasks);
  const std::vector<double>& weights = unroll_.weights(static_cast<int>(at_.unroll));
  for (std::size_t t = 0; t < weights.size(); ++t) {
    double sum = 0.0;
    for (std::size_t task = 0; task < tasks; ++task) sum += losses[t * tasks + task];
    at_.sums.final_loss = sum / static_cast<double>(tasks);
    at_.sums.weighted_loss += weights[t] * at_.sums.final_loss;
    at_.sums.weight += weights[t];
  }
}

double TrainingLoop::learning_rate(std::int64_t k) const {
  // By the planned place of the update, so that a run with skipped updates still ends on schedule;
  // who goes on behind the last episode stays at the schedule's end.
  const double unrolls = config_.truncation.unrolls();
  const double done = static_cast<double>(at_.episode) * unrolls + static_cast<double>(k);
  const double planned = static_cast<double>(config_.episodes) * unrolls;
  return config_.meta_optimizer.learning_rate.at(std::min(done / planned, 1.0));
}

EpisodeReport TrainingLoop::finish_episode() {
  const EpisodeSums sums = std::exchange(at_.sums, {});
  EpisodeReport report;
  report.learning_rate = learning_rate(at_.unroll - 1);
  at_.unroll = 0;
  report.episode = ++at_.episode;
  report.meta_loss = sums.weighted_loss / sums.weight;
  report.final_loss = sums.final_loss;
  report.gradient_norm = sums.gradient_norm / static_cast<double>(sums.applied);
  report.skipped = sums.skipped;
  return report;
}

void TrainingLoop::check_diverged() const {
  if (!diverged()) return;
  throw Error(Status::kDiverged,
              "meta-training diverged: the last " + std::to_string(at_.skipped_in_row) +
                  " meta-updates were skipped because the meta-loss or its gradient was not "
                  "finite; try a lower meta_optimizer.learning_rate, meta_optimizer.clip_norm "
                  "= 1, or a smaller optimizer.output_scale");
}

Optimizer TrainingLoop::model(std::vector<float> meta_parameters) const {
  return {initial_.cell, std::move(meta_parameters), initial_.trained_on};
}

TaskRange TrainingLoop::episode_tasks() const {
  return {stream_seed(config_.seed, TaskStream::kTraining),
          static_cast<std::uint32_t>(at_.episode * config_.tasks)};
}

TrainingCheckpoint TrainingLoop::capture() const {
  TrainingCheckpoint checkpoint;
  checkpoint.position = at_;
  checkpoint.meta_parameters = optimizer_.meta_parameters().download();
  checkpoint.meta_optimizer = meta_optimizer_.state();
  if (at_.unroll > 0) checkpoint.carried = unroll_.carried();
  return checkpoint;
}

bool TrainingLoop::fits(const TrainingCheckpoint& checkpoint) const {
  const std::size_t p = initial_.meta_parameters.size();
  const std::size_t n = checkpoint.position.unroll > 0 ? static_cast<std::size_t>(unroll_.n()) : 0;
  const auto state_size = static_cast<std::size_t>(cell_state_size(initial_.cell));
  const TrainingPosition& at = checkpoint.position;
  return checkpoint.meta_parameters.size() == p &&
         checkpoint.meta_optimizer.first_moment.size() == p &&
         checkpoint.meta_optimizer.second_moment.size() == p &&
         checkpoint.best_meta_parameters.size() == (at.best_episode > 0 ? p : 0) &&
         checkpoint.carried.theta.size() == n &&
         checkpoint.carried.state.size() == n * state_size && at.episode >= 0 && at.unroll >= 0 &&
         at.unroll < config_.truncation.unrolls() && at.unrolls_done >= 0;
}

void TrainingLoop::restore(const TrainingCheckpoint& checkpoint) {
  if (!fits(checkpoint)) {
    throw Error(Status::kBadData,
                "the training checkpoint does not fit its configuration: its sizes or counters are "
                "those of another run");
  }
  at_ = checkpoint.position;
  optimizer_.meta_parameters().upload(checkpoint.meta_parameters);
  optimizer_.pack();
  meta_optimizer_.restore(checkpoint.meta_optimizer);
  if (at_.unroll > 0) unroll_.resume_episode(episode_tasks(), checkpoint.carried);
}

std::size_t TrainingLoop::max_checkpoint_bytes() const {
  const auto n = static_cast<std::size_t>(unroll_.n());
  const auto state_size = static_cast<std::size_t>(cell_state_size(initial_.cell));
  constexpr std::size_t kScalarFields = 4096;  // far more than they take
  return sizeof(float) * (4 * initial_.meta_parameters.size() + n * (1 + state_size)) +
         kScalarFields;
}

}  // namespace l2o
