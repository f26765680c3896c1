// Formats a suite's results as a human-readable table, as JSON and as CSV.
#pragma once

#include <optional>
#include <string>

#include "host/engine/suite.h"

namespace l2o {

/// Plain text: one line per member and length with every contestant's final loss, the best
/// baseline, and for every model the ratio to it +- standard error, the ratio to the reference and
/// the steps to the best baseline's final loss; then one line per model and length with geometric
/// mean, worst ratio and wins.
std::string suite_table(const SuiteReport& report);

/// One JSON object on one line (docs/config.md lists its keys). A number that is non-finite,
/// because a run diverged, is null, and so is a missing value.
std::string suite_json(const SuiteReport& report);

/// One row per member, length and contestant. A number that is non-finite is `inf`, `-inf` or
/// `nan`; a missing value is empty.
std::string suite_csv(const SuiteReport& report);

// Text that the table and the page share.

/// "diverged" if non-finite.
std::string loss_text(double loss);
/// "-" if there is none, "diverged" if non-finite.
std::string ratio_text(const std::optional<Ratio>& ratio);
/// "adam 0.00316 cosine": a baseline with its tuned settings.
std::string tuned_text(const Contestant& baseline);
/// "Seed 1, on cpu. Learned rules: ...": what was evaluated and how.
std::string suite_heading(const SuiteReport& report);

}  // namespace l2o
