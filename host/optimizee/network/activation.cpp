// relu, sigmoid, tanh, elu, gelu, softplus if they are not part of the preceding layer.
#include "host/optimizee/network/layers.h"

namespace l2o {
namespace {

class ActivationLayer final : public Layer {
 public:
  ActivationLayer(Activation activation, const ValueShape& input, const NetworkPlan& plan)
      : Layer(plan, input, input), activation_(activation) {}

  void forward(const LayerPass& pass, const float* input, float* output) override {
    pass.backend.activation(
        {.activation = activation_, .n = output_size(), .input = input, .output = output});
  }

  void backward(const LayerPass& pass, const LayerAdjoints& values) override {
    if (values.input_adjoint == nullptr) return;
    pass.backend.activation_backward({.activation = activation_,
                                      .n = output_size(),
                                      .input = values.input,
                                      .output = values.output,
                                      .output_adjoint = values.output_adjoint,
                                      .input_adjoint = values.input_adjoint});
  }

 private:
  Activation activation_;
};

}  // namespace

std::unique_ptr<Layer> make_activation(const LayerSpec& spec, const ValueShape& input,
                                       NetworkPlan& plan) {
  return std::make_unique<ActivationLayer>(spec.kind->activation, input, plan);
}

}  // namespace l2o
