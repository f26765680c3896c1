#include "host/optimizer/device_optimizer.h"

#include <fmt/format.h>

#include "host/core/error.h"
#include "kernels/cells/cell_list.h"

namespace l2o {

namespace {

std::vector<const Optimizer*> rules_of(const Model& model) {
  std::vector<const Optimizer*> rules;
  for (const GroupRule& group : model.rules) rules.push_back(&group.optimizer);
  return rules;
}

/// phi, rule after rule. Throws kUsage if one does not have as many meta-parameters as its cell.
std::vector<float> joined_meta_parameters(const std::vector<const Optimizer*>& rules) {
  std::vector<float> joined;
  for (const Optimizer* rule : rules) {
    const std::vector<float>& phi = rule->meta_parameters;
    const auto expected = static_cast<std::size_t>(cell_meta_size(rule->cell));
    if (phi.size() != expected) {
      throw Error(Status::kUsage, fmt::format("{} meta-parameters; expected {} for this {}",
                                              phi.size(), expected, cell_name(rule->cell)));
    }
    joined.insert(joined.end(), phi.begin(), phi.end());
  }
  return joined;
}

}  // namespace

DeviceOptimizer::DeviceOptimizer(Backend& backend, const Optimizer& rule)
    : DeviceOptimizer(backend, std::vector<const Optimizer*>{&rule}) {}

DeviceOptimizer::DeviceOptimizer(Backend& backend, const Model& model)
    : DeviceOptimizer(backend, rules_of(model)) {}

DeviceOptimizer::DeviceOptimizer(Backend& backend, const std::vector<const Optimizer*>& rules)
    : backend_(&backend) {
  const std::vector<float> phi = joined_meta_parameters(rules);
  meta_parameters_ = Buffer<float>(backend, phi.size());
  meta_parameters_.upload(phi);
  std::size_t first = 0;
  for (const Optimizer* rule : rules) {
    rules_.push_back({.cell = rule->cell,
                      .first = first,
                      .packed = Buffer<std::byte>(backend, backend.packed_bytes(rule->cell))});
    first += rule->meta_parameters.size();
  }
  pack();
}

void DeviceOptimizer::pack() {
  for (Rule& rule : rules_) {
    backend_->pack({.cell = rule.cell,
                    .meta = meta_parameters_.data() + rule.first,
                    .packed = rule.packed.data()});
  }
}

CoordinateState::CoordinateState(Backend& backend, const CellConfig& cell, std::int64_t n)
    : bytes_(backend, backend.state_bytes(cell, n)) {
  reset();
}

void step(DeviceOptimizer& optimizer, std::int64_t n, const float* gradient, CoordinateState& state,
          float* theta, int group, const StepScales& scales) {
  optimizer.backend().step({.cell = optimizer.cell(group),
                            .n = n,
                            .packed = optimizer.packed(group),
                            .gradient = gradient,
                            .state = state.data(),
                            .theta = theta,
                            .gradient_scale = scales.gradient,
                            .update_scale = scales.update,
                            .weight_decay = scales.weight_decay,
                            .tile_scales = scales.of_tiles});
}

UnrollBackwardArgs unroll_backward_args(DeviceOptimizer& optimizer, std::int64_t n,
                                        int unroll_length) {
  UnrollBackwardArgs args;
  args.cell = optimizer.cell();
  args.n = n;
  args.unroll_length = unroll_length;
  args.segment_length = optimizer.backend().plan_segment_length(optimizer.cell(), unroll_length, 0);
  args.packed = optimizer.packed();
  return args;
}

}  // namespace l2o
