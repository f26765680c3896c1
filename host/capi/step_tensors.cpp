#include "host/capi/step_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace l2o::capi {
namespace {

/// A range of bytes that a call reads, or reads and writes.
struct Range {
  std::uintptr_t begin, end;
  bool is_written;
};

Range range_of(const void* memory, std::size_t bytes, bool is_written) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  return {begin, begin + bytes, is_written};
}

/// Throws kUsage if a written range overlaps any other: the result would depend on the order of
/// tiles.
void require_disjoint(const Backend& backend, const CellConfig& cell,
                      std::span<const l2o_tensor> tensors) {
  std::vector<Range> ranges;
  ranges.reserve(3 * tensors.size());
  for (const l2o_tensor& tensor : tensors) {
    const std::size_t bytes = tensor.n * sizeof(float);
    const auto n = static_cast<std::int64_t>(tensor.n);
    ranges.push_back(range_of(tensor.gradient, bytes, false));
    ranges.push_back(range_of(tensor.parameters, bytes, true));
    ranges.push_back(range_of(tensor.state, backend.state_bytes(cell, n), true));
  }
  std::erase_if(ranges, [](const Range& range) { return range.begin == range.end; });
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::uintptr_t written_end = 0, end = 0;  // ends of the ranges so far
  for (const Range& range : ranges) {
    if (range.begin < (range.is_written ? end : written_end)) {
      throw Error(Status::kUsage, "parameters or a state overlap other memory of the call");
    }
    end = std::max(end, range.end);
    if (range.is_written) written_end = std::max(written_end, range.end);
  }
}

/// Counts the non-finite numbers in the gradients. Waits.
std::int64_t count_not_finite(Context& context, std::span<const l2o_tensor> tensors) {
  Backend& backend = context.backend();
  StepScratch& scratch = context.step_scratch();
  if (scratch.host_not_finite.size() < tensors.size()) {
    scratch.not_finite = Buffer<std::int64_t>(backend, tensors.size());
    scratch.host_not_finite.resize(tensors.size());
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    backend.count_not_finite({.n = static_cast<std::int64_t>(tensors[i].n),
                              .values = tensors[i].gradient,
                              .count = scratch.not_finite.data() + i});
  }
  backend.download(scratch.host_not_finite.data(), scratch.not_finite.data(),
                   tensors.size() * sizeof(std::int64_t));
  const auto first = scratch.host_not_finite.begin();
  return std::accumulate(first, first + static_cast<std::ptrdiff_t>(tensors.size()),
                         std::int64_t{0});
}

/// Memory for the largest tensor without its non-finite gradients.
float* cleaned_gradient(Context& context, std::span<const l2o_tensor> tensors) {
  std::size_t largest = 0;
  for (const l2o_tensor& tensor : tensors) largest = std::max(largest, tensor.n);
  Buffer<float>& cleaned = context.step_scratch().cleaned;
  if (cleaned.size() < largest) cleaned = Buffer<float>(context.backend(), largest);
  return cleaned.data();
}

}  // namespace

void require_nan_policy(l2o_nan_policy policy, const char* name) {
  if (policy < L2O_NAN_SKIP_STEP || policy > L2O_NAN_PROPAGATE) {
    throw Error(Status::kUsage, fmt::format("{} is {}; expected an l2o_nan_policy", name,
                                            static_cast<int>(policy)));
  }
}

bool step_tensors(Context& context, const DeviceOptimizer& optimizer,
                  std::span<const l2o_tensor> tensors, const StepRequest& request) {
  Backend& backend = context.backend();
  require_disjoint(backend, optimizer.cell(), tensors);
  if (request.nan_policy == L2O_NAN_SKIP_STEP || request.nan_policy == L2O_NAN_ERROR) {
    const std::int64_t bad = count_not_finite(context, tensors);
    if (bad > 0 && request.nan_policy == L2O_NAN_ERROR) {
      std::size_t n = 0;
      for (const l2o_tensor& tensor : tensors) n += tensor.n;
      throw Error(Status::kNotFinite, fmt::format("{} of the {} numbers in the gradient are not "
                                                  "finite; nothing was changed",
                                                  bad, n));
    }
    if (bad > 0) return false;
  }
  float* const cleaned =
      request.nan_policy == L2O_NAN_ZERO ? cleaned_gradient(context, tensors) : nullptr;
  for (const l2o_tensor& tensor : tensors) {
    const auto n = static_cast<std::int64_t>(tensor.n);
    const float* gradient = tensor.gradient;
    if (cleaned != nullptr) {
      backend.zero_not_finite({.n = n, .values = gradient, .out = cleaned});
      gradient = cleaned;
    }
    backend.step({.cell = optimizer.cell(),
                  .n = n,
                  .packed = optimizer.packed(),
                  .gradient = gradient,
                  .state = tensor.state,
                  .theta = tensor.parameters,
                  .gradient_scale = request.scales.gradient,
                  .update_scale = request.scales.update,
                  .weight_decay = request.scales.weight_decay});
  }
  return true;
}

}  // namespace l2o::capi
