// A run: a rule at work on one or several tensors of parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "host/backend/buffer.h"
#include "host/capi/objects.h"
#include "host/optimizer/device_optimizer.h"

namespace l2o::capi {

class Run final : public Object {
 public:
  static constexpr const char* kKind = "run";
  const char* kind() const override { return kKind; }

  /// Tensors of sizes[i] coordinates each.
  Run(std::shared_ptr<Context> context, std::shared_ptr<SharedOptimizer> optimizer,
      const std::vector<std::int64_t>& sizes);

  Context& context() { return *context_; }
  std::size_t tensors() const { return tensors_.size(); }
  std::int64_t size(std::size_t tensor) const { return tensors_[tensor].n; }
  /// Coordinates of all tensors.
  std::int64_t n() const { return n_; }
  std::size_t state_size() const { return state_values_; }  // S * n

  /// Tensors one after the other: gradient [n], parameters [n].
  void step(const float* gradient, float* parameters);
  /// gradients[i] and parameters[i] of size(i).
  void step(const float* const* gradients, float* const* parameters);

  void set_scales(const StepScales& scales) { scales_ = scales; }
  void reset();
  void get_state(float* values) const;  // [S, n]
  void set_state(const float* values);
  void set_nan_policy(l2o_nan_policy policy);
  std::uint64_t skipped_steps() const { return skipped_steps_; }

 private:
  struct Tensor {
    std::int64_t n;
    std::int64_t first;        // the coordinates of the tensors before it
    std::size_t state_offset;  // bytes: its state starts on a tile of its own
  };

  /// gradient_of(tensor) and parameters_of(tensor) say where a tensor lies.
  template <class GradientOf, class ParametersOf>
  void step_tensors(const GradientOf& gradient_of, const ParametersOf& parameters_of);
  /// How many numbers of the gradient are not finite.
  template <class GradientOf>
  std::int64_t count_not_finite(const GradientOf& gradient_of);
  /// The tensor's part of state values [S, n], as rows of its own: calls row(from, to) with the
  /// places of row s in values and in the part.
  template <class Row>
  void for_rows(const Tensor& tensor, const Row& row) const;

  std::shared_ptr<Context> context_;
  std::shared_ptr<SharedOptimizer> source_;  // whose phi reset() takes
  std::vector<Tensor> tensors_;
  std::int64_t n_ = 0;
  std::size_t state_values_ = 0;
  DeviceOptimizer optimizer_;
  Buffer<std::byte> state_;
  Buffer<std::int64_t> not_finite_;  // [tensors]
  std::vector<std::int64_t> host_not_finite_;
  Buffer<float> cleaned_;  // [size of the largest tensor], for L2O_NAN_ZERO only
  StepScales scales_;
  l2o_nan_policy policy_ = L2O_NAN_SKIP_STEP;
  std::uint64_t skipped_steps_ = 0;
};

inline std::shared_ptr<Run> object_of(const l2o_run* handle) { return find_object_of<Run>(handle); }

}  // namespace l2o::capi
