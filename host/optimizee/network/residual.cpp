// A list inside the list of layers is a residual block: output = block(input) + input (He et al.
// 2016).
#include <fmt/format.h>

#include "host/optimizee/network/layers.h"
#include "host/optimizee/network/sequence.h"

namespace l2o {
namespace {

class Residual final : public Layer {
 public:
  Residual(const LayerSpec& spec, const ValueShape& input, NetworkPlan& plan)
      : Layer(plan, input, input), block_(spec.block, input, plan) {
    if (block_.output_shape() != input) {
      plan.error(spec,
                 fmt::format("the block outputs {} for an input of {}; expected equal shapes, "
                             "since its input is added",
                             to_text(block_.output_shape()), to_text(input)));
    }
  }

  void allocate(Backend& backend) override {
    block_.allocate(backend);
    block_adjoint_ = Buffer<float>(backend, static_cast<std::size_t>(output_size()));
  }

  /// The block's own output is kept: its last layer may read it in the backward pass.
  void forward(const LayerPass& pass, const float* input, float* output) override {
    block_.forward(pass, input);
    pass.backend.copy(output, block_.output(), bytes());
    pass.backend.add({.n = output_size(), .addend = input, .values = output});
  }

  void backward(const LayerPass& pass, const LayerAdjoints& values) override {
    if (values.input_adjoint == nullptr) {
      block_.backward(pass, values.input, values.output_adjoint, nullptr);
      return;
    }
    // The block may overwrite the adjoint of its output, which is needed again below.
    pass.backend.copy(block_adjoint_.data(), values.output_adjoint, bytes());
    block_.backward(pass, values.input, block_adjoint_.data(), values.input_adjoint);
    pass.backend.add(
        {.n = output_size(), .addend = values.output_adjoint, .values = values.input_adjoint});
  }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(output_size()) * sizeof(float); }

  Sequence block_;
  Buffer<float> block_adjoint_;  // like the output
};

}  // namespace

std::unique_ptr<Layer> make_residual(const LayerSpec& spec, const ValueShape& input,
                                     NetworkPlan& plan) {
  return std::make_unique<Residual>(spec, input, plan);
}

}  // namespace l2o
