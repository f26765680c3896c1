#include "host/engine/training_loop.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "host/core/error.h"

namespace l2o {

TrainingLoop::TrainingLoop(Backend& backend, const TrainingConfig& config, const Model& initial,
                           const std::vector<Member>& members)
    : config_(config),
      initial_(initial),
      optimizer_(backend, initial),
      meta_optimizer_(backend, config.meta_optimizer, optimizer_.meta_parameters().size()),
      unroll_(backend, initial.cells(), members, config.truncation, config.loss_weights,
              config.recompute_budget),
      memory_(Unroll::memory(backend, initial.cells(), members, config.truncation,
                             config.recompute_budget)),
      member_losses_(members.size()) {}

void TrainingLoop::set_scales(const std::vector<double>& scales) { unroll_.set_scales(scales); }

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
  const std::vector<double>& weights = unroll_.weights(static_cast<int>(at_.unroll));
  const float* loss = losses.data();
  for (std::size_t t = 0; t < weights.size(); ++t) {
    at_.sums.final_loss = 0.0;
    for (std::size_t m = 0; m < member_losses_.size(); ++m) {
      const Member& member = unroll_.members()[m];
      const int tasks = member.optimizee->tasks();
      double sum = 0.0;
      for (int task = 0; task < tasks; ++task) sum += *loss++;
      member_losses_[m] = sum / tasks;
      at_.sums.final_loss += member.weight / member.scale * member_losses_[m];
    }
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
  report.member_losses = member_losses_;
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

Model TrainingLoop::model(const std::vector<float>& meta_parameters) const {
  Model model = initial_;
  auto next = meta_parameters.begin();
  for (GroupRule& rule : model.rules) {
    std::vector<float>& phi = rule.optimizer.meta_parameters;
    std::copy_n(next, phi.size(), phi.begin());
    next += static_cast<std::ptrdiff_t>(phi.size());
  }
  return model;
}

std::vector<TaskRange> TrainingLoop::episode_tasks() const {
  std::vector<TaskRange> ranges;
  for (const Member& member : unroll_.members()) {
    const auto number = static_cast<std::uint32_t>(ranges.size());
    ranges.push_back({stream_seed(config_.seed, TaskStream::kTraining, number),
                      static_cast<std::uint32_t>(at_.episode * member.optimizee->tasks())});
  }
  return ranges;
}

TrainingCheckpoint TrainingLoop::capture() const {
  TrainingCheckpoint checkpoint;
  checkpoint.position = at_;
  checkpoint.meta_parameters = optimizer_.meta_parameters().download();
  checkpoint.meta_optimizer = meta_optimizer_.state();
  for (const Member& member : unroll_.members()) checkpoint.scales.push_back(member.scale);
  if (at_.unroll > 0) checkpoint.carried = unroll_.carried();
  return checkpoint;
}

bool TrainingLoop::fits(const TrainingCheckpoint& checkpoint) const {
  const std::size_t p = optimizer_.meta_parameters().size();
  const bool is_inside = checkpoint.position.unroll > 0;
  const TrainingPosition& at = checkpoint.position;
  return checkpoint.meta_parameters.size() == p &&
         checkpoint.meta_optimizer.first_moment.size() == p &&
         checkpoint.meta_optimizer.second_moment.size() == p &&
         checkpoint.best_meta_parameters.size() == (at.best_episode > 0 ? p : 0) &&
         checkpoint.scales.size() == unroll_.members().size() &&
         checkpoint.carried.theta.size() == (is_inside ? unroll_.carried_theta_size() : 0) &&
         checkpoint.carried.state.size() == (is_inside ? unroll_.carried_state_size() : 0) &&
         at.episode >= 0 && at.unroll >= 0 && at.unroll < config_.truncation.unrolls() &&
         at.unrolls_done >= 0;
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
  unroll_.set_scales(checkpoint.scales);
  if (at_.unroll > 0) unroll_.resume_episode(episode_tasks(), checkpoint.carried);
}

std::size_t TrainingLoop::max_checkpoint_bytes() const {
  constexpr std::size_t kScalarFields = 4096;  // far more than they take
  return sizeof(float) * (4 * optimizer_.meta_parameters().size() + unroll_.carried_theta_size() +
                          unroll_.carried_state_size()) +
         sizeof(double) * unroll_.members().size() + kScalarFields;
}

}  // namespace l2o
