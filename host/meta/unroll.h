// The unrolls of an episode: forward with a gradient trace, then the meta-gradient.
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

/// The state that an episode carries from one unroll to the next: by value, without gradients.
/// Stored shard after shard, so it does not depend on how many shards of a run an Unroll has.
struct CarriedState {
  std::vector<float> theta;  ///< [N] of every group, group after group
  std::vector<float> state;  ///< [S, N] likewise
};

/// Options of an Unroll beyond the plain meta-gradient of all members.
struct UnrollOptions {
  bool logarithmic = false;  ///< the meta-loss uses log f; tasks start at whole tiles
  bool by_member = false;    ///< a separate meta-gradient for every member
  bool scaled = false;       ///< updates are scaled by step and member
  /// Number of shards whose members are passed, shard after shard. All shards have the same members
  /// in the same order, and each shard has its own meta-gradients.
  std::size_t shards = 1;

  /// Number of meta-gradients of a backward pass, each of the same number of members.
  std::size_t gradients(std::size_t members) const { return by_member ? members : shards; }
};

/// Bytes of backend memory that an Unroll uses.
struct UnrollMemory {
  std::size_t trace = 0;   ///< gradients of all steps
  std::size_t state = 0;   ///< coordinate state, at the start of the unroll and current
  std::size_t replay = 0;  ///< scratch of the backward pass: recompute checkpoints, partial sums
  std::size_t rest = 0;    ///< theta, losses, weights

  std::size_t total() const { return trace + state + replay + rest; }
};

/// Symbols: B tasks of all members, N coordinates of a group, T steps of the current unroll, P
/// meta-parameters of all groups. The constructor allocates all memory.
class Unroll {
 public:
  /// cells: one per group of parameters. recompute_budget: bytes of replay scratch per worker; 0 =
  /// the device's default. It affects speed and memory, never the result. Throws kOutOfMemory,
  /// without allocating anything, if the device has less memory left than memory() requires.
  Unroll(Backend& backend, const std::vector<CellConfig>& cells, const std::vector<Member>& members,
         const Truncation& truncation, const LossWeights& weights, std::size_t recompute_budget,
         const UnrollOptions& options = {});

  /// Memory of an Unroll constructed with these arguments.
  static UnrollMemory memory(const Backend& backend, const std::vector<CellConfig>& cells,
                             const std::vector<Member>& members, const Truncation& truncation,
                             std::size_t recompute_budget, const UnrollOptions& options = {});
  /// Throws kOutOfMemory if the device has less memory left than that.
  static void require_memory(const Backend& backend, const std::vector<CellConfig>& cells,
                             const std::vector<Member>& members, const Truncation& truncation,
                             std::size_t recompute_budget, const UnrollOptions& options = {});

  const std::vector<Member>& members() const { return members_; }
  /// Sets the divisors of the members' losses; initially 1.
  void set_scales(const std::vector<double>& scales);

  /// Draws the tasks of all members, one range each; theta = theta_0, state = 0.
  void start_episode(const std::vector<TaskRange>& ranges);
  /// The same for member m only.
  void start_member(std::size_t m, const TaskRange& range);
  /// Draws the tasks and continues from `carried`.
  void resume_episode(const std::vector<TaskRange>& ranges, const CarriedState& carried);
  CarriedState carried() const;
  /// Number of values in carried().
  std::size_t carried_theta_size() const;
  std::size_t carried_state_size() const;

  /// Sets the scales of the updates of the next forward: scales[m][t], 0 <= t < T, of every member.
  /// Requires UnrollOptions::scaled; call before each forward.
  void set_update_scales(const std::vector<std::vector<double>>& scales);
  /// Takes the steps of unroll k of the episode and fills the trace. Does not wait.
  void forward(DeviceOptimizer& optimizer, int k);
  /// forward(), followed by the ops that `follow` queues, as one unit that the device may record
  /// and replay: `optimizer` and the ops of `follow` must be the same in every call. k: of every
  /// member, each in its own episode; all unrolls have the same length. Does not wait by itself. If
  /// a poll or an objective throws, theta and the state are left unchanged.
  void forward_and(DeviceOptimizer& optimizer, const std::vector<int>& k,
                   const std::function<void()>& follow);
  /// Reverts the steps of the last forward.
  void go_back_to_start();
  /// f_t(theta[t]) of the last forward, [T + 1, B], tasks ordered by member. Waits.
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
  /// Overwrites meta_gradient [P] with d meta-loss of the last forward / d phi. Several shards:
  /// [shards, P]; by_member: [M, P], for each member separately, without its weight. phi must not
  /// have changed since the forward. Does not wait.
  void backward(DeviceOptimizer& optimizer, float* meta_gradient);

  /// Sets where time is accumulated; null: nowhere. While set, no ops are recorded.
  void set_profile(Profile* profile) { profile_ = profile; }

  const CoordinateSpace& space() const { return space_; }

 private:
  /// Data that depends on an unroll's length; shared by all unrolls of an episode except the last.
  struct Schedule {
    int length = 0;
    std::vector<int> segment_lengths;  // for every group
    std::vector<double> weights;       // w [T+1]
    Buffer<float> device_weights;      // the same
    std::unique_ptr<Recording> recording;
  };
  /// Memory of a group of parameters: N coordinates with S state values each.
  struct Group {
    CellConfig cell;
    std::int64_t n;
    CoordinateState state;
    Buffer<std::byte> start_state;  // the state before step 0 of the unroll
    Buffer<float> theta;            // [N]
    Buffer<float> start_theta;      // [N], before step 0 of the unroll
    Buffer<float> trace;            // grad[0..T] [T+1, N], 0 between members
    Buffer<float> tile_weights;     // [tiles of N]
    // Empty unless requested by the options.
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
  /// Number of members in a shard.
  std::size_t shard_members() const { return members_.size() / options_.shards; }
  CoordinateRange shard_range(std::size_t shard, std::size_t group) const;
  /// Restricts the arguments to a range of coordinates.
  void restrict_to(const CoordinateRange& range, std::size_t group, UnrollBackwardArgs& args) const;
  /// Saves theta and the state, which the steps change.
  void save_start();
  void take_steps(DeviceOptimizer& optimizer);
  void evaluate_members(int t);
  void step_groups(DeviceOptimizer& optimizer, int t);
  /// theta of member m, and the location of its gradients at step t.
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
  std::vector<float*> theta_blocks_;        // [groups], for the current call
  std::vector<const float*> const_blocks_;  // [groups], likewise
  std::vector<float*> gradient_blocks_;     // [groups], likewise
  Buffer<float> losses_;                    // [T+1, B]
  Buffer<std::byte> scratch_;
  int unroll_ = 0;  // last()
  Profile* profile_ = nullptr;
};

}  // namespace l2o
