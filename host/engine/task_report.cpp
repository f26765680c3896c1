#include "host/engine/task_report.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "host/engine/task_config.h"
#include "host/engine/training_config.h"
#include "host/engine/training_loop.h"

namespace l2o {
namespace {

template <class Work>
double seconds_of(Backend& backend, const Work& work) {
  using Clock = std::chrono::steady_clock;
  backend.synchronize();
  const Clock::time_point start = Clock::now();
  work();
  backend.synchronize();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// One member's batch of tasks, with its parameters in one block.
class Probe {
 public:
  explicit Probe(Backend& backend, Optimizee& optimizee)
      : optimizee_(optimizee),
        theta_(backend, size()),
        gradient_(backend, size()),
        loss_(backend, static_cast<std::size_t>(optimizee.tasks())) {
    theta_.fill_zero();
    gradient_.fill_zero();
    optimizee_.sample({.seed = stream_seed(1, TaskStream::kScale), .first = 0});
    optimizee_.initial_parameters(blocks(theta_));
  }

  /// Losses of the tasks, on the same minibatches in every call.
  std::vector<float> losses_at(const std::vector<float>& theta) {
    theta_.upload(theta);
    optimizee_.start_evaluations(0);
    evaluate();
    return loss_.download();
  }
  void evaluate() {
    const std::vector<float*> theta = blocks(theta_), gradient = blocks(gradient_);
    const std::vector<const float*> at(theta.begin(), theta.end());
    optimizee_.value_and_gradient(at, 0, loss_.data(), gradient);
  }
  std::vector<float> theta() const { return theta_.download(); }
  std::vector<float> gradient() const { return gradient_.download(); }

  /// (F(theta + s g) - F(theta - s g)) / (2 s |g|^2), F being the sum of the losses of all tasks
  /// and g its gradient.
  double slope_ratio() {
    const std::vector<float> start = theta();
    double losses = 0.0;
    for (const float loss : losses_at(start)) losses += std::abs(double{loss});
    const std::vector<float> slope = gradient();
    double theta_norm = 0.0, slope_norm = 0.0;
    for (std::size_t i = 0; i < start.size(); ++i) {
      theta_norm += double{start[i]} * start[i];
      slope_norm += double{slope[i]} * slope[i];
    }
    if (slope_norm == 0.0) return 1.0;
    // A step that changes the losses by a thousandth, within a tenth of theta.
    const double step =
        std::min(0.001 * losses / slope_norm, 0.1 * std::sqrt((theta_norm + 1.0) / slope_norm));
    const auto moved = [&](double by) {
      std::vector<float> values = start;
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(values[i] + by * slope[i]);
      }
      double sum = 0.0;
      for (const float loss : losses_at(values)) sum += loss;
      return sum;
    };
    const auto slope_by = [&](double by) {
      return (moved(by) - moved(-by)) / (2.0 * by * slope_norm);
    };
    // Richardson extrapolation from two steps cancels the error of second order.
    return (4.0 * slope_by(0.5 * step) - slope_by(step)) / 3.0;
  }

 private:
  /// Includes the padding between tasks, which stays 0.
  std::size_t size() const {
    std::int64_t size = 0;
    for (int group = 0; group < optimizee_.layout().groups(); ++group) {
      size += optimizee_.tasks() * optimizee_.layout().group_size(group);
    }
    return static_cast<std::size_t>(size);
  }
  /// Group after group.
  std::vector<float*> blocks(Buffer<float>& memory) const {
    std::vector<float*> blocks;
    float* next = memory.data();
    for (int group = 0; group < optimizee_.layout().groups(); ++group) {
      blocks.push_back(next);
      next += optimizee_.tasks() * optimizee_.layout().group_size(group);
    }
    return blocks;
  }

  Optimizee& optimizee_;
  Buffer<float> theta_, gradient_, loss_;
};

MemberReport report_member(Backend& backend, const Member& member,
                           const std::vector<ParameterGroup>& groups) {
  Optimizee& optimizee = *member.optimizee;
  MemberReport report;
  report.label = member.name;
  report.tasks = optimizee.tasks();
  report.coordinates = optimizee.coordinates();
  for (const ParameterTensor& tensor : optimizee.layout().tensors()) {
    report.tensors.push_back({tensor.name, tensor.shape, tensor.size,
                              groups[static_cast<std::size_t>(tensor.group)].name});
  }
  Probe probe(backend, optimizee);
  for (const float loss : probe.losses_at(probe.theta())) report.initial_loss += loss;
  report.initial_loss /= optimizee.tasks();
  report.slope_ratio = probe.slope_ratio();
  report.evaluation_seconds = seconds_of(backend, [&] { probe.evaluate(); });
  return report;
}

}  // namespace

TaskReport report_task(Backend& backend, ConfigReader& config, const std::string& data_directory) {
  const TrainingConfig training = read_training_config(config);
  const std::vector<MemberConfig> members = read_members(config, training.tasks);
  const Model model = make_initial_model(training, "");
  const Shards shards = Shards::all(static_cast<std::size_t>(training.shards));
  const Mixture mixture(backend, members, data_directory, model.groups(), training.task_alignment(),
                        shards);
  config.finish();
  // Before any task is drawn, which takes long if tasks are large.
  TrainingLoop::require_memory(backend, training, model, mixture.members(), shards);

  TaskReport report;
  report.episodes = training.episodes;
  const Truncation& truncation = training.episode.truncation;
  report.steps = training.episode.independent
                     ? training.episode.mean_unrolls() * truncation.unroll_length
                     : truncation.num_steps;
  for (const Member& member : mixture.once()) {
    report.members.push_back(report_member(backend, member, model.groups()));
    report.members.back().tasks *= static_cast<int>(shards.count);
  }
  TrainingLoop loop(backend, training, model, mixture.members(), shards);
  report.unroll_memory = loop.memory();
  report.memory = backend.memory_in_use();
  loop.run_unroll();  // completes one-time work
  const double unroll = seconds_of(backend, [&] { loop.run_unroll(); });
  report.episode_seconds =
      unroll * report.steps / truncation.length(truncation.unrolls() > 1 ? 1 : 0);
  return report;
}

}  // namespace l2o
