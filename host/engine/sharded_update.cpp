// The part of the training loop for several shards, possibly on several ranks: the meta-update from
// the sums over all shards.
#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "host/core/error.h"
#include "host/engine/shard_rows.h"
#include "host/engine/stop.h"
#include "host/engine/training_loop.h"

namespace l2o {

void TrainingLoop::update_across_shards() {
  const std::vector<int> at(at_.member_unrolls.begin(), at_.member_unrolls.end());
  Stop stop;
  bool aborted = false;
  try {
    unroll_.forward_and(optimizer_, in_every_shard(at),
                        [this] { unroll_.backward(optimizer_, shard_gradients_.data()); });
    if (stop_signal_ != nullptr) stop = Stop::by(*stop_signal_);
  } catch (const Error& error) {
    stop = Stop(error);
    aborted = true;  // the other ranks wait for this one and must be told
  }

  const std::size_t gradient_size = shard_gradients_.size() / shards_.local;
  const std::size_t evaluations = unroll_.loss_count() / unroll_.tasks();
  ShardRows rows(
      shards_,
      {.gradient = gradient_size, .losses = evaluations * members(), .members = members()});
  rows.vote(stop.signal(), aborted);
  if (!aborted) {
    const std::vector<float> gradients = shard_gradients_.download(), losses = unroll_.losses();
    for (std::size_t shard = 0; shard < shards_.local; ++shard) {
      std::copy_n(gradients.begin() + static_cast<std::ptrdiff_t>(shard * gradient_size),
                  gradient_size, rows.gradient(shard).begin());
      std::vector<double> not_finite(members());
      std::ranges::copy(loss_sums(losses, shard, not_finite), rows.losses(shard).begin());
      std::ranges::copy(not_finite, rows.not_finite(shard).begin());
    }
  }
  add_up(rows);
  stopped_by_ = rows.stop_signal();
  if (rows.any_aborted()) {
    if (!aborted) unroll_.go_back_to_start();
    Stop::by(stopped_by_).raise();
  }

  // The meta-loss is the mean over the shards. If a member has a non-finite loss, a NaN
  // makes the meta-update skip its gradient.
  const std::size_t p = optimizer_.meta_parameters().size(), gradient_count = gradient_size / p;
  std::vector<float> mean(gradient_size);
  for (std::size_t i = 0; i < gradient_size; ++i) {
    mean[i] = static_cast<float>(rows.gradient(0)[i] / static_cast<double>(shards_.count));
  }
  for (std::size_t m = 0; m < members(); ++m) {
    if (rows.not_finite(0)[m] == 0.0) continue;
    mean[gradient_count == 1 ? 0 : m * p] = std::numeric_limits<float>::quiet_NaN();
  }
  Backend& backend = optimizer_.backend();
  const std::size_t bytes = mean.size() * sizeof(float);
  if (config_.by_member()) {
    backend.upload(member_gradients_.data(), mean.data(), bytes);
    queue_combined_update(nullptr, 0);
  } else {
    backend.upload(meta_optimizer_.meta_gradient(), mean.data(), bytes);
    meta_optimizer_.update(optimizer_);
  }
  const std::span<const double> sums = rows.losses(0);
  add_losses({sums.begin(), sums.end()});
}

void TrainingLoop::add_up(ShardRows& rows) {
  Backend& backend = optimizer_.backend();
  if (profile_ != nullptr) {  // separate the wait for the slowest rank from the exchange
    const ProfiledScope scope(backend, &profile_->wait);
    std::vector<double> all(static_cast<std::size_t>(ranks_->size()));
    const double ignored = 0.0;  // the gather serves as a barrier
    ranks_->all_gather({&ignored, 1}, all);
  }
  const ProfiledScope scope(backend, profile_ ? &profile_->exchange : nullptr);
  rows.add_up(*ranks_);
}

}  // namespace l2o
