// Meta-training, one unroll at a time: no files, no validation, no clock. Both doors use it: the
// trainer of `l2o train`, and the C API's.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "host/comm/communicator.h"
#include "host/comm/shards.h"
#include "host/engine/training_checkpoint.h"
#include "host/engine/training_config.h"
#include "host/meta/meta_optimizer.h"
#include "host/meta/rollout.h"
#include "host/meta/unroll.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o {

/// How an episode went: all unrolls between two reports. The loss is the sum over the members of
/// weight / scale times the mean of f over their tasks; of weight times the mean of log f where the
/// meta-loss is one of logarithms.
struct EpisodeReport {
  std::int64_t episode = 0;    ///< its number, from 1
  double meta_loss = 0.0;      ///< weighted mean of the loss over its unrolls
  double final_loss = 0.0;     ///< of its last evaluation
  double learning_rate = 0.0;  ///< of its last meta-update
  double gradient_norm = 0.0;  ///< mean over its meta-updates, before clipping; NaN without any
  std::int64_t skipped = 0;    ///< its meta-updates left out as not finite
  // Of every member.
  std::vector<double> member_losses;  ///< the mean over its tasks of the last loss
  /// Means over its meta-updates, before clipping, and how often it was left out of one as not
  /// finite. Empty without a gradient for every member.
  std::vector<double> member_norms;
  std::vector<std::int64_t> member_failures;
};

class ShardRows;

class TrainingLoop {
 public:
  /// Episodes take all tasks of the members, whose optimizees must outlive the loop, as the backend
  /// and the ranks must. The members are those of the shards that this rank has, shard after shard.
  TrainingLoop(Backend& backend, const TrainingConfig& config, const Model& initial,
               const std::vector<Member>& members, const Shards& shards = {},
               Communicator& ranks = only_rank());
  /// Throws kOutOfMemory where there is too little for the unrolls of such a loop.
  static void require_memory(const Backend& backend, const TrainingConfig& config,
                             const Model& initial, const std::vector<Member>& members,
                             const Shards& shards = {});
  /// What the members' losses are divided by. Before the first unroll; restore() brings its own.
  void set_scales(const std::vector<double>& scales);

  /// Where a signal number appears to stop at, or null: for stopped_by().
  void watch(const volatile std::sig_atomic_t* stop_signal) { stop_signal_ = stop_signal; }
  /// See Unroll::set_profile().
  void set_profile(Profile* profile) {
    profile_ = profile;
    unroll_.set_profile(profile);
  }
  /// One unroll and its meta-update. True when the episode is over: finish_episode() comes next.
  /// Several ranks do it together; where a poll throws kInterrupted or kTerminated at one of them,
  /// it throws at all.
  bool run_unroll();
  /// The signal that any of several ranks saw until the last meta-update; 0: none.
  int stopped_by() const { return stopped_by_; }
  EpisodeReport finish_episode();
  /// Throws kDiverged after config.max_skipped_updates meta-updates skipped in a row.
  void check_diverged() const;
  bool diverged() const { return at_.skipped_in_row >= config_.max_skipped_updates; }

  /// Bytes that the unrolls take.
  const UnrollMemory& memory() const { return memory_; }
  const TrainingPosition& position() const { return at_; }
  DeviceOptimizer& optimizer() { return optimizer_; }
  /// The rules with other meta-parameters [P].
  Model model(const std::vector<float>& meta_parameters) const;
  /// The rules as trained so far.
  Model model() const { return model(optimizer_.meta_parameters().download()); }

  /// All that restore() needs; what concerns files and validation is left empty. Collective: what
  /// the ranks carry is whole at rank 0 only.
  TrainingCheckpoint capture() const;
  /// Goes on where `checkpoint` was captured. Throws kBadData, and changes nothing, where it is
  /// that of another configuration.
  void restore(const TrainingCheckpoint& checkpoint);
  /// Upper bound of the bytes of a serialized checkpoint of this configuration.
  std::size_t max_checkpoint_bytes() const;

 private:
  void start_members();
  void scale_updates();
  /// The unroll's steps, meta-gradient and meta-update, as one piece of work of the device.
  void update_alone();
  /// The same with a sum over shards, and ranks, before the meta-update.
  void update_together();
  void add_up(ShardRows& rows);
  /// Queues what makes the meta-gradient of the unroll, and the meta-update.
  void queue_update();
  /// The meta-update by the gradients of all members; loss_count: of each, or 0 where it is known
  /// that gradients of losses that are not finite are neither.
  void queue_combined_update(const float* losses, std::size_t loss_count);
  /// Members of the mixture: each is in every shard.
  std::size_t members() const { return unroll_.members().size() / shards_.local; }
  bool is_sharded() const { return shards_.count > 1; }
  /// Values by member, for every shard of this rank.
  template <class Value>
  std::vector<Value> in_every_shard(const std::vector<Value>& of_members) const {
    std::vector<Value> values;
    for (std::size_t shard = 0; shard < shards_.local; ++shard) {
      values.insert(values.end(), of_members.begin(), of_members.end());
    }
    return values;
  }
  /// Tasks of a member in all shards.
  std::int64_t tasks_of_all_shards(std::size_t member) const;
  /// All 0.
  EpisodeSums fresh_sums() const;
  /// Of the last unroll: sums over the tasks of every member, [T + 1, M].
  void add_losses(const std::vector<double>& sums);
  /// Makes them of the losses of a shard of this rank; counts those that are not finite by member.
  std::vector<double> loss_sums(const std::vector<float>& losses, std::size_t shard,
                                std::vector<double>& not_finite) const;
  /// Whose gradient was left out of the last meta-update.
  std::vector<bool> failed_members();
  /// Moves every member on by the unroll; those that failed, or are at the end, to a new episode.
  void move_on(const std::vector<bool>& failed);
  Episode episode_of(std::size_t member) const;
  /// Of the tasks of a shard of this rank.
  TaskRange tasks_of(std::size_t shard, std::size_t member) const;
  /// Of the meta-update after unroll k of the episode at hand.
  double learning_rate(std::int64_t k) const;
  /// Whether any member is inside of an episode.
  static bool is_inside(const TrainingPosition& at);
  bool fits(const TrainingCheckpoint& checkpoint) const;
  /// Numbers that all shards carry.
  struct CarriedSizes {
    std::size_t theta, state;
  };
  CarriedSizes carried_sizes() const;

  TrainingConfig config_;
  Shards shards_;
  Communicator* ranks_;
  const volatile std::sig_atomic_t* stop_signal_ = nullptr;
  int stopped_by_ = 0;
  Profile* profile_ = nullptr;
  Model initial_;
  DeviceOptimizer optimizer_;
  MetaOptimizer meta_optimizer_;
  Unroll unroll_;
  UnrollMemory memory_;
  TrainingPosition at_;
  // What combines the meta-gradients of members; empty where there is one for all of them.
  Buffer<float> member_gradients_;   // [M, P]
  Buffer<float> member_weights_;     // [M]
  Buffer<float> member_norms_;       // [M]
  Buffer<std::int32_t> first_task_;  // [M+1]
  Buffer<float> shard_gradients_;    // [shards, P], or [shards, M, P]; empty where there is one
};

}  // namespace l2o
