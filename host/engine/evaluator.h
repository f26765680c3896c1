// Evaluation: compares a learned optimizer with hand-designed ones on the same fresh tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/comm/communicator.h"
#include "host/engine/baseline.h"
#include "host/engine/task_config.h"
#include "host/meta/rollout.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

struct EvaluationOptions {
  int steps = 100;
  int runs = 100;  ///< fresh tasks
  std::uint64_t seed = 1;
  StepScaling scaling;  ///< for the learned rule
  std::vector<std::string> baselines = {"sgd", "nag", "rmsprop", "adam"};
  /// Each rule's rate is tuned under each schedule, and the schedule that does best on the tuning
  /// tasks is used; for a rule with a fixed rate only the schedule is chosen.
  std::vector<UpdateSchedule> baseline_schedules = {UpdateSchedule::kConstant};
  int tuning_runs = 16;  ///< tasks in the first trial of each learning rate
  std::string data_directory;
  /// Total coordinates of the tasks that run concurrently: bounds memory, never changes a result.
  std::int64_t coordinates_at_once = kRolloutCoordinates;
  /// Called with the files of the members' data, once all members are known to be valid; may throw.
  std::function<void(const std::vector<std::string>& data_files)> before_runs = {};
  /// They share the tasks of every rule and every rate; all have the reports.
  Communicator* ranks = &only_rank();
};

/// Results of one optimizer. Non-finite losses make the mean non-finite; they are not hidden.
struct OptimizerResult {
  std::string name;                     ///< "lstm" for the learned rule
  std::optional<double> learning_rate;  ///< tuned or fixed; none for the learned rule
  UpdateSchedule schedule = UpdateSchedule::kConstant;
  double final_loss_mean = 0.0;
  double final_loss_se = 0.0;      ///< standard error of the mean over the runs
  std::vector<double> curve_mean;  ///< [steps + 1]
  std::vector<double> curve_se;    ///< [steps + 1]
};

struct EvaluationReport {
  std::string task;
  int steps = 0;
  int runs = 0;
  int tuning_runs = 0;
  std::uint64_t seed = 0;
  std::string device;
  std::string precision;  ///< the learned rule's; empty on a CPU, which has only one
  StepScales scales;      ///< the learned rule's
  std::vector<OptimizerResult> optimizers;  ///< the learned rule first
};

/// Evaluates `model` and the baselines on tasks of every member. The learning rates of the
/// baselines are tuned on tasks of a separate stream. `progress` receives one line per finished
/// stage. Errors in any member or its data are detected before the first run. Collective.
std::vector<EvaluationReport> evaluate(Backend& backend, const Model& model,
                                       const std::vector<MemberConfig>& members,
                                       const EvaluationOptions& options,
                                       const std::function<void(const std::string&)>& progress);

}  // namespace l2o
