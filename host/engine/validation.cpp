#include "host/engine/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "host/core/error.h"
#include "host/meta/loss_weights.h"

namespace l2o {

Validation::Validation(Backend& backend, const std::vector<MemberConfig>& configs,
                       const std::vector<Member>& members, const std::string& data_directory,
                       const Model& model, const ValidationConfig& config)
    : config_(config), seed_(stream_seed(config.seed, TaskStream::kValidation)) {
  for (std::size_t m = 0; m < members.size(); ++m) {
    ConfigReader options = configs[m].options;
    const int tasks =
        rollout_tasks(model.cells(), members[m].optimizee->coordinates(), config.runs);
    auto optimizee = make_optimizee({backend, tasks, data_directory}, options);
    optimizee->assign_groups(model.groups());
    Rollout rollout(backend, model.cells(), *optimizee, config.steps);
    batches_.push_back({members[m].weight, std::move(optimizee), std::move(rollout)});
  }
}

Validation::Losses Validation::losses(Batch& batch, DeviceOptimizer& optimizer) const {
  const int tasks = batch.optimizee->tasks();
  double sum = 0.0, initial = 0.0;
  for (int first = 0; first < config_.runs; first += tasks) {
    const auto curves = batch.rollout.run(optimizer, {seed_, static_cast<std::uint32_t>(first)},
                                          {.schedule = config_.schedule});
    // The last batch may hold more tasks than are wanted.
    const int wanted = std::min(tasks, config_.runs - first);
    for (int task = 0; task < wanted; ++task) {
      const std::vector<float>& curve = curves[static_cast<std::size_t>(task)];
      const auto last = curve.end() - std::min(config_.average, config_.steps + 1);
      double of_run = 0.0;
      for (auto loss = last; loss != curve.end(); ++loss) {
        of_run += meta_value(double{*loss}, config_.logarithmic);
      }
      sum += of_run / static_cast<double>(curve.end() - last);
      initial += meta_value(double{curve.front()}, config_.logarithmic);
    }
  }
  const double mean = sum / config_.runs;
  return {.initial = initial / config_.runs,
          .final = std::isfinite(mean) ? mean : std::numeric_limits<double>::infinity()};
}

ValidationResult Validation::judge(DeviceOptimizer& optimizer, const std::vector<double>& scales) {
  ValidationResult result;
  for (std::size_t m = 0; m < batches_.size(); ++m) {
    const Losses of_member = losses(batches_[m], optimizer);
    const double weight = batches_[m].weight / (config_.logarithmic ? 1.0 : scales[m]);
    result.loss += weight * of_member.final;
    result.initial_loss += weight * of_member.initial;
    result.member_losses.push_back(of_member.final);
    std::vector<ValidationResult::Movement>& movements = result.movements.emplace_back();
    const std::vector<double> distances = batches_[m].rollout.movement();
    for (std::size_t i = 0; i < distances.size(); ++i) {
      movements.push_back({batches_[m].optimizee->layout().tensors()[i].name, distances[i]});
    }
  }
  return result;
}

std::vector<double> initial_losses(Backend& backend, const std::vector<MemberConfig>& configs,
                                   const std::vector<Member>& members,
                                   const std::string& data_directory, std::uint64_t seed) {
  constexpr int kTasks = 64;
  const Model any = make_model(make_hand_designed_optimizer("sgd", 0.0F));
  Validation validation(
      backend, configs, members, data_directory, any,
      {.runs = kTasks, .steps = 0, .seed = stream_seed(seed, TaskStream::kScale)});
  DeviceOptimizer optimizer(backend, any);
  const std::vector<double> losses =
      validation.judge(optimizer, std::vector<double>(members.size(), 1.0)).member_losses;
  for (std::size_t m = 0; m < members.size(); ++m) {
    if (std::isfinite(losses[m]) && losses[m] > 0.0) continue;
    throw Error(Status::kDiverged,
                fmt::format("[[task]] {}: its loss at the start is {}, which scale = \"initial\" "
                            "cannot divide by; give scale a number",
                            members[m].name, losses[m]));
  }
  return losses;
}

}  // namespace l2o
