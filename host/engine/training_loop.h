// Meta-training, one unroll at a time: no files, no validation, no clock. Used by both entry
// points: the trainer of `l2o train` and that of the C API.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <span>
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

/// Summary of an episode: all unrolls between two reports. The loss is the sum over the members of
/// weight / scale times the mean of f over their tasks, or, with a logarithmic meta-loss, of weight
/// times the mean of log f. If each member has its own gradient, members whose loss is non-finite
/// are excluded; NaN if all are.
struct EpisodeReport {
  std::int64_t episode = 0;    ///< its number, from 1
  double meta_loss = 0.0;      ///< weighted mean of the loss over its unrolls
  double final_loss = 0.0;     ///< at its last evaluation
  double learning_rate = 0.0;  ///< used by its last meta-update
  double gradient_norm = 0.0;  ///< mean over its meta-updates, before clipping; NaN without any
  std::int64_t skipped = 0;    ///< its meta-updates skipped as non-finite
  // For each member.
  std::vector<double> member_losses;  ///< mean of the last loss over its tasks
  /// Means over its meta-updates, before clipping, and how often it was excluded from one as
  /// non-finite. Empty unless each member has its own gradient.
  std::vector<double> member_norms;
  std::vector<std::int64_t> member_failures;
};

class ShardRows;

class TrainingLoop {
 public:
  /// Episodes use all tasks of the members. Their optimizees, the backend and the ranks must
  /// outlive the loop. The members are those of the shards of this rank, shard after shard.
  TrainingLoop(Backend& backend, const TrainingConfig& config, const Model& initial,
               const std::vector<Member>& members, const Shards& shards = {},
               Communicator& ranks = only_rank());
  /// Throws kOutOfMemory if there is too little memory for the unrolls of such a loop.
  static void require_memory(const Backend& backend, const TrainingConfig& config,
                             const Model& initial, const std::vector<Member>& members,
                             const Shards& shards = {});
  /// Sets the divisors of the members' losses. Call before the first unroll; restore() sets its
  /// own.
  void set_scales(const std::vector<double>& scales);

  /// The location of a signal number that requests a stop, for stopped_by(). May be null.
  void watch(const volatile std::sig_atomic_t* stop_signal) { stop_signal_ = stop_signal; }
  /// See Unroll::set_profile().
  void set_profile(Profile* profile) {
    profile_ = profile;
    unroll_.set_profile(profile);
  }
  /// Runs one unroll and its meta-update. Returns true at the end of the episode: the next call is
  /// finish_episode(). Collective for several ranks: if a poll throws kInterrupted or kTerminated
  /// on one of them, this throws on all of them.
  bool run_unroll();
  /// Lets the optimizees draw the tasks of the current episodes again: call it if they were used
  /// for other tasks since the last unroll.
  void resample();
  /// The signal that any of several ranks had received by the last meta-update; 0: none.
  int stopped_by() const { return stopped_by_; }
  EpisodeReport finish_episode();
  /// Throws kDiverged if config.max_skipped_updates meta-updates in a row were skipped.
  void check_diverged() const;
  bool diverged() const { return at_.skipped_in_row >= config_.max_skipped_updates; }

  /// Memory of the unrolls.
  const UnrollMemory& memory() const { return memory_; }
  const TrainingPosition& position() const { return at_; }
  DeviceOptimizer& optimizer() { return optimizer_; }
  /// The rules with other meta-parameters [P].
  Model model(const std::vector<float>& meta_parameters) const;
  /// The rules as trained so far.
  Model model() const { return model(optimizer_.meta_parameters().download()); }

  /// Everything that restore() needs; the fields for files and validation are left empty.
  /// Collective: the carried state is complete on rank 0 only.
  TrainingCheckpoint capture() const;
  /// Continues where `checkpoint` was captured. Throws kBadData, without changing anything, if it
  /// belongs to another configuration.
  void restore(const TrainingCheckpoint& checkpoint);
  /// Upper bound on the size in bytes of a serialized checkpoint of this configuration.
  std::size_t max_checkpoint_bytes() const;

 private:
  void start_members();
  void scale_updates();
  /// Runs the steps, meta-gradient and meta-update as one unit of device work.
  void update_alone();
  /// The same, with a sum over shards and ranks before the meta-update.
  void update_across_shards();
  /// Writes the meta-gradients and losses of this rank's shards.
  void fill(ShardRows& rows) const;
  void add_up(ShardRows& rows);
  /// The meta-update with the mean over all shards.
  void update_from(ShardRows& rows);
  /// Queues the computation of the unroll's meta-gradient, and the meta-update.
  void queue_update();
  /// Queues the meta-update from the gradients of all members. loss_count: of each, or 0 if the
  /// gradients of non-finite losses are known to be non-finite.
  void queue_combined_update(const float* losses, std::size_t loss_count);
  /// Number of members of the mixture; each is in every shard.
  std::size_t members() const { return unroll_.members().size() / shards_.local; }
  bool is_sharded() const { return shards_.count > 1; }
  /// Repeats values by member for every shard of this rank.
  template <class Value>
  std::vector<Value> in_every_shard(const std::vector<Value>& of_members) const {
    std::vector<Value> values;
    for (std::size_t shard = 0; shard < shards_.local; ++shard) {
      values.insert(values.end(), of_members.begin(), of_members.end());
    }
    return values;
  }
  /// Number of tasks of a member in all shards.
  std::int64_t tasks_of_all_shards(std::size_t member) const;
  /// All 0.
  EpisodeSums fresh_sums() const;
  /// Adds the losses of the last unroll: sums over the tasks of every member, [T + 1, M].
  void add_losses(std::span<const double> sums);
  std::size_t loss_sum_count() const { return unroll_.loss_count() / unroll_.tasks() * members(); }
  /// Computes these sums for a shard of this rank; counts the non-finite losses by member.
  void add_up_losses(const std::vector<float>& losses, std::size_t shard, std::span<double> sums,
                     std::span<double> not_finite) const;
  /// Returns the members whose gradients were excluded from the last meta-update. Adds it to the
  /// sums of the episode.
  std::vector<bool> count_members();
  /// Advances every member by the unroll, or to a new episode if it failed or is at the end.
  void move_on(const std::vector<bool>& failed);
  Episode episode_of(std::size_t member) const;
  /// The tasks of a member in a shard of this rank. Throws kUsage if their numbers would wrap
  /// around.
  TaskRange tasks_of(std::size_t shard, std::size_t member) const;
  /// The learning rate of the meta-update after unroll k of the current episode.
  double learning_rate(std::int64_t k) const;
  /// Whether any member is within an episode.
  static bool is_inside(const TrainingPosition& at);
  bool fits(const TrainingCheckpoint& checkpoint) const;
  /// Number of values that all shards carry.
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
  // For combining the meta-gradients of members; empty if they share one.
  Buffer<float> member_gradients_;   // [M, P]
  Buffer<float> member_weights_;     // [M]
  Buffer<float> member_norms_;       // [M]
  Buffer<std::int32_t> first_task_;  // [M+1]
  Buffer<float> shard_gradients_;    // [shards, P], or [shards, M, P]; empty for one shard
};

}  // namespace l2o
