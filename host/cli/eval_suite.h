// l2o eval --suite: compares models with the hand-designed rules on many tasks.
#pragma once

#include <string>
#include <vector>

#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/ranks.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o::cli {

struct SuiteFlags {
  std::vector<std::string> models;
  std::string suite;
  std::vector<std::string> assignments;
  StepScales scales;
  std::string schedule;  ///< empty: the suite's
  std::string data;
  std::string cache;
  std::string report;
  std::string json;
  DeviceFlags device;
};

/// Prepares the first run of any evaluation, once its data are known: throws kUsage if an output
/// would overwrite them, and catches the stop signals, for which nothing polls earlier.
void prepare_runs(const Rank& rank, const std::vector<std::string>& data_files,
                  const std::vector<NamedPath>& outputs);

/// Returns the exit code.
int run_suite_evaluation(const SuiteFlags& flags, const Rank& rank);

}  // namespace l2o::cli
