// Runs rules on numbered fresh tasks, as every comparison of rules does.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/comm/communicator.h"
#include "host/core/config.h"
#include "host/meta/rollout.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

using Curves = std::vector<std::vector<float>>;  // [run][steps + 1]

struct TaskRunnerOptions {
  std::uint64_t seed = 1;
  std::string data_directory;
  /// Total coordinates of the tasks that run concurrently: bounds memory, never changes a result.
  std::int64_t coordinates_at_once = kRolloutCoordinates;
  /// Called before every step of the tasks that run concurrently, with their number on all ranks
  /// together; may throw.
  std::function<void(int tasks)> before_step = {};
  /// They share the tasks of every run().
  Communicator* ranks = &only_rank();
};

/// Selects runs: tasks first .. first + runs - 1 of a stream.
struct RunRequest {
  TaskStream stream = TaskStream::kTest;
  int first = 0;
  int runs = 1;
  int steps = 100;
  StepScaling scaling = {};
};

/// Runs rules on the tasks of one member, as many at a time as memory allows. The constructor and
/// run() are collective and throw kUsage if the ranks differ in anything that they must share;
/// where a poll throws kInterrupted or kTerminated at one of several ranks, run() throws at all.
class TaskRunner {
 public:
  /// Throws if the member's keys or its data are not as expected.
  TaskRunner(Backend& backend, const ConfigReader& task, TaskRunnerOptions options);

  Curves run(const Model& model, const RunRequest& request);
  /// Throws kUsage, as run() would, if not every parameter is in one group of the model.
  void require_groups(const Model& model) { batch_of(1).assign_groups(model.groups()); }
  /// Identifies the data set that the tasks are drawn from; 0 if there is none.
  std::uint64_t data_fingerprint() { return batch_of(1).data_fingerprint(); }
  /// The files that this data set was read from.
  std::vector<std::string> data_files() { return batch_of(1).data_files(); }

 private:
  Optimizee& batch_of(int tasks);
  /// Of the batches that are this rank's, in their order.
  Curves run_mine(const Model& model, const RunRequest& request, int batch_size);

  Backend& backend_;
  ConfigReader task_;
  TaskRunnerOptions options_;
  std::int64_t coordinates_ = 0;                       // per task
  std::map<int, std::unique_ptr<Optimizee>> batches_;  // by number of tasks
};

}  // namespace l2o
