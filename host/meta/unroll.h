// One unroll after the other of an episode: forward with a gradient trace, then the meta-gradient.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host/meta/coordinate_space.h"
#include "host/meta/loss_weights.h"
#include "host/meta/profile.h"
#include "host/meta/truncation.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o {

/// What an episode hands from one unroll to the next: by value, no gradient flows through it.
/// Shard after shard, and so the same however many shards an Unroll has of a run.
struct CarriedState {
  std::vector<float> theta;  ///< [N] of every group, group after group
  std::vector<float> state;  ///< [S, N] likewise
};

/// What an Unroll does beside the plain meta-gradient of all members.
struct UnrollOptions {
  bool logarithmic = false;  ///< the meta-loss is of log f; tasks begin at whole tiles
  bool by_member = false;    ///< a meta-gradient for every member
  bool scaled = false;       ///< updates are scaled by step and member
  /// The members are those of so many shards, one shard after the other: all shards have the same
  /// members in the same order, and each has meta-gradients of its own.
  std::size_t shards = 1;

  /// Meta-gradients of a backward pass, each of equally many members.
  std::size_t gradients(std::size_t members) const { return by_member ? members : shards; }
};

/// Bytes of backend memory that an Unroll takes.
struct UnrollMemory {
  std::size_t trace = 0;   ///< gradients of all steps
  std::size_t state = 0;   ///< of the coordinates: at the unroll's start, and now
  std::size_t replay = 0;  ///< scratch of the backward pass: recompute checkpoints, partial sums
  std::size_t rest = 0;    ///< theta, losses, weights

  std::size_t total() const { return trace + state + replay + rest; }
};

/// Symbols: B tasks of all members, N coordinates of a group, T = steps of the unroll at hand, P
/// meta-parameters of all groups. All memory is taken by the constructor.
class Unroll {
 public:
  /// cells: of every group of parameters. recompute_budget: bytes of replay scratch per worker; 0 =
  /// the device's own best. It changes speed and memory, never the result. Throws kOutOfMemory, and
  /// has taken nothing, where the device has less memory left than memory() says.
  Unroll(Backend& backend, const std::vector<CellConfig>& cells, const std::vector<Member>& members,
         const Truncation& truncation, const LossWeights& weights, std::size_t recompute_budget,
         const UnrollOptions& options = {});

  /// What an Unroll made with these arguments takes.
  static UnrollMemory memory(const Backend& backend, const std::vector<CellConfig>& cells,
                             const std::vector<Member>& members, const Truncation& truncation,
                             std::size_t recompute_budget, const UnrollOptions& options = {});
  /// Throws kOutOfMemory where the device has less memory left than that.
  static void require_memory(const Backend& backend, const std::vector<CellConfig>& cells,
                             const std::vector<Member>& members, const Truncation& truncation,
                             std::size_t recompute_budget, const UnrollOptions& options = {});

  const std::vector<Member>& members() const { return members_; }
  /// What the members' losses are divided by; 1 each at first.
  void set_scales(const std::vector<double>& scales);

  /// Draws the tasks of all members, a range each; theta = theta_0, state = 0.
  void start_episode(const std::vector<TaskRange>& ranges);
  /// The same of member m alone.
  void start_member(std::size_t m, const TaskRange& range);
  /// Draws the tasks and continues where `carried` was taken.
  void resume_episode(const std::vector<TaskRange>& ranges, const CarriedState& carried);
  CarriedState carried() const;
  /// Numbers of carried().
  std::size_t carried_theta_size() const;
  std::size_t carried_state_size() const;

  /// What scales the updates of the next forward: scales[m][t], 0 <= t < T, of every member. For an
  /// Unroll that is made for it, before each forward.
  void set_update_scales(const std::vector<std::vector<double>>& scales);
  /// Takes the steps of unroll k of the episode and fills the trace. Waits for no op.
  void forward(DeviceOptimizer& optimizer, int k);
  /// forward(), and then what `follow` queues, in one piece that the device may record and repeat:
  /// `optimizer` and the ops of `follow` must be the same each time. k: of every member, each in an
  /// episode of its own; the unrolls are of one length. Waits for no op of its own. Where it
  /// throws, since a poll or an objective did, theta and the state are what they were.
  void forward_and(DeviceOptimizer& optimizer, const std::vector<int>& k,
                   const std::function<void()>& follow);
  /// Takes the steps of the last forward back.
  void go_back_to_start();
  /// f_t(theta[t]) of the last forward, [T + 1, B], the tasks of one member after the other; waits.
  std::vector<float> losses() const;
  /// The same in backend memory.
  const float* device_losses() const { return losses_.data(); }
  std::size_t loss_count() const;
  /// B.
  std::size_t tasks() const { return tasks_; }
  /// k of the last forward, of member 0.
  int last() const { return unroll_; }
  /// w[0..T] of unroll k; Member says what the meta-loss is.
  const std::vector<double>& weights(int k) const { return schedule_of(k).weights; }
  /// d meta-loss of the last forward / d phi -> meta_gradient [P], overwritten; of several shards
  /// [shards, P]; by_member: [M, P], of every member by itself, without its weight. phi must still
  /// be what the forward ran with. Does not wait.
  void backward(DeviceOptimizer& optimizer, float* meta_gradient);

  /// Where time is added up from now on; null: nowhere. Meanwhile nothing is recorded.
  void set_profile(Profile* profile) { profile_ = profile; }

  const CoordinateSpace& space() const { return space_; }

 private:
  /// What depends on an unroll's length: all unrolls of an episode but the last share one.
  struct Schedule {
    int length = 0;
    std::vector<int> segment_lengths;  // of every group
    std::vector<double> weights;       // w [T+1]
    Buffer<float> device_weights;      // the same
    std::unique_ptr<Recording> recording;
  };
  /// What a group of parameters takes: N coordinates, S values of state each.
  struct Group {
    CellConfig cell;
    std::int64_t n;
    CoordinateState state;
    Buffer<std::byte> start_state;  // the state before step 0 of the unroll
    Buffer<float> theta;            // [N]
    Buffer<float> start_theta;      // [N], before step 0 of the unroll
    Buffer<float> trace;            // grad[0..T] [T+1, N], 0 between the members
    Buffer<float> tile_weights;     // [tiles of N]
    // Empty where the options do not ask for them.
    Buffer<float> step_weights;         // [T+1, tiles], of log f
    Buffer<std::int32_t> task_of_tile;  // [tiles]
    Buffer<float> tile_scales;          // [T, tiles]

    std::int64_t tiles() const { return tile_count(n); }
  };
  Schedule make_schedule(int length, const LossWeights& weights, std::size_t recompute_budget);
  const Schedule& schedule_of(int k) const;
  void start(const std::vector<int>& k);
  std::vector<std::int32_t> task_of_tile(int group) const;
  UnrollBackwardArgs backward_args(DeviceOptimizer& optimizer, std::size_t group);
  /// Members of a shard.
  std::size_t shard_members() const { return members_.size() / options_.shards; }
  CoordinateRange shard_range(std::size_t shard, std::size_t group) const;
  /// Narrows the arguments to some coordinates.
  void restrict_to(const CoordinateRange& range, std::size_t group, UnrollBackwardArgs& args) const;
  /// Keeps theta and the state, which the steps change.
  void save_start();
  void take_steps(DeviceOptimizer& optimizer);
  void evaluate_members(int t);
  void step_groups(DeviceOptimizer& optimizer, int t);
  /// theta of member m, and the place of its gradients at step t.
  ConstParameterBlocks theta_of(std::size_t m);
  ParameterBlocks gradients_of(std::size_t m, int t);

  Backend* backend_;
  std::vector<Member> members_;
  Truncation truncation_;
  UnrollOptions options_;
  CoordinateSpace space_;
  std::size_t tasks_;  // B

  Schedule full_;
  Schedule last_;
  std::vector<Group> groups_;
  std::vector<float*> theta_blocks_;        // [groups], for the call at hand
  std::vector<const float*> const_blocks_;  // [groups], likewise
  std::vector<float*> gradient_blocks_;     // [groups], likewise
  Buffer<float> losses_;                    // [T+1, B]
  Buffer<std::byte> scratch_;
  int unroll_ = 0;  // last()
  Profile* profile_ = nullptr;
};

}  // namespace l2o
