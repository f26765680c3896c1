// A summary of a configuration to check before a long run.
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
  std::string rule;  ///< the rule that updates it; empty if one rule updates all
};

struct MemberReport {
  std::string label;
  int tasks = 0;                 ///< per episode
  std::int64_t coordinates = 0;  ///< per task
  std::vector<TensorReport> tensors;
  double initial_loss = 0.0;        ///< mean of f(theta_0) over the tasks of the first episode
  double evaluation_seconds = 0.0;  ///< time of f and its gradient, for all these tasks
  /// The slope of the summed losses along their gradient at theta_0, by central differences, over
  /// the gradient's norm: 1 if the gradient is correct, within the precision of float32 losses.
  double slope_ratio = 0.0;
};

struct TaskReport {
  std::vector<MemberReport> members;
  std::int64_t episodes = 0;
  int steps = 0;  ///< per episode
  UnrollMemory unroll_memory;
  std::size_t memory = 0;        ///< used by meta-training, including the tasks
  double episode_seconds = 0.0;  ///< time of one episode, on this device
};

/// Creates the tasks of a training configuration, examines the start of their first episode and
/// times an unroll. Throws the same errors as train(), such as kUsage for a wrong configuration.
TaskReport report_task(Backend& backend, ConfigReader& config, const std::string& data_directory);

}  // namespace l2o
