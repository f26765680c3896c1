// One unroll after the other of an episode: forward with a gradient trace, then the meta-gradient.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "host/meta/loss_weights.h"
#include "host/meta/truncation.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o {

/// What an episode hands from one unroll to the next: by value, no gradient flows through it.
struct CarriedState {
  std::vector<float> theta;  ///< [N]
  std::vector<float> state;  ///< [S, N]
};

/// Bytes of backend memory that an Unroll takes.
struct UnrollMemory {
  std::size_t trace = 0;   ///< gradients of all steps
  std::size_t state = 0;   ///< of the coordinates: at the unroll's start, and now
  std::size_t replay = 0;  ///< scratch of the backward pass: recompute checkpoints, partial sums
  std::size_t rest = 0;    ///< theta, losses, weights

  std::size_t total() const { return trace + state + replay + rest; }
};

/// Symbols: B tasks, N = B * coordinates, T = steps of the unroll at hand, P meta-parameters.
/// All memory is taken by the constructor.
class Unroll {
 public:
  /// recompute_budget: bytes of replay scratch per worker; 0 = the device's own best. It changes
  /// speed and memory, never the result. Throws kOutOfMemory, and has taken nothing, where the
  /// device has less memory left than memory() says.
  Unroll(Backend& backend, const CellConfig& cell, Optimizee& optimizee,
         const Truncation& truncation, const LossWeights& weights, std::size_t recompute_budget);

  /// What an Unroll made with these arguments takes; n = N.
  static UnrollMemory memory(const Backend& backend, const CellConfig& cell, std::int64_t n,
                             int tasks, const Truncation& truncation, std::size_t recompute_budget);

  /// Draws the tasks; theta = theta_0, state = 0.
  void start_episode(const TaskRange& range);
  /// Draws the tasks and goes on where `carried` was taken.
  void resume_episode(const TaskRange& range, const CarriedState& carried);
  CarriedState carried() const;

  /// Takes the steps of unroll k of the episode and fills the trace. Waits for no op.
  void forward(DeviceOptimizer& optimizer, int k);
  /// forward(), and then what `follow` queues, in one piece that the device may record and repeat:
  /// `optimizer` and the ops of `follow` must be the same each time. Waits for no op of its own.
  void forward_and(DeviceOptimizer& optimizer, int k, const std::function<void()>& follow);
  /// f_t(theta[t]) of the last forward, [T + 1, B]; waits.
  std::vector<float> losses() const;
  /// The same in backend memory.
  const float* device_losses() const { return losses_.data(); }
  std::size_t loss_count() const;
  /// w[0..T] of unroll k; the meta-loss is mean_b sum_t w[t] f[t, b].
  const std::vector<double>& weights(int k) const { return schedule_of(k).weights; }
  /// d meta-loss of the last forward / d phi -> meta_gradient [P], overwritten. phi must still be
  /// what the forward ran with. Does not wait.
  void backward(DeviceOptimizer& optimizer, float* meta_gradient);

  std::int64_t n() const { return n_; }

 private:
  /// What depends on an unroll's length: all unrolls of an episode but the last share one.
  struct Schedule {
    int length = 0;
    int segment_length = 0;
    std::vector<double> weights;     // w [T+1]
    Buffer<float> weights_per_task;  // w / B [T+1]
    std::unique_ptr<Recording> recording;
  };
  Schedule make_schedule(int length, const LossWeights& weights, std::size_t recompute_budget);
  const Schedule& schedule_of(int k) const;
  void start(int k);
  void take_steps(DeviceOptimizer& optimizer);
  UnrollBackwardArgs backward_args(const Schedule& schedule) const;

  Backend* backend_;
  CellConfig cell_;
  Optimizee* optimizee_;
  Truncation truncation_;
  std::size_t tasks_;  // B
  std::int64_t n_;     // N

  Schedule full_;
  Schedule last_;
  CoordinateState state_;
  Buffer<std::byte> start_state_;  // the state before step 0 of the unroll
  Buffer<float> theta_;            // [N]
  Buffer<float> trace_;            // grad[0..T] [T+1, N]
  Buffer<float> losses_;           // [T+1, B]
  Buffer<std::byte> scratch_;
  int unroll_ = 0;  // k of the last forward
};

}  // namespace l2o
