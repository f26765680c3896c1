// Formats an evaluation as a human-readable table, as JSON and as CSV.
#pragma once

#include <string>
#include <vector>

#include "host/engine/evaluator.h"

namespace l2o {

/// A plain-text table for each member of the mixture: one row per optimizer with its final loss,
/// mean +- standard error, and the ratio to the best hand-designed rule.
std::string report_table(const std::vector<EvaluationReport>& members);

/// One JSON object on one line (docs/config.md lists its keys). JSON has no NaN or infinity: a mean
/// or standard error that is non-finite, because a run diverged, is null.
std::string report_json(const std::vector<EvaluationReport>& members);

/// One row per step, for several members one per member and step (docs/config.md lists its
/// columns). A number that is non-finite is `inf`, `-inf` or `nan`.
std::string report_csv(const std::vector<EvaluationReport>& members);

}  // namespace l2o
