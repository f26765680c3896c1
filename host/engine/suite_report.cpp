#include "host/engine/suite_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "host/core/text.h"
#include "host/engine/baseline.h"

namespace l2o {
namespace {

std::string contests_table(const SuiteReport& report) {
  std::vector<std::string> header = {"task", "steps"};
  for (const std::string& model : report.models) header.push_back(model);
  for (const Contestant& baseline : report.contests.front().baselines) {
    header.push_back(baseline.name);
  }
  if (!report.reference.empty()) header.push_back(report.reference);
  header.push_back("best baseline");
  for (const std::string& model : report.models) {
    // With one model it is clear whose these are.
    const std::string whose = report.models.size() > 1 ? model + " " : "";
    header.push_back(whose + "to best");
    header.push_back("+-");
    if (!report.reference.empty()) header.push_back(whose + "to " + report.reference);
    header.push_back(whose + "steps to best");
  }

  std::vector<std::vector<std::string>> rows = {header};
  for (const Contest& contest : report.contests) {
    std::vector<std::string> row = {contest.member, fmt::format("{}", contest.steps)};
    for (const Contestant& learned : contest.learned) row.push_back(loss_text(learned.final_loss));
    for (const Contestant& baseline : contest.baselines) {
      row.push_back(loss_text(baseline.final_loss));
    }
    if (contest.reference) row.push_back(loss_text(contest.reference->final_loss));
    row.push_back(contest.best ? tuned_text(contest.baselines[*contest.best]) : "all diverged");
    for (const Contestant& learned : contest.learned) {
      row.push_back(ratio_text(learned.ratio));
      row.push_back(learned.ratio ? fmt::format("{:.3f}", learned.ratio->se) : "-");
      if (contest.reference) row.push_back(ratio_text(learned.reference_ratio));
      row.push_back(learned.steps_to_best ? fmt::format("{}", *learned.steps_to_best) : "-");
    }
    rows.push_back(std::move(row));
  }
  return aligned_columns(rows);
}

std::string summaries_table(const SuiteReport& report) {
  std::vector<std::string> header = {"model", "steps", "geometric mean", "worst", "of", "wins"};
  if (!report.reference.empty()) {
    for (const char* what : {"", " worst", " wins"}) {
      header.push_back("to " + report.reference + what);
    }
  }
  std::vector<std::vector<std::string>> rows = {header};
  const auto number = [](double value, int of) {
    return ratio_text(of > 0 ? std::optional<Ratio>(Ratio{value, 0.0}) : std::nullopt);
  };
  for (const Summary& summary : report.summaries()) {
    std::vector<std::string> row = {
        summary.model,
        summary.steps ? fmt::format("{}", *summary.steps) : "all",
        number(summary.geometric_mean, summary.contests),
        number(summary.worst, summary.contests),
        summary.steps ? summary.worst_member
                      : fmt::format("{} at {}", summary.worst_member, summary.worst_steps),
        fmt::format("{}/{}", summary.wins, summary.contests)};
    if (!report.reference.empty()) {
      row.push_back(number(summary.reference_geometric_mean, summary.reference_contests));
      row.push_back(number(summary.reference_worst, summary.reference_contests));
      row.push_back(fmt::format("{}/{}", summary.reference_wins, summary.reference_contests));
    }
    rows.push_back(std::move(row));
  }
  return aligned_columns(rows);
}

nlohmann::ordered_json json_of(const std::optional<Ratio>& ratio) {
  if (!ratio) return nullptr;
  return {{"value", ratio->value}, {"se", ratio->se}};
}

nlohmann::ordered_json json_of(const Contestant& contestant, const char* kind) {
  nlohmann::ordered_json json;
  json["name"] = contestant.name;
  json["kind"] = kind;
  json["learning_rate"] = nullptr;
  if (contestant.learning_rate) json["learning_rate"] = *contestant.learning_rate;
  json["schedule"] = schedule_name(contestant.schedule);
  json["final_loss_mean"] = contestant.final_loss;
  json["final_loss_se"] = contestant.final_loss_se;
  json["final_loss_iqm"] = contestant.final_loss_iqm;
  json["final_losses"] = contestant.final_losses;
  if (std::string(kind) == "learned") {
    json["ratio"] = json_of(contestant.ratio);
    json["reference_ratio"] = json_of(contestant.reference_ratio);
    json["steps_to_best"] = nullptr;
    if (contestant.steps_to_best) json["steps_to_best"] = *contestant.steps_to_best;
  }
  json["curve"] = contestant.curve;
  return json;
}

nlohmann::ordered_json json_of(const Contest& contest) {
  nlohmann::ordered_json json;
  json["task"] = contest.member;
  json["steps"] = contest.steps;
  json["runs"] = contest.runs;
  json["tuning_runs"] = contest.tuning_runs;
  json["best_baseline"] = nullptr;
  if (contest.best) json["best_baseline"] = contest.baselines[*contest.best].name;
  json["curve_steps"] = thinned_steps(contest.steps);
  for (const Contestant& learned : contest.learned) {
    json["contestants"].push_back(json_of(learned, "learned"));
  }
  for (const Contestant& baseline : contest.baselines) {
    json["contestants"].push_back(json_of(baseline, "baseline"));
  }
  if (contest.reference) json["contestants"].push_back(json_of(*contest.reference, "reference"));
  return json;
}

nlohmann::ordered_json json_of(const Summary& summary) {
  nlohmann::ordered_json json;
  json["model"] = summary.model;
  json["steps"] = nullptr;
  if (summary.steps) json["steps"] = *summary.steps;
  json["contests"] = summary.contests;
  json["geometric_mean"] = summary.geometric_mean;
  json["worst"] = summary.worst;
  json["worst_task"] = summary.worst_member;
  json["worst_steps"] = summary.worst_steps;
  json["wins"] = summary.wins;
  json["reference_contests"] = summary.reference_contests;
  json["reference_geometric_mean"] = summary.reference_geometric_mean;
  json["reference_worst"] = summary.reference_worst;
  json["reference_worst_task"] = summary.reference_worst_member;
  json["reference_wins"] = summary.reference_wins;
  return json;
}

std::string csv_row(const Contest& contest, const Contestant& contestant, const char* kind) {
  const auto number = [](bool there, double value) {
    return there ? csv_number(value) : std::string();
  };
  const std::optional<Ratio>& ratio = contestant.ratio;
  return fmt::format(
      "{},{},{},{},{},{},{},{},{},{},{},{},{}\n", csv_field(contest.member), contest.steps,
      csv_field(contestant.name), kind,
      number(contestant.learning_rate.has_value(), contestant.learning_rate.value_or(0.0)),
      schedule_name(contestant.schedule), csv_number(contestant.final_loss),
      csv_number(contestant.final_loss_se), csv_number(contestant.final_loss_iqm),
      number(ratio.has_value(), ratio ? ratio->value : 0.0),
      number(ratio.has_value(), ratio ? ratio->se : 0.0),
      number(contestant.reference_ratio.has_value(),
             contestant.reference_ratio ? contestant.reference_ratio->value : 0.0),
      contestant.steps_to_best ? fmt::format("{}", *contestant.steps_to_best) : "");
}

}  // namespace

std::string loss_text(double loss) {
  return std::isfinite(loss) ? fmt::format("{:.4g}", loss) : "diverged";
}

std::string ratio_text(const std::optional<Ratio>& ratio) {
  if (!ratio) return "-";
  return std::isfinite(ratio->value) ? fmt::format("{:.3f}", ratio->value) : "diverged";
}

std::string tuned_text(const Contestant& baseline) {
  return fmt::format("{} {:.3g} {}", baseline.name.substr(0, baseline.name.find('@')),
                     baseline.learning_rate.value_or(0.0), schedule_name(baseline.schedule));
}

std::string suite_heading(const SuiteReport& report) {
  std::vector<std::string> schedules;
  for (const UpdateSchedule schedule : report.baseline_schedules) {
    schedules.emplace_back(schedule_name(schedule));
  }
  const StepScales& scales = report.scaling.scales;
  std::string learned = schedule_name(report.scaling.schedule);
  if (scales.update != 1.0F) learned += fmt::format(", update scale {:g}", scales.update);
  if (scales.gradient != 1.0F) learned += fmt::format(", gradient scale {:g}", scales.gradient);
  if (scales.weight_decay != 0.0F) {
    learned += fmt::format(", weight decay {:g}", scales.weight_decay);
  }
  const std::string schedule =
      schedules.size() == 1
          ? fmt::format("rate tuned for each task and length, {}", schedules.front())
          : fmt::format("rate and the better of {} tuned for each task and length",
                        fmt::join(schedules, ", "));
  return fmt::format("Seed {}, on {}. Learned rules: {}, nothing tuned. Baselines: {}", report.seed,
                     report.device, learned, schedule);
}

std::string suite_table(const SuiteReport& report) {
  return report.name + ". " + suite_heading(report) + "\n\n" + contests_table(report) + "\n" +
         summaries_table(report);
}

std::string suite_json(const SuiteReport& report) {
  nlohmann::ordered_json json;
  json["suite"] = report.name;
  json["seed"] = report.seed;
  json["device"] = report.device;
  if (!report.precision.empty()) json["precision"] = report.precision;
  json["schedule"] = schedule_name(report.scaling.schedule);
  json["update_scale"] = shortest_double(report.scaling.scales.update);
  json["gradient_scale"] = shortest_double(report.scaling.scales.gradient);
  json["weight_decay"] = shortest_double(report.scaling.scales.weight_decay);
  for (const UpdateSchedule schedule : report.baseline_schedules) {
    json["baseline_schedules"].push_back(schedule_name(schedule));
  }
  json["models"] = report.models;
  json["reference"] = nullptr;
  if (!report.reference.empty()) json["reference"] = report.reference;
  for (const Contest& contest : report.contests) json["contests"].push_back(json_of(contest));
  for (const Summary& summary : report.summaries()) json["summaries"].push_back(json_of(summary));
  return json_line(json);
}

std::string suite_csv(const SuiteReport& report) {
  std::string out =
      "task,steps,contestant,kind,learning_rate,schedule,final_loss_mean,final_loss_se,"
      "final_loss_iqm,ratio,ratio_se,reference_ratio,steps_to_best\n";
  for (const Contest& contest : report.contests) {
    for (const Contestant& learned : contest.learned) out += csv_row(contest, learned, "learned");
    for (const Contestant& baseline : contest.baselines) {
      out += csv_row(contest, baseline, "baseline");
    }
    if (contest.reference) out += csv_row(contest, *contest.reference, "reference");
  }
  return out;
}

}  // namespace l2o
