// batch_norm: every channel to mean 0 and variance 1 over all pixels of the minibatch, then scaled
// and shifted (Ioffe & Szegedy 2015).
#include "host/optimizee/network/layers.h"

namespace l2o {
namespace {

class BatchNorm final : public Layer {
 public:
  BatchNorm(const LayerSpec& spec, const ValueShape& input, NetworkPlan& plan)
      : Layer(plan, input, input), activation_(spec.activation) {
    if (samples() < 2) {
      plan.error(spec,
                 "the one value of each channel in a minibatch of one row; expected several, by a "
                 "larger batch_size");
    }
    const std::string name = plan.next_name("batch_norm");
    scale_ = plan.add({name + ".scale", {input.channels}, ParameterRole::kScale});
    shift_ = plan.add({name + ".shift", {input.channels}, ParameterRole::kShift});
  }

  void allocate(Backend& backend) override {
    const auto size = static_cast<std::size_t>(std::int64_t{tasks()} * input_shape().channels);
    mean_ = Buffer<float>(backend, size);
    inverse_deviation_ = Buffer<float>(backend, size);
  }

  void forward(const LayerPass& pass, const float* input, float* output) override {
    BatchNormArgs args;
    args.activation = activation_;
    args.batch = tasks();
    args.rows = samples();
    args.columns = input_shape().channels;
    args.input = input;
    args.scale = pass.parameter(scale_);
    args.scale_stride = pass.stride_of(scale_);
    args.shift = pass.parameter(shift_);
    args.shift_stride = pass.stride_of(shift_);
    args.output = output;
    args.mean = mean_.data();
    args.inverse_deviation = inverse_deviation_.data();
    pass.backend.batch_norm(args);
  }

  void backward(const LayerPass& pass, const LayerAdjoints& values) override {
    BatchNormBackwardArgs args;
    args.activation = activation_;
    args.batch = tasks();
    args.rows = samples();
    args.columns = input_shape().channels;
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
    pass.backend.batch_norm_backward(args);
  }

 private:
  /// Values of a channel that its statistics are over.
  std::int64_t samples() const { return rows() * input_shape().pixels(); }

  Activation activation_;
  int scale_;                               // [channels]
  int shift_;                               // [channels]
  Buffer<float> mean_, inverse_deviation_;  // [B, channels]
};

}  // namespace

std::unique_ptr<Layer> make_batch_norm(const LayerSpec& spec, const ValueShape& input,
                                       NetworkPlan& plan) {
  return std::make_unique<BatchNorm>(spec, input, plan);
}

}  // namespace l2o
