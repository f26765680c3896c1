// conv C K [stride S] [valid]: C output channels, each from a window of K x K pixels of all input
// channels.
//
// There is an output for every S-th pixel. Its window begins (K - 1) / 2 pixels above and to the
// left of that pixel; values outside the image are 0. With `valid`, windows begin at their pixel
// and lie inside the image.
#include <fmt/format.h>

#include <limits>

#include "host/optimizee/network/layers.h"

namespace l2o {
namespace {

ConvolutionShape shape_of(const LayerSpec& spec, const ValueShape& input, const NetworkPlan& plan) {
  ConvolutionShape shape;
  shape.batch = plan.tasks();
  shape.images = plan.rows();
  shape.height = input.height;
  shape.width = input.width;
  shape.channels = input.channels;
  shape.out_channels = spec.arguments[0];
  shape.kernel = spec.arguments[1];
  shape.stride = spec.stride == 0 ? 1 : spec.stride;
  if (std::int64_t{shape.kernel} * shape.kernel * shape.channels >
      std::numeric_limits<int>::max()) {
    plan.error(spec, fmt::format("a window of {0} x {0} x {1} values; expected at most {2}",
                                 shape.kernel, shape.channels, std::numeric_limits<int>::max()));
  }
  if (spec.valid) {
    plan.check_window(spec, shape.kernel, input);
    shape.out_height = (shape.height - shape.kernel) / shape.stride + 1;
    shape.out_width = (shape.width - shape.kernel) / shape.stride + 1;
  } else {
    shape.pad_top = shape.pad_left = (shape.kernel - 1) / 2;
    shape.out_height = (shape.height - 1) / shape.stride + 1;
    shape.out_width = (shape.width - 1) / shape.stride + 1;
  }
  return shape;
}

class Convolution final : public Layer {
 public:
  Convolution(const LayerSpec& spec, const ValueShape& input, const ConvolutionShape& shape,
              NetworkPlan& plan)
      : Layer(plan, input, {shape.out_height, shape.out_width, shape.out_channels}),
        shape_(shape),
        activation_(spec.activation) {
    const std::string name = plan.next_name("conv");
    const std::int64_t window = std::int64_t{shape.kernel} * shape.kernel;
    const std::int64_t fan_in = window * shape.channels, fan_out = window * shape.out_channels;
    weight_ = plan.add({name + ".weight",
                        {shape.kernel, shape.kernel, shape.channels, shape.out_channels},
                        ParameterRole::kWeight,
                        fan_in,
                        fan_out});
    bias_ = plan.add({name + ".bias", {shape.out_channels}, ParameterRole::kBias, fan_in, fan_out});
  }

  void forward(const LayerPass& pass, const float* input, float* output) override {
    ConvolutionArgs args;
    args.shape = shape_;
    args.activation = activation_;
    args.input = input;
    args.weights = pass.parameter(weight_);
    args.weights_stride = pass.stride_of(weight_);
    args.bias = pass.parameter(bias_);
    args.bias_stride = pass.stride_of(bias_);
    args.output = output;
    pass.backend.convolution(args);
  }

  void backward(const LayerPass& pass, const LayerAdjoints& values) override {
    BiasActivationBackwardArgs activation;
    activation.activation = activation_;
    activation.batch = tasks();
    activation.rows = rows() * shape_.out_height * shape_.out_width;
    activation.columns = shape_.out_channels;
    activation.activated = values.output;
    activation.adjoint = values.output_adjoint;
    activation.bias_gradient = pass.gradient_of(bias_);
    activation.bias_gradient_stride = pass.stride_of(bias_);
    pass.backend.bias_activation_backward(activation);

    ConvolutionBackwardWeightsArgs weights;
    weights.shape = shape_;
    weights.input = values.input;
    weights.output_adjoint = values.output_adjoint;
    weights.weights_gradient = pass.gradient_of(weight_);
    weights.weights_gradient_stride = pass.stride_of(weight_);
    pass.backend.convolution_backward_weights(weights);
    if (values.input_adjoint == nullptr) return;

    ConvolutionBackwardInputArgs below;
    below.shape = shape_;
    below.output_adjoint = values.output_adjoint;
    below.weights = pass.parameter(weight_);
    below.weights_stride = pass.stride_of(weight_);
    below.input_adjoint = values.input_adjoint;
    pass.backend.convolution_backward_input(below);
  }

 private:
  ConvolutionShape shape_;
  Activation activation_;
  int weight_;  // [K, K, channels, C]
  int bias_;    // [C]
};

}  // namespace

std::unique_ptr<Layer> make_convolution(const LayerSpec& spec, const ValueShape& input,
                                        NetworkPlan& plan) {
  return std::make_unique<Convolution>(spec, input, shape_of(spec, input, plan), plan);
}

}  // namespace l2o
