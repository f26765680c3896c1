// layer_norm: all values of a row to mean 0 and variance 1 together, then each scaled and shifted
// on its own (Ba, Kiros, Hinton 2016).
#include "host/optimizee/network/layers.h"

namespace l2o {
namespace {

class LayerNorm final : public Layer {
 public:
  LayerNorm(const LayerSpec& spec, const ValueShape& input, NetworkPlan& plan)
      : Layer(plan, input, input), activation_(spec.activation) {
    if (columns() < 2) plan.error(spec, "an input of one value; expected several");
    const std::string name = plan.next_name("layer_norm");
    scale_ = plan.add({name + ".scale", shape_of(input), ParameterRole::kScale});
    shift_ = plan.add({name + ".shift", shape_of(input), ParameterRole::kShift});
  }

  void allocate(Backend& backend) override {
    const auto size = static_cast<std::size_t>(std::int64_t{tasks()} * rows());
    mean_ = Buffer<float>(backend, size);
    inverse_deviation_ = Buffer<float>(backend, size);
  }

  void forward(const LayerPass& pass, const float* input, float* output) override {
    LayerNormArgs args;
    args.activation = activation_;
    args.batch = tasks();
    args.rows = rows();
    args.columns = columns();
    args.input = input;
    args.scale = pass.parameter(scale_);
    args.scale_stride = pass.stride_of(scale_);
    args.shift = pass.parameter(shift_);
    args.shift_stride = pass.stride_of(shift_);
    args.output = output;
    args.mean = mean_.data();
    args.inverse_deviation = inverse_deviation_.data();
    pass.backend.layer_norm(args);
  }

  void backward(const LayerPass& pass, const LayerAdjoints& values) override {
    LayerNormBackwardArgs args;
    args.activation = activation_;
    args.batch = tasks();
    args.rows = rows();
    args.columns = columns();
    args.input = values.input;
    args.output = values.output;
    args.mean = mean_.data();
    args.inverse_deviation = inverse_deviation_.data();
    args.scale = pass.parameter(scale_);
    args.scale_stride = pass.stride_of(scale_);
    args.output_adjoint = values.output_adjoint;
    args.input_adjoint = values.input_adjoint;
    args.scale_gradient = pass.gradient_of(scale_);
    args.scale_gradient_stride = pass.stride_of(scale_);
    args.shift_gradient = pass.gradient_of(shift_);
    args.shift_gradient_stride = pass.stride_of(shift_);
    pass.backend.layer_norm_backward(args);
  }

 private:
  static std::vector<std::int64_t> shape_of(const ValueShape& input) {
    if (input.pixels() == 1) return {input.channels};
    return {input.height, input.width, input.channels};
  }
  int columns() const { return static_cast<int>(input_shape().size()); }

  Activation activation_;
  int scale_;                               // [height, width, channels]
  int shift_;                               // the same
  Buffer<float> mean_, inverse_deviation_;  // [B, R]
};

}  // namespace

std::unique_ptr<Layer> make_layer_norm(const LayerSpec& spec, const ValueShape& input,
                                       NetworkPlan& plan) {
  return std::make_unique<LayerNorm>(spec, input, plan);
}

}  // namespace l2o
