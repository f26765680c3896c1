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
    tensors_.push_back({size, n_, state_bytes});
    // Sums of sizes that a byte count of their own still holds: neither can wrap around.
    n_ = to_size(static_cast<std::size_t>(n_) + static_cast<std::size_t>(size), "sum of sizes");
    state_bytes += backend.state_bytes(optimizer_->cell(), size);
    to_size(state_bytes, "bytes of state");
  }
  state_values_ = checked_size({cell_state_size(optimizer_->cell()), n_});
  state_ = Buffer<std::byte>(backend, state_bytes);
  state_.fill_zero();
  for (const Tensor& tensor : tensors_) {
    pointers_.push_back({.n = static_cast<std::size_t>(tensor.n),
                         .gradient = nullptr,
                         .parameters = nullptr,
                         .state = state_.data() + tensor.state_offset});
  }
}

void Run::step(const float* gradient, float* parameters) {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    pointers_[i].gradient = gradient + tensors_[i].first;
    pointers_[i].parameters = parameters + tensors_[i].first;
  }
  step_pointers();
}

void Run::step(const float* const* gradients, float* const* parameters) {
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    pointers_[i].gradient = gradients[i];
    pointers_[i].parameters = parameters[i];
  }
  step_pointers();
}

void Run::step_pointers() {
  if (!step_tensors(*context_, *optimizer_, pointers_, request_)) ++skipped_steps_;
}

void Run::reset() {
  optimizer_ = context_->on_device(source_);
  state_.fill_zero();
}

template <class Row>
void Run::for_rows(const Tensor& tensor, const Row& row) const {
  const int state_size = cell_state_size(optimizer_->cell());
  for (int s = 0; s < state_size; ++s) row(s * n_ + tensor.first, s * tensor.n);
}

void Run::get_state(float* values) const {
  std::vector<float> part;  // [S, n of the tensor]
  for (const Tensor& tensor : tensors_) {
    part.resize(checked_size({cell_state_size(optimizer_->cell()), tensor.n}));
    context_->backend().export_state(optimizer_->cell(), tensor.n,
                                     state_.data() + tensor.state_offset, part.data());
    for_rows(tensor, [&](std::int64_t place, std::int64_t own) {
      std::copy_n(part.begin() + own, tensor.n, values + place);
    });
  }
}

void Run::set_state(const float* values) {
  if (request_.nan_policy != L2O_NAN_PROPAGATE) require_finite(values, state_values_, "values");
  std::vector<float> part;
  part.reserve(state_values_);  // so that nothing can fail half way
  for (const Tensor& tensor : tensors_) {
    part.resize(checked_size({cell_state_size(optimizer_->cell()), tensor.n}));
    for_rows(tensor, [&](std::int64_t place, std::int64_t own) {
      std::copy_n(values + place, tensor.n, part.begin() + own);
    });
    context_->backend().import_state(optimizer_->cell(), tensor.n, part.data(),
                                     state_.data() + tensor.state_offset);
  }
}

}  // namespace l2o::capi
