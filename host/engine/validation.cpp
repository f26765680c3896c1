#include "host/engine/validation.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace l2o {

Validation::Validation(Backend& backend, ConfigReader& task, const std::string& data_directory,
                       const CellConfig& cell, std::int64_t coordinates, int runs, int steps,
                       std::uint64_t seed)
    : runs_(runs),
      seed_(stream_seed(seed, TaskStream::kValidation)),
      optimizee_(
          make_optimizee({backend, rollout_tasks(cell, coordinates, runs), data_directory}, task)),
      rollout_(backend, cell, *optimizee_, steps) {}

double Validation::final_loss(DeviceOptimizer& optimizer) {
  double sum = 0.0;
  for (int first = 0; first < runs_; first += optimizee_->tasks()) {
    const auto curves = rollout_.run(optimizer, {seed_, static_cast<std::uint32_t>(first)});
    // The last batch may hold more tasks than are wanted.
    const int wanted = std::min(optimizee_->tasks(), runs_ - first);
    for (int task = 0; task < wanted; ++task) sum += curves[static_cast<std::size_t>(task)].back();
  }
  const double mean = sum / runs_;
  return std::isfinite(mean) ? mean : std::numeric_limits<double>::infinity();
}

}  // namespace l2o
