#include "host/meta/coordinate_space.h"

#include <algorithm>
#include <numeric>

#include "host/backend/checked_size.h"
#include "host/core/error.h"
#include "kernels/op_args.h"

namespace l2o {

CoordinateSpace::CoordinateSpace(const std::vector<Member>& members) {
  const int groups = members.front().optimizee->layout().groups();
  for (int group = 0; group < groups; ++group) {
    std::int64_t end = 0;
    std::vector<std::int64_t> offsets;
    for (const Member& member : members) {
      const ParameterLayout& layout = member.optimizee->layout();
      if (layout.groups() != groups) {
        throw Error(Status::kInternal, "members of one mixture differ in their parameter groups");
      }
      const std::int64_t begin = tile_count(end) * kTile;
      const auto size = static_cast<std::int64_t>(
          checked_size({member.optimizee->tasks(), layout.group_size(group)}));
      checked_size({begin + size, sizeof(float)});
      offsets.push_back(begin);
      if (size > 0) end = begin + size;
    }
    offsets_.push_back(std::move(offsets));
    sizes_.push_back(end);
  }
}

std::int64_t CoordinateSpace::total() const {
  return std::accumulate(sizes_.begin(), sizes_.end(), std::int64_t{0});
}

CoordinateRange CoordinateSpace::range(int group, const std::vector<Member>& members,
                                       std::size_t first, std::size_t count) const {
  const std::int64_t begin = offset(group, static_cast<int>(first));
  std::int64_t end = begin;
  for (std::size_t m = first; m < first + count; ++m) {
    const std::int64_t size = size_of(group, members[m]);
    if (size > 0) end = offset(group, static_cast<int>(m)) + size;
  }
  return {begin, end - begin};
}

std::vector<float> CoordinateSpace::tile_weights(int group,
                                                 const std::vector<Member>& members) const {
  std::vector<float> weights(static_cast<std::size_t>(tile_count(n(group))));
  for (std::size_t m = 0; m < members.size(); ++m) {
    const auto first = weights.begin() + offset(group, static_cast<int>(m)) / kTile;
    std::fill(first, first + tile_count(size_of(group, members[m])),
              static_cast<float>(members[m].task_weight()));
  }
  return weights;
}

}  // namespace l2o
