#include "host/engine/report.h"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "host/core/text.h"
#include "host/engine/baseline.h"

namespace l2o {
namespace {

/// The lowest final loss among the hand-designed rules; NaN if none is finite.
double best_baseline(const EvaluationReport& report) {
  double best = std::numeric_limits<double>::quiet_NaN();
  for (const OptimizerResult& result : report.optimizers) {
    if (result.learning_rate && std::isfinite(result.final_loss_mean) &&
        !(result.final_loss_mean >= best)) {
      best = result.final_loss_mean;
    }
  }
  return best;
}

std::string table_of(const EvaluationReport& report) {
  std::string out = fmt::format("{}: {} steps, {} fresh tasks, seed {}, on {}\n", report.task,
                                report.steps, report.runs, report.seed, report.device);
  const StepScales& scales = report.scales;
  if (scales.update != 1.0F || scales.gradient != 1.0F || scales.weight_decay != 0.0F) {
    out += fmt::format("learned rule: update scale {:g}, gradient scale {:g}, weight decay {:g}\n",
                       scales.update, scales.gradient, scales.weight_decay);
  }
  std::vector<std::vector<std::string>> rows = {
      {"optimizer", "learning rate", "schedule", "final loss", "+-", "to best baseline"}};
  const double best = best_baseline(report);
  bool diverged = false;
  for (const OptimizerResult& result : report.optimizers) {
    const bool finite = std::isfinite(result.final_loss_mean);
    diverged = diverged || !finite;
    rows.push_back({result.name,
                    result.learning_rate ? fmt::format("{:.4g}", *result.learning_rate) : "-",
                    schedule_name(result.schedule),
                    finite ? fmt::format("{:.5g}", result.final_loss_mean) : "diverged",
                    finite ? fmt::format("{:.2g}", result.final_loss_se) : "-",
                    finite && std::isfinite(best) && best > 0.0
                        ? fmt::format("{:.3f}", result.final_loss_mean / best)
                        : "-"});
  }
  out += aligned_columns(rows);
  if (diverged) out += "diverged: the loss of at least one run was non-finite\n";
  return out;
}

nlohmann::ordered_json json_of(const EvaluationReport& report) {
  nlohmann::ordered_json json;
  json["task"] = report.task;
  json["steps"] = report.steps;
  json["runs"] = report.runs;
  json["tuning_runs"] = report.tuning_runs;
  json["seed"] = report.seed;
  json["device"] = report.device;
  if (!report.precision.empty()) json["precision"] = report.precision;
  json["update_scale"] = shortest_double(report.scales.update);
  json["gradient_scale"] = shortest_double(report.scales.gradient);
  json["weight_decay"] = shortest_double(report.scales.weight_decay);
  json["optimizers"] = nlohmann::ordered_json::array();
  for (const OptimizerResult& result : report.optimizers) {
    // The library writes non-finite numbers as null.
    nlohmann::ordered_json entry;
    entry["name"] = result.name;
    entry["learning_rate"] = nullptr;
    if (result.learning_rate) entry["learning_rate"] = *result.learning_rate;
    entry["schedule"] = schedule_name(result.schedule);
    entry["final_loss_mean"] = result.final_loss_mean;
    entry["final_loss_se"] = result.final_loss_se;
    entry["curve_mean"] = result.curve_mean;
    entry["curve_se"] = result.curve_se;
    json["optimizers"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string report_table(const std::vector<EvaluationReport>& members) {
  std::string out;
  for (const EvaluationReport& report : members) {
    if (!out.empty()) out += '\n';
    out += table_of(report);
  }
  return out;
}

std::string report_json(const std::vector<EvaluationReport>& members) {
  if (members.size() == 1) return json_line(json_of(members.front()));
  nlohmann::ordered_json json;
  for (const EvaluationReport& report : members) json["members"].push_back(json_of(report));
  return json_line(json);
}

std::string report_csv(const std::vector<EvaluationReport>& members) {
  const bool several = members.size() > 1;
  std::string out = several ? "task,step" : "step";
  for (const OptimizerResult& result : members.front().optimizers) {
    out += fmt::format(",{0}_mean,{0}_se", result.name);
  }
  out += '\n';
  for (const EvaluationReport& report : members) {
    for (int step = 0; step <= report.steps; ++step) {
      const auto t = static_cast<std::size_t>(step);
      out += several ? fmt::format("{},{}", csv_field(report.task), step) : fmt::format("{}", step);
      for (const OptimizerResult& result : report.optimizers) {
        out +=
            fmt::format(",{},{}", csv_number(result.curve_mean[t]), csv_number(result.curve_se[t]));
      }
      out += '\n';
    }
  }
  return out;
}

}  // namespace l2o
