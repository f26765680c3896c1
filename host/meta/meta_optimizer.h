// The meta-optimizer: Adam on phi, with a learning rate that follows a schedule.
#pragma once

#include <cstdint>
#include <vector>

#include "host/optimizer/device_optimizer.h"

namespace l2o {

/// The learning rate over a run; s in [0, 1) is the fraction of the run's unrolls that are done.
struct LearningRateSchedule {
  enum class Kind : int {
    kConstant,     ///< rate
    kCosine,       ///< rate (F + (1 - F)(1 + cos(pi s)) / 2), F = final_fraction
    kExponential,  ///< rate F^s
  };

  Kind kind = Kind::kCosine;
  double rate = 3e-3;
  double final_fraction = 0.01;  ///< the final rate as a fraction of `rate`; > 0

  double at(double s) const;
};

struct MetaOptimizerConfig {
  LearningRateSchedule learning_rate;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double clip_norm = 0.0;  ///< maximum norm of a meta-gradient; 0: no clipping
};

/// The complete state of a meta-optimizer.
struct MetaOptimizerState {
  std::vector<float> first_moment;   ///< [P]
  std::vector<float> second_moment;  ///< [P]
  std::int64_t updates = 0;          ///< applied so far
};

class MetaOptimizer {
 public:
  /// For P = `size` meta-parameters.
  MetaOptimizer(Backend& backend, const MetaOptimizerConfig& config, std::size_t size);

  /// [P]; the gradient that update() applies.
  float* meta_gradient() { return meta_gradient_.data(); }
  /// Sets the learning rate of the following updates.
  void set_learning_rate(double learning_rate);
  /// Updates and packs phi. If one of `losses` [loss_count], in backend memory, is non-finite, or
  /// the gradient is not usable (is_usable_gradient()), nothing changes. Does not wait.
  void update(DeviceOptimizer& optimizer, const float* losses = nullptr,
              std::size_t loss_count = 0);
  /// Report on the last update; waits.
  MetaUpdateReport report() const { return report_.download().front(); }

  MetaOptimizerState state() const;
  /// Allocates nothing, so that it can undo an update that ran out of memory.
  void restore(const MetaOptimizerState& state);

 private:
  Backend* backend_;
  MetaOptimizerConfig config_;
  Buffer<float> meta_gradient_;      // [P]
  Buffer<float> first_moment_;       // [P]
  Buffer<float> second_moment_;      // [P]
  Buffer<std::int64_t> updates_;     // [1]
  Buffer<float> learning_rate_;      // [1]
  Buffer<MetaUpdateReport> report_;  // [1]
};

}  // namespace l2o
