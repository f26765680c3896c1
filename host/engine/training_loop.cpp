#include "host/engine/training_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "host/core/error.h"
#include "host/engine/limits.h"
#include "kernels/math/meta_gradient.h"

namespace l2o {

namespace {

UnrollOptions options_of(const TrainingConfig& config, const Shards& shards) {
  return {.logarithmic = config.logarithmic,
          .by_member = config.by_member(),
          .scaled = config.episode.schedule != EpisodeConfig::Schedule::kConstant,
          .shards = shards.local};
}

}  // namespace

void TrainingLoop::require_memory(const Backend& backend, const TrainingConfig& config,
                                  const Model& initial, const std::vector<Member>& members,
                                  const Shards& shards) {
  Unroll::require_memory(backend, initial.cells(), members, config.episode.truncation,
                         config.recompute_budget, options_of(config, shards));
}

TrainingLoop::TrainingLoop(Backend& backend, const TrainingConfig& config, const Model& initial,
                           const std::vector<Member>& every_member, const Shards& shards,
                           Communicator& ranks)
    : config_(config),
      shards_(shards),
      ranks_(&ranks),
      initial_(initial),
      optimizer_(backend, initial),
      meta_optimizer_(backend, config.meta_optimizer, optimizer_.meta_parameters().size()),
      unroll_(backend, initial.cells(), every_member, config.episode.truncation,
              config.loss_weights, config.recompute_budget, options_of(config, shards)),
      memory_(Unroll::memory(backend, initial.cells(), every_member, config.episode.truncation,
                             config.recompute_budget, options_of(config, shards))) {
  const std::size_t p = optimizer_.meta_parameters().size();
  const std::vector<Member> members(
      every_member.begin(), every_member.begin() + static_cast<std::ptrdiff_t>(this->members()));
  at_.member_episodes.assign(members.size(), 0);
  at_.member_unrolls.assign(members.size(), 0);
  at_.member_losses.assign(members.size(), std::numeric_limits<double>::quiet_NaN());
  at_.sums = fresh_sums();
  if (is_sharded()) {
    shard_gradients_ =
        Buffer<float>(backend, options_of(config, shards).gradients(every_member.size()) * p);
  }
  if (!config.by_member()) return;
  double all_weights = 0.0;
  for (const Member& member : members) all_weights += member.weight;
  std::vector<float> weights;
  std::vector<std::int32_t> first_task = {0};
  for (const Member& member : members) {
    weights.push_back(static_cast<float>(member.weight / all_weights));
    first_task.push_back(first_task.back() + member.optimizee->tasks());
  }
  member_gradients_ = Buffer<float>(backend, members.size() * p);
  member_weights_ = Buffer<float>(backend, weights.size());
  member_weights_.upload(weights);
  member_norms_ = Buffer<float>(backend, members.size());
  first_task_ = Buffer<std::int32_t>(backend, first_task.size());
  first_task_.upload(first_task);
}

EpisodeSums TrainingLoop::fresh_sums() const {
  EpisodeSums sums;
  const std::size_t count = config_.by_member() ? members() : 0;
  sums.member_norms.assign(count, 0.0);
  sums.member_updates.assign(count, 0);
  sums.member_failures.assign(count, 0);
  return sums;
}

void TrainingLoop::set_scales(const std::vector<double>& scales) {
  unroll_.set_scales(in_every_shard(scales));
}

bool TrainingLoop::run_unroll() {
  start_members();
  scale_updates();
  meta_optimizer_.set_learning_rate(learning_rate(at_.unroll));
  if (is_sharded()) {
    update_across_shards();
  } else {
    update_alone();
  }
  const MetaUpdateReport report = meta_optimizer_.report();
  ++at_.unroll;
  ++at_.unrolls_done;
  if (report.applied != 0) {
    at_.sums.gradient_norm += report.gradient_norm;
    ++at_.sums.applied;
    at_.skipped_in_row = 0;
  } else {
    ++at_.sums.skipped;
    ++at_.skipped_updates;
    ++at_.skipped_in_row;
  }
  // If an update was skipped, theta or the state may be non-finite too: these episodes are not
  // worth continuing.
  const bool is_lost = report.applied == 0;
  std::vector<bool> failed = count_members();
  if (is_lost) failed.assign(members(), true);
  move_on(failed);
  const bool is_whole = at_.unroll == config_.episode.mean_unrolls();
  return is_whole || (is_lost && !config_.episode.independent);
}

void TrainingLoop::start_members() {
  const std::size_t count = members();
  for (std::size_t m = 0; m < count; ++m) {
    if (at_.member_unrolls[m] != 0) continue;
    for (std::size_t shard = 0; shard < shards_.local; ++shard) {
      unroll_.start_member(shard * count + m, tasks_of(shard, m));
    }
  }
}

void TrainingLoop::resample() {
  const std::size_t count = members();
  for (std::size_t m = 0; m < count; ++m) {
    if (at_.member_unrolls[m] == 0) continue;  // the next unroll draws new ones
    for (std::size_t shard = 0; shard < shards_.local; ++shard) {
      unroll_.members()[shard * count + m].optimizee->sample(tasks_of(shard, m));
    }
  }
}

void TrainingLoop::scale_updates() {
  if (!options_of(config_, shards_).scaled) return;
  const Truncation& truncation = config_.episode.truncation;
  std::vector<std::vector<double>> scales(members());
  for (std::size_t m = 0; m < scales.size(); ++m) {
    const Episode episode = episode_of(m);
    const int k = static_cast<int>(at_.member_unrolls[m]);
    const int first = k * truncation.unroll_length;
    for (int t = 0; t < truncation.length(k); ++t) {
      scales[m].push_back(update_scale(episode.schedule, first + t, episode.steps));
    }
  }
  unroll_.set_update_scales(in_every_shard(scales));
}

void TrainingLoop::update_alone() {
  unroll_.forward_and(optimizer_, {at_.member_unrolls.begin(), at_.member_unrolls.end()},
                      [this] { queue_update(); });
  std::vector<double> sums(loss_sum_count()), not_finite(members());
  add_up_losses(unroll_.losses(), 0, sums, not_finite);
  add_losses(sums);
}

void TrainingLoop::queue_update() {
  if (!config_.by_member()) {
    unroll_.backward(optimizer_, meta_optimizer_.meta_gradient());
    meta_optimizer_.update(optimizer_, unroll_.device_losses(), unroll_.loss_count());
    return;
  }
  unroll_.backward(optimizer_, member_gradients_.data());
  queue_combined_update(unroll_.device_losses(), unroll_.loss_count());
}

void TrainingLoop::queue_combined_update(const float* losses, std::size_t loss_count) {
  const std::size_t tasks = unroll_.tasks();
  optimizer_.backend().combine_gradients(
      {.size = static_cast<std::int64_t>(optimizer_.meta_parameters().size()),
       .count = static_cast<int>(members()),
       .gradients = member_gradients_.data(),
       .weights = member_weights_.data(),
       .clip_norm = static_cast<float>(config_.member_clip_norm),
       .evaluations = static_cast<int>(loss_count / tasks),
       .tasks = static_cast<int>(tasks),
       .losses = losses,
       .first_task = first_task_.data(),
       .combined = meta_optimizer_.meta_gradient(),
       .norms = member_norms_.data()});
  meta_optimizer_.update(optimizer_);
}

std::vector<bool> TrainingLoop::count_members() {
  std::vector<bool> failed(members(), false);
  if (!config_.by_member()) return failed;
  const std::vector<float> norms = member_norms_.download();
  for (std::size_t m = 0; m < failed.size(); ++m) {
    failed[m] = is_left_out(norms[m]);
    if (failed[m]) {
      ++at_.sums.member_failures[m];
    } else {
      ++at_.sums.member_updates[m];
      at_.sums.member_norms[m] += double{norms[m]};
    }
  }
  return failed;
}

void TrainingLoop::move_on(const std::vector<bool>& failed) {
  for (std::size_t m = 0; m < failed.size(); ++m) {
    if (!failed[m] && ++at_.member_unrolls[m] < episode_of(m).unrolls) continue;
    at_.member_unrolls[m] = 0;
    ++at_.member_episodes[m];
  }
}

void TrainingLoop::add_up_losses(const std::vector<float>& losses, std::size_t shard,
                                 std::span<double> sums, std::span<double> not_finite) const {
  const std::size_t tasks = unroll_.tasks();
  auto next = sums.begin();
  for (std::size_t row = 0; row < losses.size(); row += tasks) {
    const float* loss = losses.data() + row + shard * (tasks / shards_.local);
    for (std::size_t m = 0; m < members(); ++m) {
      double sum = 0.0;
      for (int task = 0; task < unroll_.members()[m].optimizee->tasks(); ++task, ++loss) {
        sum += meta_value(double{*loss}, config_.logarithmic);
        if (!std::isfinite(*loss)) ++not_finite[m];
      }
      *next++ = sum;
    }
  }
}

void TrainingLoop::add_losses(std::span<const double> sums) {
  const std::vector<double>& weights = unroll_.weights(unroll_.last());
  const double* sum = sums.data();
  for (std::size_t t = 0; t < weights.size(); ++t) {
    at_.sums.final_loss = 0.0;
    std::size_t counted = 0;
    for (std::size_t m = 0; m < members(); ++m, ++sum) {
      const Member& member = unroll_.members()[m];
      at_.member_losses[m] = *sum / static_cast<double>(tasks_of_all_shards(m));
      // A member that fails on its own is excluded from the sum, so that the others stay visible.
      if (config_.by_member() && !std::isfinite(*sum)) continue;
      const double scale = config_.logarithmic ? 1.0 : member.scale;
      at_.sums.final_loss += member.weight / scale * at_.member_losses[m];
      ++counted;
    }
    if (counted == 0) at_.sums.final_loss = std::numeric_limits<double>::quiet_NaN();
    at_.sums.weighted_loss += weights[t] * at_.sums.final_loss;
    at_.sums.weight += weights[t];
  }
}

double TrainingLoop::learning_rate(std::int64_t k) const {
  // Use the planned position of the update, so that a run with skipped updates still ends on
  // schedule; a run that continues after the last episode stays at the end of the schedule.
  const double unrolls = config_.episode.mean_unrolls();
  const double done = static_cast<double>(at_.episode) * unrolls + static_cast<double>(k);
  const double planned = static_cast<double>(config_.episodes) * unrolls;
  return config_.meta_optimizer.learning_rate.at(std::min(done / planned, 1.0));
}

EpisodeReport TrainingLoop::finish_episode() {
  const EpisodeSums sums = std::exchange(at_.sums, fresh_sums());
  EpisodeReport report;
  report.learning_rate = learning_rate(at_.unroll - 1);
  at_.unroll = 0;
  report.episode = ++at_.episode;
  report.meta_loss = sums.weighted_loss / sums.weight;
  report.final_loss = sums.final_loss;
  report.gradient_norm = sums.gradient_norm / static_cast<double>(sums.applied);
  report.skipped = sums.skipped;
  report.member_losses = at_.member_losses;
  report.member_failures = sums.member_failures;
  for (std::size_t m = 0; m < sums.member_norms.size(); ++m) {
    report.member_norms.push_back(sums.member_norms[m] /
                                  static_cast<double>(sums.member_updates[m]));
  }
  return report;
}

void TrainingLoop::check_diverged() const {
  if (!diverged()) return;
  throw Error(Status::kDiverged,
              "meta-training diverged: the last " + std::to_string(at_.skipped_in_row) +
                  " meta-updates were skipped because the meta-loss or its gradient was "
                  "non-finite; try a lower meta_optimizer.learning_rate, meta_optimizer.clip_norm "
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

Episode TrainingLoop::episode_of(std::size_t member) const {
  const std::uint64_t seed =
      stream_seed(config_.seed, TaskStream::kEpisodes, static_cast<std::uint32_t>(member));
  return draw_episode(config_.episode, seed, at_.member_episodes[member]);
}

std::int64_t TrainingLoop::tasks_of_all_shards(std::size_t member) const {
  return unroll_.members()[member].optimizee->tasks() * static_cast<std::int64_t>(shards_.count);
}

TaskRange TrainingLoop::tasks_of(std::size_t shard, std::size_t member) const {
  const std::int64_t tasks = unroll_.members()[member].optimizee->tasks();
  const auto place = static_cast<std::int64_t>(shards_.first + shard);
  const std::int64_t first =
      at_.member_episodes[member] * tasks_of_all_shards(member) + place * tasks;
  if (first > kTaskNumbers - tasks) {
    throw Error(Status::kUsage, fmt::format("the run needs more than {} tasks", kTaskNumbers));
  }
  return {stream_seed(config_.seed, TaskStream::kTraining, static_cast<std::uint32_t>(member)),
          static_cast<std::uint32_t>(first)};
}

}  // namespace l2o
