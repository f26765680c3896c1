// The members of a mixture, as [task] or several [[task]] say.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "host/comm/shards.h"
#include "host/core/config.h"
#include "host/meta/coordinate_space.h"
#include "host/optimizee/optimizee.h"

namespace l2o {

/// A member of the mixture: what is its own, beside the keys of its optimizee.
struct MemberConfig {
  ConfigReader options;  ///< the keys of its optimizee
  std::string label;     ///< what reports call it; unique
  int tasks = 1;         ///< of an episode
  double weight = 1.0;
  bool scale_by_initial_loss = false;
  double scale = 1.0;  ///< where it is given
};

/// Reads [task] or [[task]] of a whole configuration. Throws kUsage, for two members of one label
/// as well. The keys of the optimizees, and finish(), are left to whoever makes them.
std::vector<MemberConfig> read_members(ConfigReader& config, int default_tasks);

/// The members with their optimizees, in some of the shards of a run.
class Mixture {
 public:
  /// Tasks begin at multiples of `alignment` coordinates. Throws kUsage where a group has no
  /// parameter in any member, or a member's tasks are not whole shards.
  Mixture(Backend& backend, const std::vector<MemberConfig>& configs,
          const std::string& data_directory, const std::vector<ParameterGroup>& groups,
          std::int64_t alignment = 1, const Shards& shards = {});

  /// With their tasks of a shard, shard after shard.
  const std::vector<Member>& members() const { return members_; }
  /// Those of the first shard: every member once.
  std::vector<Member> once() const;

 private:
  std::size_t count_;
  std::vector<std::unique_ptr<Optimizee>> optimizees_;
  std::vector<Member> members_;
};

}  // namespace l2o
