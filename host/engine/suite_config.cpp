#include "host/engine/suite_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "host/core/error.h"
#include "host/engine/limits.h"

namespace l2o {
namespace {

std::vector<int> read_steps(ConfigReader& table, const std::vector<std::int64_t>& default_value) {
  const std::vector<std::int64_t> steps = table.integers("steps", default_value, 1, kMaxSteps);
  // Ascending, since the search at one length starts from the result at the previous one.
  if (steps.empty() ||
      std::adjacent_find(steps.begin(), steps.end(), std::greater_equal<>()) != steps.end()) {
    throw Error(Status::kUsage,
                table.place("steps") + ": expected one or more lengths in ascending order");
  }
  return {steps.begin(), steps.end()};
}

SuiteMember read_suite_member(const MemberConfig& member, const std::vector<int>& steps, int runs,
                              int tuning_runs) {
  ConfigReader table = member.options;
  for (const char* key : {"tasks", "weight", "scale"}) {
    if (!table.has(key)) continue;
    throw Error(Status::kUsage,
                table.place(key) +
                    ": only for training; expected a member's label, steps, runs, tuning_runs "
                    "or a key of its optimizee");
  }
  return {.member = member,
          .steps = read_steps(table, {steps.begin(), steps.end()}),
          .runs = static_cast<int>(table.integer("runs", runs, 1, kMaxTasks)),
          .tuning_runs = static_cast<int>(table.integer("tuning_runs", tuning_runs, 1, kMaxTasks))};
}

}  // namespace

SuiteConfig read_suite(ConfigReader& config) {
  SuiteConfig suite{
      .file = config, .members = {}, .baselines = {}, .baseline_schedules = {}, .reference = {}};
  suite.seed = static_cast<std::uint64_t>(
      config.integer("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
  const std::vector<int> steps = read_steps(config, {100, 1000});
  const int runs = static_cast<int>(config.integer("runs", 8, 1, kMaxTasks));
  const int tuning_runs = static_cast<int>(config.integer("tuning_runs", 4, 1, kMaxTasks));
  suite.baselines = parse_baselines(config.texts("baselines", {"sgd", "nag", "rmsprop", "adam"}));
  if (suite.baselines.empty()) {
    throw Error(Status::kUsage,
                config.place("baselines") + ": expected at least one hand-designed rule");
  }
  suite.baseline_schedules =
      parse_schedules(config.texts("baseline_schedules", {"constant", "cosine"}),
                      config.place("baseline_schedules"));
  if (const std::string reference = config.text("reference", "adam@1e-3"); !reference.empty()) {
    suite.reference = parse_baseline(reference);
    if (!suite.reference->fixed_rate) {
      throw Error(Status::kUsage,
                  config.place("reference") +
                      ": expected a rule with a fixed rate, such as adam@1e-3, or \"\"");
    }
  }
  suite.schedule = read_schedule(config);

  config.require_table("task", "[[task]] table; expected one for each member");
  for (const MemberConfig& member : read_members(config, 1)) {
    suite.members.push_back(read_suite_member(member, steps, runs, tuning_runs));
  }
  return suite;
}

}  // namespace l2o
