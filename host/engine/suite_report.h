// A suite's results as a table to read, as JSON and as CSV.
#pragma once

#include <string>

#include "host/engine/suite.h"

namespace l2o {

/// Plain text: a line a member and length with every contestant's final loss, the best baseline,
/// and of every model the ratio to it +- standard error, the ratio to the reference and the steps
/// to the best baseline's final loss; then a line a model and length with geometric mean, worst
/// ratio and wins.
std::string suite_table(const SuiteReport& report);

/// One JSON object on one line (docs/config.md has its keys). A number that is not finite, because
/// a run diverged, is null, and so is what there is none of.
std::string suite_json(const SuiteReport& report);

/// A row a member, length and contestant.
std::string suite_csv(const SuiteReport& report);

// What the table and the page say the same way.

/// "diverged" where it is not finite.
std::string loss_text(double loss);
/// "-" where there is none, "diverged" where it is not finite.
std::string ratio_text(const std::optional<Ratio>& ratio);
/// "adam 0.00316 cosine": a baseline with what it was tuned to.
std::string tuned_text(const Contestant& baseline);
/// "Seed 1, on cpu. Learned rules: ...": what was judged and how.
std::string suite_heading(const SuiteReport& report);

}  // namespace l2o
