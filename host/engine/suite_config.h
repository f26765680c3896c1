// A suite: many tasks, each at several lengths, that rules are judged on without tuning them to
// any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/core/config.h"
#include "host/engine/baseline.h"
#include "host/engine/task_config.h"

namespace l2o {

struct SuiteMember {
  MemberConfig member;
  std::vector<int> steps;  ///< lengths of runs, ascending; each is a contest of its own
  int runs;                ///< fresh tasks
  int tuning_runs;         ///< tasks of each learning rate's first trial
};

struct SuiteConfig {
  ConfigReader file;  ///< to finish() when the members' optimizees have read their keys
  std::uint64_t seed = 1;
  std::vector<SuiteMember> members;
  std::vector<Baseline> baselines;
  std::vector<UpdateSchedule> baseline_schedules;
  std::optional<Baseline> reference;  ///< of a fixed rate; compared with, but no baseline
  UpdateSchedule schedule = UpdateSchedule::kConstant;  ///< of the learned rules
};

/// Reads a suite file: the keys of the top, and [[task]] as training configurations have them,
/// where the keys of training are errors. Throws kUsage. The keys of the optimizees, and finish(),
/// are left to whoever makes them.
SuiteConfig read_suite(ConfigReader& config);

}  // namespace l2o
