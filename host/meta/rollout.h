// Runs an optimizer on tasks without meta-training it, for evaluation and validation.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "host/backend/buffer.h"
#include "host/meta/update_schedule.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o {

/// Scales of the steps of a run: scales.update is additionally multiplied by the schedule over
/// the length of the run.
struct StepScaling {
  StepScales scales = {};
  UpdateSchedule schedule = UpdateSchedule::kConstant;
};

/// Runs of `steps` steps on batches of one optimizee, with the memory that they need.
class Rollout {
 public:
  /// `cells` has one cell per group of parameters. `optimizee` and the backend must outlive this
  /// object.
  Rollout(Backend& backend, const std::vector<CellConfig>& cells, Optimizee& optimizee, int steps);

  /// Draws the tasks of `range`, starts at theta_0 with a zero state and takes all the steps.
  /// Returns the loss curve of every task: [tasks][steps + 1], f(theta_0) first; each f(theta_t) is
  /// measured on a separate minibatch. before_step, if given, is called before each evaluation with
  /// the number of tasks; an exception from it aborts the run.
  std::vector<std::vector<float>> run(DeviceOptimizer& optimizer, const TaskRange& range,
                                      const StepScaling& scaling = {},
                                      const std::function<void(int tasks)>& before_step = {});

  /// Movement of every tensor of the optimizee in the last run: the root mean square of theta_T -
  /// theta_0 over all tasks, in the order of its layout. Resets theta to theta_0; waits.
  std::vector<double> movement();

 private:
  /// A group with N coordinates, over all tasks.
  struct Group {
    std::int64_t n;
    CoordinateState state;
    Buffer<float> theta;     // [N]
    Buffer<float> gradient;  // [N]
  };
  Optimizee* optimizee_;
  std::size_t slots_;  // steps + 1
  std::vector<Group> groups_;
  Buffer<float> losses_;  // [steps + 1, B]
};

/// Creates a Rollout and runs it once.
std::vector<std::vector<float>> rollout(DeviceOptimizer& optimizer, Optimizee& optimizee,
                                        const TaskRange& range, int steps);

/// Total coordinates of the tasks that run concurrently: enough to keep a device busy.
inline constexpr std::int64_t kRolloutCoordinates = std::int64_t{1} << 19;

/// Tasks per batch such that equal batches cover `runs` tasks (the surplus of the last is dropped)
/// and memory does not grow with their number: a batch has at most `max_coordinates` coordinates
/// and bounded state. `coordinates` is the number per task.
int rollout_tasks(const std::vector<CellConfig>& cells, std::int64_t coordinates, int runs,
                  std::int64_t max_coordinates = kRolloutCoordinates);

/// Independent streams of tasks under one user seed, so that an optimizer is never evaluated on
/// tasks that were used to choose anything.
enum class TaskStream : std::uint32_t {
  kTraining = 1,    ///< episodes of meta-training
  kValidation = 2,  ///< choosing the best model
  kTuning = 3,      ///< choosing the learning rates of the hand-designed rules
  kTest = 4,        ///< results in reports
  kScale = 5,       ///< measuring a member's losses at the start
  kEpisodes = 6,    ///< lengths and schedules of the episodes of meta-training
};

/// The seed of a stream. In meta-training every member of a mixture has a separate one.
std::uint64_t stream_seed(std::uint64_t seed, TaskStream stream, std::uint32_t member = 0);

}  // namespace l2o
