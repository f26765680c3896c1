// A run: a rule applied to one or several tensors of parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "host/backend/buffer.h"
#include "host/capi/step_tensors.h"

namespace l2o::capi {

class Run final : public Object {
 public:
  static constexpr const char* kKind = "run";
  const char* kind() const override { return kKind; }

  /// Tensor i has sizes[i] coordinates.
  Run(std::shared_ptr<Context> context, std::shared_ptr<SharedOptimizer> optimizer,
      const std::vector<std::int64_t>& sizes);

  Context& context() { return *context_; }
  std::size_t tensors() const { return tensors_.size(); }
  std::size_t size(std::size_t tensor) const { return tensors_[tensor].n; }
  /// Coordinates of all tensors.
  std::int64_t n() const { return n_; }
  std::size_t state_size() const { return state_values_; }  // S * n

  /// Contiguous tensors: gradient [n], parameters [n].
  void step(const float* gradient, float* parameters);
  /// gradients[i] and parameters[i] have size(i) values.
  void step(const float* const* gradients, float* const* parameters);

  void set_scales(const StepScales& scales) { request_.scales = scales; }
  void reset();
  void get_state(float* values) const;  // [S, n]
  void set_state(const float* values);
  void set_nan_policy(l2o_nan_policy policy) { request_.nan_policy = policy; }
  std::uint64_t skipped_steps() const { return skipped_steps_; }

 private:
  /// Steps the tensors at their current addresses.
  void step_tensors();
  /// For each of the S state values, calls row(full_offset, part_offset): where the values of
  /// coordinates [first, first + count) start in the full array [S, n] and in the part [S, count].
  template <class Row>
  void for_rows(std::int64_t first, std::int64_t count, const Row& row) const;

  std::shared_ptr<Context> context_;
  std::shared_ptr<SharedOptimizer> source_;  // reset() takes phi from here
  // Each tensor's gradient and parameters are the arguments of the current step; its state points
  // into state_, at the start of a tile.
  std::vector<l2o_tensor> tensors_;
  std::int64_t n_ = 0;
  std::size_t state_values_ = 0;
  std::shared_ptr<const DeviceOptimizer> optimizer_;
  Buffer<std::byte> state_;
  StepRequest request_;
  std::uint64_t skipped_steps_ = 0;
};

inline std::shared_ptr<Run> object_of(const l2o_run* handle) { return find_object_of<Run>(handle); }

}  // namespace l2o::capi
