// The tensors that the parameters of a task consist of, and where they are stored.
//
// Tensors belong to groups; each group has its own update rule, and usually there is one. The
// parameters of a batch are stored group by group, within a group task by task, within a task
// tensor by tensor: value i of a tensor of task b is at
//   blocks[group] + b * group_size(group) + offset + i.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/core/parameter_group.h"

namespace l2o {

/// Parameters, or their gradients, of a batch of B tasks: for every group the backend memory
/// [B, group_size(group)] that holds them.
using ParameterBlocks = std::span<float* const>;
using ConstParameterBlocks = std::span<const float* const>;

struct ParameterTensor {
  std::string name;                 ///< unique in its task: "conv0.weight"
  std::vector<std::int64_t> shape;  ///< row-major
  std::int64_t size = 0;            ///< product of the shape
  std::int64_t first_draw = 0;      ///< number of values of all tensors before it, in any group
  int group = 0;
  std::int64_t offset = 0;  ///< position in its group's parameters of a task
};

class ParameterLayout {
 public:
  /// Appends a tensor to group 0; returns its index. Throws kOutOfMemory if a product of sizes
  /// exceeds 2^63, kInternal if the name already exists.
  int add(const std::string& name, const std::vector<std::int64_t>& shape);
  /// Puts every tensor into its group; the distance between tasks becomes a multiple of
  /// `alignment`. Throws kUsage, naming the tensor, if none or several groups match it.
  void assign(const std::vector<ParameterGroup>& groups, std::int64_t alignment = 1);

  const std::vector<ParameterTensor>& tensors() const { return tensors_; }
  const ParameterTensor& tensor(int index) const {
    return tensors_[static_cast<std::size_t>(index)];
  }
  int groups() const { return static_cast<int>(group_sizes_.size()); }
  /// Coordinates of one task in the group, padding included: the distance between tasks. May be 0.
  std::int64_t group_size(int group) const { return group_sizes_[static_cast<std::size_t>(group)]; }
  /// Coordinates of one task, without padding.
  std::int64_t size() const { return size_; }

  /// The beginning of a tensor of the first task; the next task's is stride_of(index) further on.
  template <class Value>
  Value* data(int index, std::span<Value* const> blocks) const {
    return blocks[static_cast<std::size_t>(tensor(index).group)] + tensor(index).offset;
  }
  std::int64_t stride_of(int index) const { return group_size(tensor(index).group); }

 private:
  std::vector<ParameterTensor> tensors_;
  std::vector<std::int64_t> group_sizes_ = {0};
  std::int64_t size_ = 0;
};

}  // namespace l2o
