// Where the coordinates of a mixture stand. Each group of parameters, which has a rule of its own,
// is one flat space: member after member of the mixture, task after task within a member. So a
// rule's step is one op over all members and tasks, whatever their shapes.
//
//   group g: | member 0: task 0 | task 1 | ... padding | member 1: task 0 | ... |
//
// A member's block begins at a whole tile. What pads the block before it has gradient 0.
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

  /// What one of its tasks contributes.
  double task_weight() const { return weight / (scale * optimizee->tasks()); }
};

/// Tasks of all members.
inline std::int64_t task_count(const std::vector<Member>& members) {
  std::int64_t tasks = 0;
  for (const Member& member : members) tasks += member.optimizee->tasks();
  return tasks;
}

/// A stretch of the coordinates of a group; `first` is a whole tile's.
struct CoordinateRange {
  std::int64_t first = 0;
  std::int64_t n = 0;
};

class CoordinateSpace {
 public:
  /// For members whose parameters are in the same number of groups. Throws kOutOfMemory for sizes
  /// beyond 64 bits.
  explicit CoordinateSpace(const std::vector<Member>& members);

  int groups() const { return static_cast<int>(sizes_.size()); }
  /// N of a group, padding included. May be 0.
  std::int64_t n(int group) const { return sizes_[static_cast<std::size_t>(group)]; }
  /// N of all groups.
  std::int64_t total() const;
  /// Where the member's block begins in a group.
  std::int64_t offset(int group, int member) const {
    return offsets_[static_cast<std::size_t>(group)][static_cast<std::size_t>(member)];
  }
  /// From the first coordinate of a member to the last one of the `count` members from it on,
  /// padding between them included. Of all members: all N.
  CoordinateRange range(int group, const std::vector<Member>& members, std::size_t first,
                        std::size_t count) const;
  /// What the coordinates of every tile of a group weigh in the meta-loss [tiles of n(group)].
  std::vector<float> tile_weights(int group, const std::vector<Member>& members) const;
  /// Coordinates of a member in a group.
  std::int64_t size_of(int group, const Member& member) const {
    return member.optimizee->tasks() * member.optimizee->layout().group_size(group);
  }

 private:
  std::vector<std::int64_t> sizes_;                 // [groups]
  std::vector<std::vector<std::int64_t>> offsets_;  // [groups][members]
};

}  // namespace l2o
