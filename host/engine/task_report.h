// What one wants to see of a configuration before a long run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/core/config.h"
#include "host/meta/unroll.h"

namespace l2o {

struct TensorReport {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t size = 0;
  std::string rule;  ///< that takes it; empty where there is one for all
};

struct MemberReport {
  std::string label;
  int tasks = 0;                 ///< of an episode
  std::int64_t coordinates = 0;  ///< of one task
  std::vector<TensorReport> tensors;
  double initial_loss = 0.0;        ///< mean of f(theta_0) over the tasks of the first episode
  double evaluation_seconds = 0.0;  ///< of f and its gradient, for all these tasks
  /// The slope of the summed losses along their gradient at theta_0, by central differences, over
  /// the gradient's norm: 1 where the gradient is right, as far as float32 losses can tell.
  double slope_ratio = 0.0;
};

struct TaskReport {
  std::vector<MemberReport> members;
  std::int64_t episodes = 0;
  int steps = 0;  ///< of an episode
  UnrollMemory unroll_memory;
  std::size_t memory = 0;        ///< that meta-training takes, the tasks' own included
  double episode_seconds = 0.0;  ///< of meta-training, on this device
};

/// Makes the tasks of a training configuration, looks at the start of their first episode and times
/// an unroll. Throws what train() would: kUsage for a wrong configuration, and so on.
TaskReport report_task(Backend& backend, ConfigReader& config, const std::string& data_directory);

}  // namespace l2o
