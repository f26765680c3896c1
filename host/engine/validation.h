// Validation: computes the loss that selects the best model of a run.
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
  int runs = 16;    ///< tasks per member
  int steps = 100;  ///< per run
  int average = 1;  ///< a run's final loss is the mean of this many last evaluations
  UpdateSchedule schedule = UpdateSchedule::kConstant;  ///< scales the steps of every run
  bool logarithmic = false;                             ///< average log f, as in the meta-loss
  std::uint64_t seed = 1;
  std::int64_t shards = 1;  ///< minimum number of batches, given enough runs
};

/// Final losses, means over the validation tasks; +infinity if non-finite.
struct ValidationResult {
  /// Sum over the members of weight / scale times their loss; logarithmic: of weight times it.
  double loss = 0.0;
  double initial_loss = 0.0;  ///< the same at theta_0
  std::vector<double> member_losses;
  struct Movement {
    std::string tensor;
    double distance;  ///< root mean square of theta_T - theta_0, over the last batch of tasks
  };
  std::vector<std::vector<Movement>> movements;  ///< by member
};

class Validation {
 public:
  /// For the rules of `model`. Allocates all its memory up front, so that a run does not fail for
  /// lack of it after hours. `members` are those of the training, in the order of `configs`.
  Validation(Backend& backend, const std::vector<MemberConfig>& configs,
             const std::vector<Member>& members, const std::string& data_directory,
             const Model& model, const ValidationConfig& config);

  /// Uses the same tasks in each call, so that models can be compared. scales: divisors of the
  /// members' losses. Collective: the ranks share the runs, and all get the result. If a poll
  /// throws kInterrupted or kTerminated on one rank, this throws on all of them.
  ValidationResult judge(DeviceOptimizer& optimizer, const std::vector<double>& scales,
                         Communicator& ranks = only_rank());

 private:
  /// The runs of a member, executed in batches of equal size.
  struct Runs {
    double weight;
    std::unique_ptr<Optimizee> optimizee;
    Rollout rollout;
  };
  /// Results of the runs of a member.
  struct Outcome {
    std::vector<double> initial, final;  // [runs]
    std::vector<double> movements;       // [tensors]
  };
  int batches(const Runs& runs) const;
  void run_batch(Runs& runs, int batch, DeviceOptimizer& optimizer, Outcome& outcome) const;
  /// Executes this rank's runs and exchanges the outcomes with the other ranks.
  std::vector<Outcome> run(DeviceOptimizer& optimizer, Communicator& ranks);
  /// Replaces the outcomes of batches that other ranks ran. owners: the rank of each batch, member
  /// after member.
  void exchange(std::vector<Outcome>& outcomes, const std::vector<int>& owners,
                Communicator& ranks) const;

  ValidationConfig config_;
  std::uint64_t seed_;
  std::vector<Runs> members_;
};

/// Returns the mean loss of every member at theta_0 over 64 tasks of a separate stream. Collective.
/// Throws kDiverged if it is not positive and finite: it cannot serve as a scale.
std::vector<double> initial_losses(Backend& backend, const std::vector<MemberConfig>& configs,
                                   const std::vector<Member>& members,
                                   const std::string& data_directory, std::uint64_t seed,
                                   std::int64_t shards = 1, Communicator& ranks = only_rank());

}  // namespace l2o
