// An evaluation as a table to read, as JSON and as CSV.
#pragma once

#include <string>

#include "host/engine/evaluator.h"

namespace l2o {

/// Plain text: one row per optimizer with its final loss, mean +- standard error, and the ratio to
/// the best hand-designed rule.
std::string report_table(const EvaluationReport& report);

/// One JSON object on one line:
///   {"task": str, "steps": int, "runs": int, "seed": int, "device": str, "optimizers": [
///     {"name": str, "learning_rate": number or null, "final_loss_mean": number,
///      "final_loss_se": number, "curve_mean": [steps + 1 numbers], "curve_se": [steps + 1
///      numbers]},
///     ...]}
/// JSON has no NaN or infinity: a mean or standard error that is not finite, because a run
/// diverged, is null.
std::string report_json(const EvaluationReport& report);

/// A row per step: step, then <name>_mean and <name>_se of every optimizer.
std::string report_csv(const EvaluationReport& report);

}  // namespace l2o
