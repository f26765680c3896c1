// Aggregates the contests of a suite.
#include <algorithm>
#include <cstddef>

#include "host/engine/suite.h"

namespace l2o {
namespace {

/// Summarizes the model's contests of the given length, or all of them.
Summary summary_of(const SuiteReport& report, std::size_t model, std::optional<int> steps) {
  Summary summary;
  summary.model = report.models[model];
  summary.steps = steps;
  std::vector<double> ratios, reference_ratios;
  for (const Contest& contest : report.contests) {
    if (steps && contest.steps != *steps) continue;
    const Contestant& learned = contest.learned[model];
    if (learned.ratio) {
      ratios.push_back(learned.ratio->value);
      if (ratios.size() == 1 || ratios.back() > summary.worst) {
        summary.worst = ratios.back();
        summary.worst_member = contest.member;
        summary.worst_steps = contest.steps;
      }
      summary.wins += ratios.back() < 1.0 ? 1 : 0;
    }
    if (learned.reference_ratio) {
      reference_ratios.push_back(learned.reference_ratio->value);
      if (reference_ratios.size() == 1 || reference_ratios.back() > summary.reference_worst) {
        summary.reference_worst = reference_ratios.back();
        summary.reference_worst_member = contest.member;
      }
      summary.reference_wins += reference_ratios.back() < 1.0 ? 1 : 0;
    }
  }
  summary.contests = static_cast<int>(ratios.size());
  summary.geometric_mean = geometric_mean(ratios);
  summary.reference_contests = static_cast<int>(reference_ratios.size());
  summary.reference_geometric_mean = geometric_mean(reference_ratios);
  return summary;
}

}  // namespace

std::vector<Summary> SuiteReport::summaries() const {
  std::vector<int> lengths;
  for (const Contest& contest : contests) lengths.push_back(contest.steps);
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  std::vector<Summary> all;
  for (std::size_t m = 0; m < models.size(); ++m) {
    for (const int steps : lengths) all.push_back(summary_of(*this, m, steps));
    if (lengths.size() > 1) all.push_back(summary_of(*this, m, std::nullopt));
  }
  return all;
}

}  // namespace l2o
