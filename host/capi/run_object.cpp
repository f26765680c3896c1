#include "host/capi/run_object.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "host/backend/checked_size.h"
#include "kernels/cells/cell_list.h"

namespace l2o::capi {

Run::Run(std::shared_ptr<Context> context, std::shared_ptr<SharedOptimizer> optimizer,
         const std::vector<std::int64_t>& sizes)
    : context_(std::move(context)),
      source_(std::move(optimizer)),
      optimizer_(context_->backend(), *source_->snapshot()),
      not_finite_(context_->backend(), sizes.size()),
      host_not_finite_(sizes.size()) {
  Backend& backend = context_->backend();
  std::size_t state_bytes = 0;
  for (const std::int64_t size : sizes) {
    tensors_.push_back({size, n_, state_bytes});
    // Sums of sizes that a byte count of their own still holds: neither can wrap around.
    n_ = to_size(static_cast<std::size_t>(n_) + static_cast<std::size_t>(size), "sum of sizes");
    state_bytes += backend.state_bytes(optimizer_.cell(), size);
    to_size(state_bytes, "bytes of state");
  }
  state_values_ = checked_size({cell_state_size(optimizer_.cell()), n_});
  state_ = Buffer<std::byte>(backend, state_bytes);
  state_.fill_zero();
}

template <class GradientOf>
std::int64_t Run::count_not_finite(const GradientOf& gradient_of) {
  Backend& backend = context_->backend();
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    backend.count_not_finite({.n = tensors_[i].n,
                              .values = gradient_of(tensors_[i], i),
                              .count = not_finite_.data() + i});
  }
  backend.download(host_not_finite_.data(), not_finite_.data(), not_finite_.bytes());
  return std::accumulate(host_not_finite_.begin(), host_not_finite_.end(), std::int64_t{0});
}

template <class GradientOf, class ParametersOf>
void Run::step_tensors(const GradientOf& gradient_of, const ParametersOf& parameters_of) {
  Backend& backend = context_->backend();
  if (policy_ == L2O_NAN_SKIP_STEP || policy_ == L2O_NAN_ERROR) {
    const std::int64_t bad = count_not_finite(gradient_of);
    if (bad > 0 && policy_ == L2O_NAN_ERROR) {
      throw Error(Status::kNotFinite, fmt::format("{} of the {} numbers of the gradient are not "
                                                  "finite; nothing was changed",
                                                  bad, n_));
    }
    if (bad > 0) {
      ++skipped_steps_;
      return;
    }
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const Tensor& tensor = tensors_[i];
    const float* gradient = gradient_of(tensor, i);
    if (policy_ == L2O_NAN_ZERO) {
      backend.zero_not_finite({.n = tensor.n, .values = gradient, .out = cleaned_.data()});
      gradient = cleaned_.data();
    }
    backend.step({.cell = optimizer_.cell(),
                  .n = tensor.n,
                  .packed = optimizer_.packed(),
                  .gradient = gradient,
                  .state = state_.data() + tensor.state_offset,
                  .theta = parameters_of(tensor, i),
                  .gradient_scale = scales_.gradient,
                  .update_scale = scales_.update,
                  .weight_decay = scales_.weight_decay});
  }
}

void Run::step(const float* gradient, float* parameters) {
  step_tensors([=](const Tensor& tensor, std::size_t) { return gradient + tensor.first; },
               [=](const Tensor& tensor, std::size_t) { return parameters + tensor.first; });
}

void Run::step(const float* const* gradients, float* const* parameters) {
  step_tensors([=](const Tensor&, std::size_t i) { return gradients[i]; },
               [=](const Tensor&, std::size_t i) { return parameters[i]; });
}

void Run::reset() {
  DeviceOptimizer fresh(context_->backend(), *source_->snapshot());
  optimizer_ = std::move(fresh);
  state_.fill_zero();
}

template <class Row>
void Run::for_rows(const Tensor& tensor, const Row& row) const {
  const int state_size = cell_state_size(optimizer_.cell());
  for (int s = 0; s < state_size; ++s) row(s * n_ + tensor.first, s * tensor.n);
}

void Run::get_state(float* values) const {
  std::vector<float> part;  // [S, n of the tensor]
  for (const Tensor& tensor : tensors_) {
    part.resize(checked_size({cell_state_size(optimizer_.cell()), tensor.n}));
    context_->backend().export_state(optimizer_.cell(), tensor.n,
                                     state_.data() + tensor.state_offset, part.data());
    for_rows(tensor, [&](std::int64_t place, std::int64_t own) {
      std::copy_n(part.begin() + own, tensor.n, values + place);
    });
  }
}

void Run::set_state(const float* values) {
  if (policy_ != L2O_NAN_PROPAGATE) require_finite(values, state_values_, "values");
  std::vector<float> part;
  part.reserve(state_values_);  // so that nothing can fail half way
  for (const Tensor& tensor : tensors_) {
    part.resize(checked_size({cell_state_size(optimizer_.cell()), tensor.n}));
    for_rows(tensor, [&](std::int64_t place, std::int64_t own) {
      std::copy_n(values + place, tensor.n, part.begin() + own);
    });
    context_->backend().import_state(optimizer_.cell(), tensor.n, part.data(),
                                     state_.data() + tensor.state_offset);
  }
}

void Run::set_nan_policy(l2o_nan_policy policy) {
  if (policy == L2O_NAN_ZERO && cleaned_.data() == nullptr) {
    std::int64_t largest = 0;
    for (const Tensor& tensor : tensors_) largest = std::max(largest, tensor.n);
    cleaned_ = Buffer<float>(context_->backend(), static_cast<std::size_t>(largest));
  }
  policy_ = policy;
}

}  // namespace l2o::capi
