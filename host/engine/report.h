// Formats an evaluation as a human-readable table, as JSON and as CSV.
#pragma once

#include <string>
#include <vector>

#include "host/engine/evaluator.h"

namespace l2o {

/// A plain-text table for each member of the mixture: one row per optimizer with its final loss,
/// mean +- standard error, and the ratio to the best hand-designed rule.
std::string report_table(const std::vector<EvaluationReport>& members);

/// One JSON object on one line:
///   {"task": str, "steps": int, "runs": int, "tuning_runs": int, "seed": int, "device": str,
///    "update_scale": number, "gradient_scale": number, "weight_decay": number, "optimizers": [
///     {"name": str, "learning_rate": number or null, "schedule": str, "final_loss_mean": number,
///      "final_loss_se": number, "curve_mean": [steps + 1 numbers], "curve_se": [steps + 1
///      numbers]},
///     ...]}
/// or, for several members, {"members": [such an object, ...]}.
/// JSON has no NaN or infinity: a mean or standard error that is non-finite, because a run
/// diverged, is null.
std::string report_json(const std::vector<EvaluationReport>& members);

/// One row per step: step, then <name>_mean and <name>_se of every optimizer. For several members,
/// one row per member and step, with the member's label in a first column, task.
std::string report_csv(const std::vector<EvaluationReport>& members);

}  // namespace l2o
