#include "host/optimizee/network/network_plan.h"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "host/backend/checked_size.h"
#include "host/optimizee/network/layer.h"

namespace l2o {

std::string to_text(const ValueShape& shape) {
  return fmt::format("{} x {} x {}", shape.height, shape.width, shape.channels);
}

Error layer_error(const std::string& place, const LayerSpec& spec, const std::string& what) {
  return {Status::kUsage,
          fmt::format("{}: layer {} \"{}\": {}", place, spec.number, spec.text, what)};
}

std::string NetworkPlan::next_name(const std::string& kind) {
  return fmt::format("{}{}", kind, counts_[kind]++);
}

int NetworkPlan::add(NetworkParameter parameter) {
  parameters_.push_back(std::move(parameter));
  return static_cast<int>(parameters_.size()) - 1;
}

std::unique_ptr<Layer> NetworkPlan::make(const LayerSpec& spec, const ValueShape& input) {
  std::unique_ptr<Layer> layer = spec.kind->make(spec, input, *this);
  const ValueShape& output = layer->output_shape();
  // Ops count the values of a row, and the pixels of a minibatch, in an int.
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  if (output.size() > kMost || rows_ * output.pixels() > kMost) {
    error(spec, fmt::format("an output of {} for each of {} rows; expected at most {} values per "
                            "row and {} pixels in all rows",
                            to_text(output), rows_, kMost, kMost));
  }
  checked_size({tasks_, rows_, output.size(), sizeof(float)});
  return layer;
}

void NetworkPlan::check_window(const LayerSpec& spec, int kernel, const ValueShape& input) const {
  if (kernel > input.height || kernel > input.width) {
    error(spec, fmt::format("the window of {0} x {0} is larger than its input of {1}", kernel,
                            to_text(input)));
  }
}

void NetworkPlan::error(const LayerSpec& spec, const std::string& what) const {
  throw layer_error(place_, spec, what);
}

}  // namespace l2o
