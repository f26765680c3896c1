#include "host/engine/run_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "host/core/atomic_file.h"
#include "host/core/error.h"
#include "host/core/text.h"
#include "host/engine/training_config.h"

namespace l2o {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxMetricsBytes = std::size_t{1} << 30;

/// null represents a non-finite value.
double number(const Json& value) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Medians over the first and last tenth.
std::pair<double, double> ends(const std::vector<double>& values) {
  const auto tenth = static_cast<std::ptrdiff_t>((values.size() + 9) / 10);
  return {median({values.begin(), values.begin() + tenth}),
          median({values.end() - tenth, values.end()})};
}

/// The number, from 1, of the first non-finite value; 0: none.
std::int64_t first_non_finite(const std::vector<double>& values) {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [](double value) { return !std::isfinite(value); });
  return found == values.end() ? 0 : found - values.begin() + 1;
}

/// Columns of metrics.jsonl.
struct Metrics {
  std::vector<double> losses, norms;
  struct Member {
    explicit Member(std::string member_name) : name(std::move(member_name)) {}
    std::string name;
    std::vector<double> losses, norms;
    std::int64_t failures = 0;
    bool has_norms = false;
  };
  std::vector<Member> members;

  Member& member(const std::string& name) {
    const auto found = std::find_if(members.begin(), members.end(),
                                    [&](const Member& member) { return member.name == name; });
    return found != members.end() ? *found : members.emplace_back(name);
  }
};

void add_episode(const Json& line, Metrics& metrics, RunReport& report) {
  report.episodes = line.at("episode").get<std::int64_t>();
  metrics.losses.push_back(number(line.at("meta_loss")));
  metrics.norms.push_back(number(line.at("gradient_norm")));
  report.skipped += line.at("skipped").get<std::int64_t>();
  if (line.contains("members")) {
    for (const auto& [name, loss] : line["members"].items()) {
      metrics.member(name).losses.push_back(number(loss));
    }
  }
  if (!line.contains("member_gradient_norms")) return;
  for (const auto& [name, norm] : line["member_gradient_norms"].items()) {
    metrics.member(name).norms.push_back(number(norm));
    metrics.member(name).has_norms = true;
  }
  for (const auto& [name, failures] : line.at("member_failures").items()) {
    metrics.member(name).failures += failures.get<std::int64_t>();
  }
}

void add_evaluation(const Json& line, RunReport& report) {
  report.validations.push_back(number(line.at("validation")));
  if (line.at("best").get<bool>()) {
    report.best_episode = line.at("episode").get<std::int64_t>();
    report.best_validation = report.validations.back();
  }
  if (!line.contains("movement")) return;
  report.movements.clear();
  for (const auto& [member, tensors] : line["movement"].items()) {
    for (const auto& [tensor, distance] : tensors.items()) {
      report.movements.push_back({member, tensor, number(distance)});
    }
  }
}

void advise(const Metrics& metrics, const TrainingConfig& config, RunReport& report) {
  const auto add = [&](std::string sentence) { report.advice.push_back(std::move(sentence)); };
  const auto updates =
      std::max<double>(1.0, static_cast<double>(report.episodes * config.episode.mean_unrolls()));
  const double rate = config.meta_optimizer.learning_rate.rate;
  if (static_cast<double>(report.skipped) > 0.01 * updates) {
    add(fmt::format(
        "{} meta-updates were skipped as non-finite: lower meta_optimizer.learning_rate "
        "({:g}), set meta_optimizer.clip_norm = 1, or lower optimizer.output_scale",
        report.skipped, rate));
  }
  if (report.clip_norm == 0.0 && !config.by_member() && report.median_norm > 0.0 &&
      report.largest_norm > 100.0 * report.median_norm) {
    add(fmt::format(
        "a few meta-gradients reach {:.0f} times the median: meta_optimizer.clip_norm = "
        "{:.2g} keeps them from undoing the other updates",
        report.largest_norm / report.median_norm, 2.0 * report.median_norm));
  }
  if (report.median_norm < 1e-10) {
    add("the meta-gradient is all but zero: the networks may be saturated from the start; try "
        "another init, scale = \"initial\", or optimizer.preprocessing = \"adam_moments\" with "
        "output = \"modulated\"");
  }
  if (report.episodes >= 20 && report.last_loss > report.first_loss) {
    add(
        fmt::format("the meta-loss rose from {:.4g} to {:.4g}: lower meta_optimizer.learning_rate "
                    "({:g}) by a factor of 3, or set meta_optimizer.clip_norm",
                    report.first_loss, report.last_loss, rate));
  }
  for (const Metrics::Member& member : metrics.members) {
    if (static_cast<double>(member.failures) > 0.05 * updates) {
      add(fmt::format(
          "member {} was left out of {:.0f} % of the meta-updates: shorten its episodes, "
          "lower its random_scaling, or look at it alone with `l2o task`",
          member.name, 100.0 * static_cast<double>(member.failures) / updates));
    }
  }
  const std::size_t count = report.validations.size();
  if (count >= 4 && report.best_validation == report.validations.back()) {
    add("the last evaluation is the best: more episodes may do better (--extend)");
  }
  if (count >= 4 && report.best_episode * 2 < report.episodes) {
    add(fmt::format(
        "the best model is the one after episode {} of {}: the learning rate was too high for "
        "the rest of the run",
        report.best_episode, report.episodes));
  }
  for (const RunReport::Movement& movement : report.movements) {
    if (!std::isfinite(movement.distance) || movement.distance == 0.0) {
      add(fmt::format("{} of member {} {}", movement.tensor, movement.member,
                      movement.distance == 0.0 ? "does not move" : "ends with non-finite values"));
    }
  }
}

}  // namespace

RunReport read_run_report(const std::string& run_directory) {
  const std::string config_path = run_directory + "/config.toml";
  const std::string metrics_path = run_directory + "/metrics.jsonl";
  ConfigReader reader = ConfigReader::from_file(config_path);
  const TrainingConfig config = read_training_config(reader);
  RunReport report;
  report.directory = run_directory;
  report.planned = config.episodes;
  report.clip_norm = config.meta_optimizer.clip_norm;

  const std::vector<std::byte> bytes = read_file(metrics_path, kMaxMetricsBytes);
  std::istringstream lines({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  Metrics metrics;
  int line_number = 0;
  for (std::string text; std::getline(lines, text);) {
    ++line_number;
    if (lines.eof()) break;  // a run in progress may be writing it
    try {
      const Json line = Json::parse(text);
      line.contains("validation") ? add_evaluation(line, report)
                                  : add_episode(line, metrics, report);
    } catch (const nlohmann::json::exception& error) {
      throw Error(Status::kBadData, fmt::format("{}:{} is not a line of metrics: {}", metrics_path,
                                                line_number, error.what()));
    }
  }
  if (metrics.losses.empty()) {
    throw Error(Status::kBadData, metrics_path + " has no episodes yet");
  }
  std::tie(report.first_loss, report.last_loss) = ends(metrics.losses);
  report.first_non_finite_loss = first_non_finite(metrics.losses);
  report.median_norm = median(metrics.norms);
  for (const double norm : metrics.norms) {
    if (norm > report.largest_norm) report.largest_norm = norm;
  }
  for (const Metrics::Member& member : metrics.members) {
    RunReport::Member& of = report.members.emplace_back();
    of.name = member.name;
    std::tie(of.first_loss, of.last_loss) = ends(member.losses);
    of.first_non_finite_loss = first_non_finite(member.losses);
    if (!member.has_norms) continue;
    of.gradient_norm = median(member.norms);
    of.failures = member.failures;
  }
  advise(metrics, config, report);
  return report;
}

std::string run_report_text(const RunReport& report) {
  std::string text =
      fmt::format("{}: {} of {} episodes\n", report.directory, report.episodes, report.planned);
  const auto row = [&](const char* name, const std::string& value) {
    text += fmt::format("{:<22}{}\n", name, value);
  };
  const auto since = [](std::int64_t episode) {
    return episode == 0 ? std::string() : fmt::format(", non-finite in episode {}", episode);
  };
  row("meta-loss", fmt::format("{:.4g} in the first tenth, {:.4g} in the last{}", report.first_loss,
                               report.last_loss, since(report.first_non_finite_loss)));
  row("meta-gradient", fmt::format("norm {:.3g} at the median, {:.3g} at most", report.median_norm,
                                   report.largest_norm));
  row("skipped meta-updates", fmt::format("{}", report.skipped));
  if (!report.validations.empty()) {
    row("validation", fmt::format("{:.4g} first, {:.4g} last, {:.4g} best, after episode {}",
                                  report.validations.front(), report.validations.back(),
                                  report.best_validation, report.best_episode));
  }
  if (!report.members.empty()) {
    text += fmt::format("\n{:<22}{:>12}{:>12}{:>15}{:>10}\n", "member", "first loss", "last loss",
                        "gradient norm", "left out");
  }
  for (const RunReport::Member& member : report.members) {
    text += fmt::format("{:<22}{:>12.4g}{:>12.4g}{:>15}{:>10}{}\n", member.name, member.first_loss,
                        member.last_loss,
                        member.gradient_norm ? fmt::format("{:.3g}", *member.gradient_norm) : "-",
                        member.failures ? fmt::format("{}", *member.failures) : "-",
                        since(member.first_non_finite_loss));
  }
  if (!report.movements.empty()) {
    text += "\nmovement in the last evaluation, root mean square of theta_T - theta_0\n";
  }
  for (const RunReport::Movement& movement : report.movements) {
    text +=
        fmt::format("{:<22}{:<22}{:>12.3g}\n", movement.member, movement.tensor, movement.distance);
  }
  text += report.advice.empty() ? "\nNo problems found.\n" : "\nSuggestions:\n";
  for (const std::string& sentence : report.advice) text += "- " + sentence + "\n";
  return text;
}

std::string run_report_json(const RunReport& report) {
  Json json = {{"directory", report.directory},
               {"episodes", report.episodes},
               {"planned", report.planned},
               {"first_loss", report.first_loss},
               {"last_loss", report.last_loss},
               {"first_non_finite_loss", report.first_non_finite_loss},
               {"median_gradient_norm", report.median_norm},
               {"largest_gradient_norm", report.largest_norm},
               {"skipped", report.skipped},
               {"validations", report.validations},
               {"best_episode", report.best_episode},
               {"best_validation", report.best_validation},
               {"members", Json::array()},
               {"movements", Json::array()},
               {"advice", report.advice}};
  for (const RunReport::Member& member : report.members) {
    Json own = {{"name", member.name},
                {"first_loss", member.first_loss},
                {"last_loss", member.last_loss},
                {"first_non_finite_loss", member.first_non_finite_loss}};
    if (member.gradient_norm) own["gradient_norm"] = *member.gradient_norm;
    if (member.failures) own["left_out"] = *member.failures;
    json["members"].push_back(std::move(own));
  }
  for (const RunReport::Movement& movement : report.movements) {
    json["movements"].push_back({{"member", movement.member},
                                 {"tensor", movement.tensor},
                                 {"distance", movement.distance}});
  }
  return json_line(json);
}

}  // namespace l2o
