// Validation: the number that chooses the best model of a run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/comm/communicator.h"
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
  std::int64_t shards = 1;  ///< at least so many batches, where there are as many runs
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
  /// losses are divided by. Collective: the ranks share the runs, and all have the result. Where a
  /// poll throws kInterrupted or kTerminated at one of them, it throws at all.
  ValidationResult judge(DeviceOptimizer& optimizer, const std::vector<double>& scales,
                         Communicator& ranks = only_rank());

 private:
  /// The runs of a member, which are made in batches of equally many.
  struct Runs {
    double weight;
    std::unique_ptr<Optimizee> optimizee;
    Rollout rollout;
  };
  /// What is known of the runs of a member.
  struct Outcome {
    std::vector<double> initial, final;  // [runs]
    std::vector<double> movements;       // [tensors]
  };
  int batches(const Runs& runs) const;
  void run_batch(Runs& runs, int batch, DeviceOptimizer& optimizer, Outcome& outcome) const;
  /// Runs what is this rank's to run; the outcomes of the other ranks come from them.
  std::vector<Outcome> run(DeviceOptimizer& optimizer, Communicator& ranks);

  ValidationConfig config_;
  std::uint64_t seed_;
  std::vector<Runs> members_;
};

/// Mean loss of every member at theta_0, over 64 tasks of a stream of its own; collective. Throws
/// kDiverged where it is not above 0 and finite: nothing can be measured by it.
std::vector<double> initial_losses(Backend& backend, const std::vector<MemberConfig>& configs,
                                   const std::vector<Member>& members,
                                   const std::string& data_directory, std::uint64_t seed,
                                   std::int64_t shards = 1, Communicator& ranks = only_rank());

}  // namespace l2o
