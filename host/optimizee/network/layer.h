// The interface of a network's layer. The values between layers are [B, R, height, width, channels]
// for R rows of a minibatch of each of B tasks, channels fastest.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/backend/buffer.h"
#include "host/optimizee/network/network_plan.h"
#include "host/optimizee/parameter_layout.h"

namespace l2o {

/// The parameters of one evaluation. The address of a tensor is looked up each time: parameters may
/// be put into groups after the network was made.
struct LayerPass {
  Backend& backend;
  const ParameterLayout& layout;
  ConstParameterBlocks theta;
  ParameterBlocks gradient;

  const float* parameter(int tensor) const { return layout.data(tensor, theta); }
  float* gradient_of(int tensor) const { return layout.data(tensor, gradient); }
  std::int64_t stride_of(int tensor) const { return layout.stride_of(tensor); }
};

/// The inputs and outputs of a layer's backward pass, each of the shape of its input or output.
struct LayerAdjoints {
  const float* input = nullptr;
  const float* output = nullptr;    // from forward()
  float* output_adjoint = nullptr;  // d loss / d output; may be overwritten
  float* input_adjoint = nullptr;   // d loss / d input, overwritten; null for the first layer
};

class Layer {
 public:
  /// A constructor checks the shape of its input and adds its parameters to the plan, and allocates
  /// no backend memory. Throws kUsage via NetworkPlan::error().
  Layer(const NetworkPlan& plan, const ValueShape& input, const ValueShape& output)
      : tasks_(plan.tasks()), rows_(plan.rows()), input_(input), output_(output) {}
  virtual ~Layer() = default;

  const ValueShape& output_shape() const { return output_; }

  /// Allocates the memory needed besides its output: once, when the whole network is valid.
  virtual void allocate(Backend& /*backend*/) {}
  virtual void forward(const LayerPass& pass, const float* input, float* output) = 0;
  /// Writes the gradients of all its parameters.
  virtual void backward(const LayerPass& pass, const LayerAdjoints& values) = 0;

 protected:
  int tasks() const { return tasks_; }
  int rows() const { return rows_; }
  const ValueShape& input_shape() const { return input_; }
  /// Values of all tasks and rows.
  std::int64_t input_size() const { return std::int64_t{tasks_} * rows_ * input_.size(); }
  std::int64_t output_size() const { return std::int64_t{tasks_} * rows_ * output_.size(); }

 private:
  int tasks_, rows_;
  ValueShape input_, output_;
};

}  // namespace l2o
