#include "host/optimizee/parameter_layout.h"

#include <algorithm>

#include "host/backend/checked_size.h"
#include "host/core/error.h"

namespace l2o {

int ParameterLayout::add(const std::string& name, const std::vector<std::int64_t>& shape) {
  if (std::any_of(tensors_.begin(), tensors_.end(),
                  [&](const ParameterTensor& tensor) { return tensor.name == name; })) {
    throw Error(Status::kInternal, "two parameters are named " + name);
  }
  std::int64_t size = 1;
  for (const std::int64_t extent : shape) {
    size = static_cast<std::int64_t>(checked_size({size, extent}));
  }
  tensors_.push_back({.name = name,
                      .shape = shape,
                      .size = size,
                      .first_draw = size_,
                      .group = 0,
                      .offset = group_sizes_.front()});
  group_sizes_.front() += size;
  size_ += size;
  return static_cast<int>(tensors_.size()) - 1;
}

void ParameterLayout::assign(const std::vector<ParameterGroup>& groups, std::int64_t alignment) {
  std::vector<int> group_of_tensor;
  for (const ParameterTensor& tensor : tensors_) {
    group_of_tensor.push_back(group_of(groups, tensor.name));
  }
  group_sizes_.assign(groups.size(), 0);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    tensors_[i].group = group_of_tensor[i];
    std::int64_t& size = group_sizes_[static_cast<std::size_t>(tensors_[i].group)];
    tensors_[i].offset = size;
    size += tensors_[i].size;
  }
  for (std::int64_t& size : group_sizes_) {
    size = (size + alignment - 1) / alignment * alignment;
  }
}

}  // namespace l2o
