// dense N: output = activation(input W + bias), every output of a row from all values of the row.
#include "host/optimizee/network/layers.h"

namespace l2o {
namespace {

class Dense final : public Layer {
 public:
  Dense(const LayerSpec& spec, const ValueShape& input, NetworkPlan& plan)
      : Layer(plan, input, {.channels = spec.arguments[0]}),
        inputs_(static_cast<int>(input.size())),
        units_(spec.arguments[0]),
        activation_(spec.activation) {
    const std::string name = plan.next_name("dense");
    weight_ =
        plan.add({name + ".weight", {inputs_, units_}, ParameterRole::kWeight, inputs_, units_});
    bias_ = plan.add({name + ".bias", {units_}, ParameterRole::kBias, inputs_, units_});
  }

  void forward(const LayerPass& pass, const float* input, float* output) override {
    GemmArgs product;
    product.m = rows();
    product.n = units_;
    product.k = inputs_;
    product.batch = tasks();
    product.a = input;
    product.stride_a = std::int64_t{rows()} * inputs_;
    product.b = pass.parameter(weight_);
    product.stride_b = pass.stride_of(weight_);
    product.c = output;
    product.stride_c = std::int64_t{rows()} * units_;
    pass.backend.gemm(product);

    BiasActivationArgs activation;
    activation.activation = activation_;
    activation.batch = tasks();
    activation.rows = rows();
    activation.columns = units_;
    activation.values = output;
    activation.bias = pass.parameter(bias_);
    activation.bias_stride = pass.stride_of(bias_);
    pass.backend.bias_activation(activation);
  }

  void backward(const LayerPass& pass, const LayerAdjoints& values) override {
    BiasActivationBackwardArgs activation;
    activation.activation = activation_;
    activation.batch = tasks();
    activation.rows = rows();
    activation.columns = units_;
    activation.activated = values.output;
    activation.adjoint = values.output_adjoint;
    activation.bias_gradient = pass.gradient_of(bias_);
    activation.bias_gradient_stride = pass.stride_of(bias_);
    pass.backend.bias_activation_backward(activation);

    GemmArgs weights;  // input^T adjoint
    weights.transpose_a = true;
    weights.m = inputs_;
    weights.n = units_;
    weights.k = rows();
    weights.batch = tasks();
    weights.a = values.input;
    weights.stride_a = std::int64_t{rows()} * inputs_;
    weights.b = values.output_adjoint;
    weights.stride_b = std::int64_t{rows()} * units_;
    weights.c = pass.gradient_of(weight_);
    weights.stride_c = pass.stride_of(weight_);
    pass.backend.gemm(weights);
    if (values.input_adjoint == nullptr) return;

    GemmArgs below;  // adjoint W^T
    below.transpose_b = true;
    below.m = rows();
    below.n = inputs_;
    below.k = units_;
    below.batch = tasks();
    below.a = values.output_adjoint;
    below.stride_a = std::int64_t{rows()} * units_;
    below.b = pass.parameter(weight_);
    below.stride_b = pass.stride_of(weight_);
    below.c = values.input_adjoint;
    below.stride_c = std::int64_t{rows()} * inputs_;
    pass.backend.gemm(below);
  }

 private:
  int inputs_;
  int units_;
  Activation activation_;
  int weight_;  // [inputs, units]: both products with the input access the weights sequentially
  int bias_;    // [units]
};

}  // namespace

std::unique_ptr<Layer> make_dense(const LayerSpec& spec, const ValueShape& input,
                                  NetworkPlan& plan) {
  return std::make_unique<Dense>(spec, input, plan);
}

}  // namespace l2o
