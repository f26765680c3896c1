// Validation: the number that chooses the best model of a run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/engine/task_config.h"
#include "host/meta/rollout.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o {

struct ValidationConfig {
  int runs = 16;    ///< tasks of every member
  int steps = 100;  ///< of every run
  int average = 1;  ///< a run's final loss is the mean of its last so many evaluations
  UpdateSchedule schedule = UpdateSchedule::kConstant;  ///< of every run's steps
  bool logarithmic = false;                             ///< means are of log f, as the meta-loss is
  std::uint64_t seed = 1;
};

/// Final losses, the mean over the validation tasks; +infinity where one is not finite.
struct ValidationResult {
  /// Sum over the members of weight / scale times theirs; of weight alone, of logarithms.
  double loss = 0.0;
  double initial_loss = 0.0;  ///< the same of theta_0
  std::vector<double> member_losses;
  struct Movement {
    std::string tensor;
    double distance;  ///< root mean square of theta_T - theta_0, over the last batch of tasks
  };
  std::vector<std::vector<Movement>> movements;  ///< of every member
};

class Validation {
 public:
  /// Of the rules of `model`. Takes all its memory at once, so that a run does not end for want of
  /// it after hours. `members` are those of the training, in the order of `configs`.
  Validation(Backend& backend, const std::vector<MemberConfig>& configs,
             const std::vector<Member>& members, const std::string& data_directory,
             const Model& model, const ValidationConfig& config);

  /// On the same tasks at each call, so that two models can be compared. scales: what the members'
  /// losses are divided by.
  ValidationResult judge(DeviceOptimizer& optimizer, const std::vector<double>& scales);

 private:
  struct Batch {
    double weight;
    std::unique_ptr<Optimizee> optimizee;
    Rollout rollout;
  };
  struct Losses {
    double initial = 0.0, final = 0.0;
  };
  Losses losses(Batch& batch, DeviceOptimizer& optimizer) const;

  ValidationConfig config_;
  std::uint64_t seed_;
  std::vector<Batch> batches_;  // [members]
};

/// Mean loss of every member at theta_0, over 64 tasks of a stream of its own. Throws kDiverged
/// where it is not above 0 and finite: nothing can be measured by it.
std::vector<double> initial_losses(Backend& backend, const std::vector<MemberConfig>& configs,
                                   const std::vector<Member>& members,
                                   const std::string& data_directory, std::uint64_t seed);

}  // namespace l2o
