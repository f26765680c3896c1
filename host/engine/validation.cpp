#include "host/engine/validation.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace l2o {
namespace {

/// Coordinates at a time: enough to keep a device busy, little enough that memory does not grow
/// with the number of runs.
constexpr std::int64_t kChunkCoordinates = std::int64_t{1} << 19;

/// Tasks of a chunk such that the chunks are as even as can be.
int chunk_of(int runs, std::int64_t coordinates) {
  const std::int64_t most = std::max<std::int64_t>(1, kChunkCoordinates / coordinates);
  const std::int64_t chunks = (runs + most - 1) / most;
  return static_cast<int>((runs + chunks - 1) / chunks);
}

}  // namespace

Validation::Validation(Backend& backend, ConfigReader& task, const std::string& data_directory,
                       std::int64_t coordinates, int runs, int steps, std::uint64_t seed)
    : runs_(runs), steps_(steps), seed_(stream_seed(seed, TaskStream::kValidation)) {
  optimizee_ = make_optimizee({backend, chunk_of(runs, coordinates), data_directory}, task);
}

double Validation::final_loss(DeviceOptimizer& optimizer) {
  double sum = 0.0;
  for (int first = 0; first < runs_; first += optimizee_->tasks()) {
    const auto curves =
        rollout(optimizer, *optimizee_, {seed_, static_cast<std::uint32_t>(first)}, steps_);
    // The last chunk may hold more tasks than are wanted.
    const int wanted = std::min(optimizee_->tasks(), runs_ - first);
    for (int task = 0; task < wanted; ++task) sum += curves[static_cast<std::size_t>(task)].back();
  }
  const double mean = sum / runs_;
  return std::isfinite(mean) ? mean : std::numeric_limits<double>::infinity();
}

}  // namespace l2o
