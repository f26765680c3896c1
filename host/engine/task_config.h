// The members of a mixture, as configured by [task] or several [[task]] tables.
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

/// The configuration of a member of the mixture.
struct MemberConfig {
  ConfigReader options;  ///< the keys of its optimizee
  std::string label;     ///< its name in reports; unique
  int tasks = 1;         ///< per episode
  double weight = 1.0;
  bool scale_by_initial_loss = false;
  double scale = 1.0;  ///< the scale, if it is given
};

/// Reads [task] or [[task]] of a complete configuration. Throws kUsage for errors, including
/// duplicate labels. The caller creates the optimizees, which reads their keys, and calls finish().
std::vector<MemberConfig> read_members(ConfigReader& config, int default_tasks);

/// The members and their optimizees, in some of the shards of a run.
class Mixture {
 public:
  /// Tasks start at multiples of `alignment` coordinates. Throws kUsage if a group has no parameter
  /// in any member, or if a member's tasks cannot be divided equally among the shards.
  Mixture(Backend& backend, const std::vector<MemberConfig>& configs,
          const std::string& data_directory, const std::vector<ParameterGroup>& groups,
          std::int64_t alignment = 1, const Shards& shards = {});

  /// The members, each with its tasks of a shard, shard after shard.
  const std::vector<Member>& members() const { return members_; }
  /// The members of the first shard, that is, every member once.
  std::vector<Member> once() const;

 private:
  std::size_t count_;
  std::vector<std::unique_ptr<Optimizee>> optimizees_;
  std::vector<Member> members_;
};

}  // namespace l2o
