#include "host/optimizee/network/sequence.h"

#include <algorithm>

#include "host/backend/checked_size.h"

namespace l2o {

Sequence::Sequence(const std::vector<LayerSpec>& specs, const ValueShape& input, NetworkPlan& plan)
    : batch_(std::int64_t{plan.tasks()} * plan.rows()) {
  ValueShape shape = input;
  for (const LayerSpec& spec : specs) {
    layers_.push_back(plan.make(spec, shape));
    shape = layers_.back()->output_shape();
  }
}

void Sequence::allocate(Backend& backend) {
  std::size_t adjoint_sizes[2] = {0, 0};
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i]->allocate(backend);
    const std::size_t size = checked_size({batch_, layers_[i]->output_shape().size()});
    values_.emplace_back(backend, size);
    if (i + 1 < layers_.size()) adjoint_sizes[i % 2] = std::max(adjoint_sizes[i % 2], size);
  }
  for (std::size_t k = 0; k < 2; ++k) adjoints_[k] = Buffer<float>(backend, adjoint_sizes[k]);
}

void Sequence::forward(const LayerPass& pass, const float* input) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i]->forward(pass, input, values_[i].data());
    input = values_[i].data();
  }
}

void Sequence::backward(const LayerPass& pass, const float* input, float* output_adjoint,
                        float* input_adjoint) {
  for (std::size_t i = layers_.size(); i-- > 0;) {
    float* const below = i == 0 ? input_adjoint : adjoints_[(i - 1) % 2].data();
    layers_[i]->backward(pass, {.input = i == 0 ? input : values_[i - 1].data(),
                                .output = values_[i].data(),
                                .output_adjoint = output_adjoint,
                                .input_adjoint = below});
    output_adjoint = below;
  }
}

}  // namespace l2o
