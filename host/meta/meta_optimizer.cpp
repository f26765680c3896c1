#include "host/meta/meta_optimizer.h"

#include <cmath>
#include <numbers>

namespace l2o {

double LearningRateSchedule::at(double s) const {
  switch (kind) {
    case Kind::kConstant:
      return rate;
    case Kind::kCosine:
      return rate * (final_fraction +
                     (1.0 - final_fraction) * 0.5 * (1.0 + std::cos(std::numbers::pi * s)));
    case Kind::kExponential:
      return rate * std::pow(final_fraction, s);
  }
  return rate;
}

MetaOptimizer::MetaOptimizer(Backend& backend, const MetaOptimizerConfig& config, std::size_t size)
    : backend_(&backend),
      config_(config),
      meta_gradient_(backend, size),
      first_moment_(backend, size),
      second_moment_(backend, size),
      updates_(backend, 1),
      learning_rate_(backend, 1),
      report_(backend, 1) {
  first_moment_.fill_zero();
  second_moment_.fill_zero();
  updates_.fill_zero();
}

void MetaOptimizer::set_learning_rate(double learning_rate) {
  learning_rate_.upload({static_cast<float>(learning_rate)});
}

void MetaOptimizer::update(DeviceOptimizer& optimizer, const float* losses,
                           std::size_t loss_count) {
  MetaUpdateArgs args;
  args.size = static_cast<std::int64_t>(meta_gradient_.size());
  args.meta = optimizer.meta_parameters().data();
  args.first_moment = first_moment_.data();
  args.second_moment = second_moment_.data();
  args.updates = updates_.data();
  args.meta_gradient = meta_gradient_.data();
  args.loss_count = static_cast<std::int64_t>(loss_count);
  args.losses = losses;
  args.learning_rate = learning_rate_.data();
  args.beta1 = static_cast<float>(config_.beta1);
  args.beta2 = static_cast<float>(config_.beta2);
  args.epsilon = static_cast<float>(config_.epsilon);
  args.clip_norm = static_cast<float>(config_.clip_norm);
  args.report = report_.data();
  backend_->meta_update(args);
  optimizer.pack();
}

MetaOptimizerState MetaOptimizer::state() const {
  return {first_moment_.download(), second_moment_.download(), updates_.download().front()};
}

void MetaOptimizer::restore(const MetaOptimizerState& state) {
  first_moment_.upload(state.first_moment);
  second_moment_.upload(state.second_moment);
  backend_->upload(updates_.data(), &state.updates, updates_.bytes());
}

}  // namespace l2o
