// l2o.h: optimizer.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "host/capi/objects.h"
#include "host/core/config.h"
#include "host/engine/training_config.h"
#include "host/meta/meta_optimizer.h"
#include "host/optimizer/device_optimizer.h"
#include "host/optimizer/lstm_settings.h"
#include "host/optimizer/model_file.h"
#include "kernels/cells/cell_list.h"
#include "kernels/math/finite.h"

namespace l2o::capi {

/// The engine's Adam, on the CPU: phi is small, and a rule belongs to no context.
struct SharedOptimizer::Adam {
  explicit Adam(std::size_t size)
      : backend(make_backend({DeviceKind::kCpu, 1})), meta_optimizer(*backend, {}, size) {}

  std::unique_ptr<Backend> backend;
  MetaOptimizer meta_optimizer;
};

SharedOptimizer::SharedOptimizer(Optimizer optimizer)
    : current_(std::make_shared<const Optimizer>(std::move(optimizer))),
      description_(describe_lstm(current_->cell.lstm)) {}

SharedOptimizer::~SharedOptimizer() = default;

std::shared_ptr<const Optimizer> SharedOptimizer::snapshot() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void SharedOptimizer::publish(std::vector<float> meta_parameters) {
  const std::shared_ptr<const Optimizer> old = snapshot();
  const auto next = std::make_shared<const Optimizer>(
      Optimizer{old->cell, std::move(meta_parameters), /*trained_on=*/""});
  const std::lock_guard lock(mutex_);
  current_ = next;
}

void SharedOptimizer::set_meta_parameters(std::span<const float> values) {
  const std::lock_guard one_writer(writer_mutex_);
  publish({values.begin(), values.end()});
}

void SharedOptimizer::apply_meta_gradient(std::span<const float> meta_gradient,
                                          float learning_rate) {
  const std::lock_guard one_writer(writer_mutex_);
  const std::shared_ptr<const Optimizer> current = snapshot();
  if (!adam_) adam_ = std::make_unique<Adam>(current->meta_parameters.size());
  DeviceOptimizer updated(*adam_->backend, *current);
  MetaOptimizer& meta_optimizer = adam_->meta_optimizer;
  adam_->backend->upload(meta_optimizer.meta_gradient(), meta_gradient.data(),
                         meta_gradient.size_bytes());
  meta_optimizer.set_learning_rate(double{learning_rate});
  const MetaOptimizerState before = meta_optimizer.state();
  try {
    meta_optimizer.update(updated);
    if (meta_optimizer.report().applied == 0) {
      throw Error(Status::kNotFinite,
                  "the meta-gradient is not finite, or its norm is above 1.8e19: nothing was "
                  "changed");
    }
    std::vector<float> phi = updated.meta_parameters().download();
    if (std::any_of(phi.begin(), phi.end(), is_not_finite)) {
      throw Error(Status::kNotFinite,
                  fmt::format("with a learning rate of {}, this meta-gradient would make the "
                              "meta-parameters non-finite: nothing was changed",
                              learning_rate));
    }
    publish(std::move(phi));
  } catch (...) {
    meta_optimizer.restore(before);
    throw;
  }
}

}  // namespace l2o::capi

using namespace l2o;
using namespace l2o::capi;

l2o_status l2o_optimizer_create(const char* config, l2o_optimizer** optimizer) {
  return create(optimizer, "optimizer", [&] {
    ConfigReader reader = ConfigReader::from_text(text_or_empty(config), "optimizer config");
    RuleConfig rule;
    read_rule_config(reader, rule);
    const std::uint64_t seed = read_seed(reader);
    reader.finish();
    return std::make_shared<SharedOptimizer>(
        make_lstm_optimizer(rule.lstm, rule.output_init, seed));
  });
}

l2o_status l2o_optimizer_load(const char* path, l2o_optimizer** optimizer) {
  return create(optimizer, "optimizer", [&] {
    require(path, "path");
    return std::make_shared<SharedOptimizer>(load_model(path).only_rule());
  });
}

l2o_status l2o_optimizer_load_rule(const char* path, const char* rule, l2o_optimizer** optimizer) {
  return create(optimizer, "optimizer", [&] {
    require(path, "path");
    require(rule, "rule");
    return std::make_shared<SharedOptimizer>(load_model(path).rule(rule));
  });
}

l2o_status l2o_optimizer_save(const l2o_optimizer* optimizer, const char* path) {
  return guarded([&] {
    const std::shared_ptr<SharedOptimizer> object = object_of(optimizer);
    require(path, "path");
    save_model(path, *object->snapshot());
  });
}

void l2o_optimizer_destroy(l2o_optimizer* optimizer) { destroy<SharedOptimizer>(optimizer); }

const char* l2o_optimizer_description(const l2o_optimizer* optimizer) {
  const char* description = "";
  // The table holds the optimizer, which holds its description, as long as the handle is in use.
  guarded([&] { description = object_of(optimizer)->description().c_str(); });
  return description;
}

size_t l2o_optimizer_meta_parameter_count(const l2o_optimizer* optimizer) {
  return guarded_size([&] { return object_of(optimizer)->snapshot()->meta_parameters.size(); });
}

size_t l2o_optimizer_state_size(const l2o_optimizer* optimizer) {
  return guarded_size(
      [&] { return static_cast<size_t>(cell_state_size(object_of(optimizer)->snapshot()->cell)); });
}

l2o_status l2o_optimizer_get_meta_parameters(const l2o_optimizer* optimizer, float* values,
                                             size_t count) {
  return guarded([&] {
    const std::shared_ptr<const Optimizer> current = object_of(optimizer)->snapshot();
    require_count(count, current->meta_parameters.size(), "count");
    require(values, "values");
    std::copy(current->meta_parameters.begin(), current->meta_parameters.end(), values);
  });
}

l2o_status l2o_optimizer_set_meta_parameters(l2o_optimizer* optimizer, const float* values,
                                             size_t count) {
  return guarded([&] {
    const std::shared_ptr<SharedOptimizer> object = object_of(optimizer);
    require_count(count, object->snapshot()->meta_parameters.size(), "count");
    require(values, "values");
    require_finite(values, count, "values");
    object->set_meta_parameters({values, count});
  });
}

l2o_status l2o_optimizer_apply_meta_gradient(l2o_optimizer* optimizer, const float* meta_gradient,
                                             size_t count, float learning_rate) {
  return guarded([&] {
    const std::shared_ptr<SharedOptimizer> object = object_of(optimizer);
    require_count(count, object->snapshot()->meta_parameters.size(), "count");
    require(meta_gradient, "meta_gradient");
    require_scale(learning_rate, true, "learning_rate");
    object->apply_meta_gradient({meta_gradient, count}, learning_rate);
  });
}
