// Validation: the number that chooses the best model of a run.
#pragma once

#include <cstdint>
#include <memory>

#include "host/core/config.h"
#include "host/meta/rollout.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o {

class Validation {
 public:
  /// `runs` tasks of `coordinates` coordinates each, `steps` steps long, from the [task] table, for
  /// rules of one cell. Takes all its memory at once, so that a run does not end for want of it
  /// after hours.
  Validation(Backend& backend, ConfigReader& task, const std::string& data_directory,
             const CellConfig& cell, std::int64_t coordinates, int runs, int steps,
             std::uint64_t seed);

  /// Mean final loss of the validation tasks, the same ones at each call so that two models can be
  /// compared; +infinity where it is not finite.
  double final_loss(DeviceOptimizer& optimizer);

 private:
  int runs_;
  std::uint64_t seed_;
  std::unique_ptr<Optimizee> optimizee_;  // a batch of the tasks
  Rollout rollout_;
};

}  // namespace l2o
