// Evaluation: a learned optimizer against the hand-designed ones on the same fresh tasks.
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
  StepScaling scaling;  ///< of the learned rule
  std::vector<std::string> baselines = {"sgd", "nag", "rmsprop", "adam"};
  /// Each rule's rate is searched under each of them, and the better one by the tuning tasks
  /// counts; a rule of a fixed rate chooses among them as well.
  std::vector<UpdateSchedule> baseline_schedules = {UpdateSchedule::kConstant};
  int tuning_runs = 16;  ///< tasks of each learning rate's first trial
  std::string data_directory;
  /// Coordinates of all tasks that run side by side: bounds memory, never changes a result.
  std::int64_t coordinates_at_once = kRolloutCoordinates;
  /// They share the tasks of every rule and every rate; all have the report.
  Communicator* ranks = &only_rank();
};

/// How one optimizer did. Losses that are not finite make the mean not finite; they are not hidden.
struct OptimizerResult {
  std::string name;                     ///< "lstm" for the learned rule
  std::optional<double> learning_rate;  ///< chosen or fixed; none for the learned rule
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
  std::string precision;  ///< of the learned rule; empty on a processor, which has but one
  StepScales scales;      ///< of the learned rule
  std::vector<OptimizerResult> optimizers;  ///< the learned rule first
};

/// Judges `model` and the baselines on tasks of one member. Every baseline's learning rate is
/// searched on tasks of a stream of its own. `progress` gets one line of text per finished stage.
EvaluationReport evaluate(Backend& backend, const Model& model, const MemberConfig& member,
                          const EvaluationOptions& options,
                          const std::function<void(const std::string&)>& progress);

/// The learning rate with the lowest mean final loss of a hand-designed rule at a constant rate on
/// the tuning stream, by search_thoroughly().
double search_learning_rate(Backend& backend, const std::string& rule, const MemberConfig& member,
                            const EvaluationOptions& options);

}  // namespace l2o
