// Checkpoints of a TrainingLoop.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "host/core/error.h"
#include "host/engine/limits.h"
#include "host/engine/training_loop.h"

namespace l2o {

TrainingCheckpoint TrainingLoop::capture() const {
  TrainingCheckpoint checkpoint;
  checkpoint.position = at_;
  checkpoint.meta_parameters = optimizer_.meta_parameters().download();
  checkpoint.meta_optimizer = meta_optimizer_.state();
  for (std::size_t m = 0; m < members(); ++m) {
    checkpoint.scales.push_back(unroll_.members()[m].scale);
  }
  if (is_inside(at_)) {
    CarriedState mine = unroll_.carried();
    checkpoint.carried.theta = gather_numbers(*ranks_, std::move(mine.theta));
    checkpoint.carried.state = gather_numbers(*ranks_, std::move(mine.state));
  }
  return checkpoint;
}

bool TrainingLoop::is_inside(const TrainingPosition& at) {
  return std::any_of(at.member_unrolls.begin(), at.member_unrolls.end(),
                     [](std::int64_t unrolls) { return unrolls > 0; });
}

bool TrainingLoop::fits(const TrainingCheckpoint& checkpoint) const {
  const std::size_t p = optimizer_.meta_parameters().size();
  const TrainingPosition& at = checkpoint.position;
  const std::size_t members = this->members();
  const std::size_t by_member = config_.by_member() ? members : 0;
  const bool carries = is_inside(at);
  const CarriedSizes carried = carried_sizes();
  const auto in_range = [](const std::vector<std::int64_t>& values, std::int64_t end) {
    return std::all_of(values.begin(), values.end(),
                       [&](std::int64_t value) { return 0 <= value && value < end; });
  };
  return checkpoint.meta_parameters.size() == p &&
         checkpoint.meta_optimizer.first_moment.size() == p &&
         checkpoint.meta_optimizer.second_moment.size() == p &&
         checkpoint.best_meta_parameters.size() == (at.best_episode > 0 ? p : 0) &&
         checkpoint.scales.size() == members && at.member_episodes.size() == members &&
         at.member_unrolls.size() == members && at.member_losses.size() == members &&
         at.sums.member_norms.size() == by_member && at.sums.member_updates.size() == by_member &&
         at.sums.member_failures.size() == by_member &&
         checkpoint.carried.theta.size() == (carries ? carried.theta : 0) &&
         checkpoint.carried.state.size() == (carries ? carried.state : 0) &&
         in_range(at.member_episodes, kTaskNumbers) &&
         in_range(at.member_unrolls, config_.episode.truncation.unrolls()) && at.episode >= 0 &&
         at.unroll >= 0 && at.unroll < config_.episode.mean_unrolls() && at.unrolls_done >= 0;
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
  set_scales(checkpoint.scales);
  if (!is_inside(at_)) return;
  std::vector<TaskRange> ranges;
  for (std::size_t shard = 0; shard < shards_.local; ++shard) {
    for (std::size_t m = 0; m < members(); ++m) ranges.push_back(tasks_of(shard, m));
  }
  // All shards carry the same number of values, in the order of the shard numbers.
  const auto mine = [&](const std::vector<float>& all) {
    const auto shard = static_cast<std::ptrdiff_t>(all.size() / shards_.count);
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(shards_.first) * shard;
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(shards_.local) * shard);
  };
  unroll_.resume_episode(ranges, {mine(checkpoint.carried.theta), mine(checkpoint.carried.state)});
}

TrainingLoop::CarriedSizes TrainingLoop::carried_sizes() const {
  const std::size_t ranks = shards_.count / shards_.local;
  return {ranks * unroll_.carried_theta_size(), ranks * unroll_.carried_state_size()};
}

std::size_t TrainingLoop::max_checkpoint_bytes() const {
  constexpr std::size_t kScalarFields = 4096;  // a generous upper bound
  constexpr std::size_t kPhis = 4;             // phi, its best, and two moments
  constexpr std::size_t kFieldsOfMember = 7;   // of TrainingPosition, EpisodeSums, and the scale
  const CarriedSizes carried = carried_sizes();
  return sizeof(float) *
             (kPhis * optimizer_.meta_parameters().size() + carried.theta + carried.state) +
         kFieldsOfMember * sizeof(double) * members() + kScalarFields;
}

}  // namespace l2o
