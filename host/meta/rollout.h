// Running an optimizer on tasks without learning: what evaluation and validation do.
#pragma once

#include <vector>

#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o {

/// Draws the tasks of `range`, starts at theta_0 with a zero state and takes `steps` steps.
/// Returns the loss curve of every task: [tasks][steps + 1], f(theta_0) first; f(theta_t) is
/// measured on a minibatch of its own.
std::vector<std::vector<float>> rollout(DeviceOptimizer& optimizer, Optimizee& optimizee,
                                        const TaskRange& range, int steps);

/// Independent streams of tasks under one user seed, so that an optimizer is never judged on tasks
/// that something was chosen on.
enum class TaskStream : std::uint32_t {
  kTraining = 1,    ///< episodes of meta-training
  kValidation = 2,  ///< choosing the best model
  kTuning = 3,      ///< choosing the learning rates of the hand-designed rules
  kTest = 4,        ///< what reports are about
};

/// The seed of a stream.
std::uint64_t stream_seed(std::uint64_t seed, TaskStream stream);

}  // namespace l2o
