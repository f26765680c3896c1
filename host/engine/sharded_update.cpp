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

  ShardRows rows(shards_, {.gradient = shard_gradients_.size() / shards_.local,
                           .losses = loss_sum_count(),
                           .members = members()});
  rows.vote(stop.signal(), aborted);
  if (!aborted) fill(rows);
  add_up(rows);
  stopped_by_ = rows.stop_signal();
  if (rows.any_aborted()) {
    if (!aborted) unroll_.go_back_to_start();
    Stop::by(stopped_by_).raise();
    throw Error(Status::kInternal, "a rank aborted an unroll without a signal");
  }
  update_from(rows);
}

void TrainingLoop::fill(ShardRows& rows) const {
  const std::vector<float> gradients = shard_gradients_.download(), losses = unroll_.losses();
  auto gradient = gradients.begin();
  for (std::size_t shard = 0; shard < shards_.local; ++shard) {
    const std::span<double> row = rows.gradient(shard);
    std::copy_n(gradient, row.size(), row.begin());
    gradient += static_cast<std::ptrdiff_t>(row.size());
    add_up_losses(losses, shard, rows.losses(shard), rows.not_finite(shard));
  }
}

void TrainingLoop::update_from(ShardRows& rows) {
  std::vector<float> mean = rows.mean_gradient();
  // If a member has a non-finite loss, a NaN makes the meta-update skip its gradient.
  const std::size_t p = optimizer_.meta_parameters().size();
  for (std::size_t m = 0; m < members(); ++m) {
    if (rows.not_finite(0)[m] == 0.0) continue;
    mean[config_.by_member() ? m * p : 0] = std::numeric_limits<float>::quiet_NaN();
  }
  if (config_.by_member()) {
    member_gradients_.upload(mean);
    queue_combined_update(nullptr, 0);
  } else {
    optimizer_.backend().upload(meta_optimizer_.meta_gradient(), mean.data(), p * sizeof(float));
    meta_optimizer_.update(optimizer_);
  }
  add_losses(rows.losses(0));
}

void TrainingLoop::add_up(ShardRows& rows) {
  Backend& backend = optimizer_.backend();
  if (profile_ != nullptr) {  // separate the wait for the slowest rank from the exchange
    const ProfiledScope scope(backend, &profile_->wait);
    barrier(*ranks_);
  }
  const ProfiledScope scope(backend, profile_ ? &profile_->exchange : nullptr);
  rows.add_up(*ranks_);
}

}  // namespace l2o
