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
  /// `runs` tasks of `coordinates` coordinates each, `steps` steps long, from the [task] table.
  Validation(Backend& backend, ConfigReader& task, const std::string& data_directory,
             std::int64_t coordinates, int runs, int steps, std::uint64_t seed);

  /// Mean final loss of the validation tasks, the same ones at each call so that two models can be
  /// compared; +infinity where it is not finite.
  double final_loss(DeviceOptimizer& optimizer);

 private:
  int runs_;
  int steps_;
  std::uint64_t seed_;
  std::unique_ptr<Optimizee> optimizee_;  // a chunk of the tasks
};

}  // namespace l2o
