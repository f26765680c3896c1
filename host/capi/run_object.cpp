#include "host/capi/run_object.h"

#include <algorithm>

#include "host/backend/checked_size.h"
#include "kernels/cells/cell_list.h"

namespace l2o::capi {

Run::Run(std::shared_ptr<Context> context, std::shared_ptr<SharedOptimizer> optimizer,
         const std::vector<std::int64_t>& sizes)
    : context_(std::move(context)),
      source_(std::move(optimizer)),
      optimizer_(context_->on_device(source_)) {
  Backend& backend = context_->backend();
  std::size_t state_bytes = 0;
  for (const std::int64_t size : sizes) {
    // Both sums are checked after every tensor, so neither can overflow.
    n_ = to_size(static_cast<std::size_t>(n_) + static_cast<std::size_t>(size), "sum of sizes");
    state_bytes += backend.state_bytes(optimizer_->cell(), size);
    require_bytes(state_bytes, "bytes of state");
  }
  state_values_ = checked_size({cell_state_size(optimizer_->cell()), n_});
  state_ = Buffer<std::byte>(backend, state_bytes);
  state_.fill_zero();
  std::byte* state = state_.data();
  for (const std::int64_t size : sizes) {
    tensors_.push_back({.n = static_cast<std::size_t>(size),
                        .gradient = nullptr,
                        .parameters = nullptr,
                        .state = state});
    state += backend.state_bytes(optimizer_->cell(), size);
  }
}

void Run::step(const float* gradient, float* parameters) {
  for (l2o_tensor& tensor : tensors_) {
    tensor.gradient = gradient;
    tensor.parameters = parameters;
    gradient += tensor.n;
    parameters += tensor.n;
  }
  step_tensors();
}

void Run::step(const float* const* gradients, float* const* parameters) {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    tensors_[i].gradient = gradients[i];
    tensors_[i].parameters = parameters[i];
  }
  step_tensors();
}

void Run::step_tensors() {
  if (!capi::step_tensors(*context_, *optimizer_, tensors_, request_)) ++skipped_steps_;
}

void Run::reset() {
  optimizer_ = context_->on_device(source_);
  state_.fill_zero();
}

template <class Row>
void Run::for_rows(std::int64_t first, std::int64_t count, const Row& row) const {
  const int state_size = cell_state_size(optimizer_->cell());
  for (int s = 0; s < state_size; ++s) row(s * n_ + first, s * count);
}

void Run::get_state(float* values) const {
  std::vector<float> part;  // [S, n of the tensor]
  std::int64_t first = 0;
  for (const l2o_tensor& tensor : tensors_) {
    const auto n = static_cast<std::int64_t>(tensor.n);
    part.resize(checked_size({cell_state_size(optimizer_->cell()), n}));
    context_->backend().export_state(optimizer_->cell(), n, tensor.state, part.data());
    for_rows(first, n, [&](std::int64_t full_offset, std::int64_t part_offset) {
      std::copy_n(part.begin() + part_offset, n, values + full_offset);
    });
    first += n;
  }
}

void Run::set_state(const float* values) {
  if (request_.nan_policy != L2O_NAN_PROPAGATE) require_finite(values, state_values_, "values");
  std::vector<float> part;
  part.reserve(state_values_);  // so that nothing can fail halfway
  std::int64_t first = 0;
  for (const l2o_tensor& tensor : tensors_) {
    const auto n = static_cast<std::int64_t>(tensor.n);
    part.resize(checked_size({cell_state_size(optimizer_->cell()), n}));
    for_rows(first, n, [&](std::int64_t full_offset, std::int64_t part_offset) {
      std::copy_n(values + full_offset, n, part.begin() + part_offset);
    });
    context_->backend().import_state(optimizer_->cell(), n, part.data(), tensor.state);
    first += n;
  }
}

}  // namespace l2o::capi
