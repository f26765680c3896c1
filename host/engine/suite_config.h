// The configuration of a suite: many tasks, each at several lengths, on which rules are evaluated
// without being tuned to any of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/core/config.h"
#include "host/engine/baseline.h"
#include "host/engine/task_config.h"

namespace l2o {

/// The keys of a [[task]] that its optimizee does not read, so that they do not change its tasks.
inline constexpr std::string_view kMemberKeys[] = {"label", "tasks", "weight",     "scale",
                                                   "steps", "runs",  "tuning_runs"};

struct SuiteMember {
  MemberConfig member;
  std::vector<int> steps;  ///< lengths of runs, ascending; each is a separate contest
  int runs;                ///< fresh tasks
  int tuning_runs;         ///< tasks in the first trial of each learning rate
};

struct SuiteConfig {
  ConfigReader file;  ///< call finish() once the members' optimizees have read their keys
  std::uint64_t seed = 1;
  std::vector<SuiteMember> members;
  std::vector<Baseline> baselines;
  std::vector<UpdateSchedule> baseline_schedules;
  std::optional<Baseline> reference;  ///< has a fixed rate; compared with, but not a baseline
  UpdateSchedule schedule = UpdateSchedule::kConstant;  ///< for the learned rules
};

/// Reads a suite file: the top-level keys, and [[task]] tables as in training configurations,
/// except that keys that only apply to training are errors. Throws kUsage. Reading the keys of the
/// optimizees, and calling finish(), is left to the code that creates them.
SuiteConfig read_suite(ConfigReader& config);

}  // namespace l2o
