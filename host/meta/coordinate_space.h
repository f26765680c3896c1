// The layout of the coordinates of a mixture. Each group of parameters, which has its own rule, is
// one flat space, ordered by member of the mixture and by task within a member. Thus, a rule's step
// is a single op over all members and tasks, regardless of their shapes.
//
//   group g: | member 0: task 0 | task 1 | ... padding | member 1: task 0 | ... |
//
// A member's block starts at a whole tile. The padding before it has gradient 0.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/optimizee/optimizee.h"

namespace l2o {

/// A family of tasks in a mixture. The meta-loss is
///   sum over members of weight / scale * (mean over the member's tasks of sum_t w[t] f_t).
struct Member {
  Optimizee* optimizee = nullptr;
  double weight = 1.0;
  double scale = 1.0;
  std::string name = {};

  /// The weight of one of its tasks in the meta-loss.
  double task_weight() const { return weight / (scale * optimizee->tasks()); }
};

/// Number of tasks of all members.
inline std::int64_t task_count(const std::vector<Member>& members) {
  std::int64_t tasks = 0;
  for (const Member& member : members) tasks += member.optimizee->tasks();
  return tasks;
}

/// A range of coordinates of a group; `first` is the start of a tile.
struct CoordinateRange {
  std::int64_t first = 0;
  std::int64_t n = 0;
};

class CoordinateSpace {
 public:
  /// All members must have the same number of parameter groups. Throws kOutOfMemory if a size
  /// exceeds 64 bits.
  explicit CoordinateSpace(const std::vector<Member>& members);

  int groups() const { return static_cast<int>(sizes_.size()); }
  /// N of a group, including padding. May be 0.
  std::int64_t n(int group) const { return sizes_[static_cast<std::size_t>(group)]; }
  /// N of all groups.
  std::int64_t total() const;
  /// The start of the member's block in a group.
  std::int64_t offset(int group, int member) const {
    return offsets_[static_cast<std::size_t>(group)][static_cast<std::size_t>(member)];
  }
  /// The range from the first coordinate of member `first` to the last coordinate of the `count`
  /// members starting there, including the padding between them. For all members: all N.
  CoordinateRange range(int group, const std::vector<Member>& members, std::size_t first,
                        std::size_t count) const;
  /// Weights in the meta-loss of the coordinates of each tile of a group [tiles of n(group)].
  std::vector<float> tile_weights(int group, const std::vector<Member>& members) const;
  /// Number of coordinates of a member in a group.
  std::int64_t size_of(int group, const Member& member) const {
    return member.optimizee->tasks() * member.optimizee->layout().group_size(group);
  }

 private:
  std::vector<std::int64_t> sizes_;                 // [groups]
  std::vector<std::vector<std::int64_t>> offsets_;  // [groups][members]
};

}  // namespace l2o
