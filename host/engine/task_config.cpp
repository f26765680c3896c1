#include "host/engine/task_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "host/core/error.h"
#include "host/core/text.h"
#include "host/engine/limits.h"

namespace l2o {
namespace {

/// A label is part of lines, tables, plots and file names.
std::string read_label(ConfigReader& task, const std::string& default_label) {
  std::string label = task.text("label", default_label);
  if (std::any_of(label.begin(), label.end(), is_control)) {
    throw Error(Status::kUsage, task.place("label") + ": expected text without control characters");
  }
  return label;
}

MemberConfig read_member(ConfigReader task, const std::string& default_label, int default_tasks) {
  MemberConfig member{.options = task, .label = read_label(task, default_label)};
  member.tasks = static_cast<int>(task.integer("tasks", default_tasks, 1, kMaxTasks));
  member.weight = task.number("weight", 1.0, 1e-9, 1e9);
  if (task.is_text("scale")) {
    task.choice("scale", "initial", {"initial"});
    member.scale_by_initial_loss = true;
  } else {
    member.scale = task.number("scale", 1.0, 1e-30, 1e30);
  }
  return member;
}

/// Throws kUsage if the tasks cannot be divided equally.
int tasks_of_shard(const MemberConfig& member, std::size_t shards) {
  const auto tasks = static_cast<std::size_t>(member.tasks);
  if (tasks % shards == 0) return static_cast<int>(tasks / shards);
  throw Error(
      Status::kUsage,
      fmt::format("task {}: its {} tasks cannot be divided into train.shards = {} equal shards; "
                  "expected a multiple of {} tasks",
                  member.label, tasks, shards, shards));
}

}  // namespace

std::vector<MemberConfig> read_members(ConfigReader& config, int default_tasks) {
  config.require_table("task", "[task] table; expected one that describes the tasks");
  std::vector<ConfigReader> tables = config.tables("task");
  std::vector<std::string> names;
  names.reserve(tables.size());
  for (ConfigReader& task : tables) names.push_back(task.text("name", ""));

  std::vector<MemberConfig> members;
  std::set<std::string> labels;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const bool is_only = std::count(names.begin(), names.end(), names[i]) == 1;
    members.push_back(read_member(tables[i], is_only ? names[i] : fmt::format("{}-{}", names[i], i),
                                  default_tasks));
    if (!labels.insert(members.back().label).second) {
      throw Error(Status::kUsage,
                  fmt::format("two [[task]] tables have the label \"{}\"; expected a unique "
                              "label for each",
                              members.back().label));
    }
  }
  return members;
}

Mixture::Mixture(Backend& backend, const std::vector<MemberConfig>& configs,
                 const std::string& data_directory, const std::vector<ParameterGroup>& groups,
                 std::int64_t alignment, const Shards& shards)
    : count_(configs.size()) {
  for (std::size_t shard = 0; shard < shards.local; ++shard) {
    for (const MemberConfig& config : configs) {
      const int tasks = tasks_of_shard(config, shards.count);
      ConfigReader options = config.options;
      optimizees_.push_back(make_optimizee({backend, tasks, data_directory}, options));
      optimizees_.back()->assign_groups(groups, alignment);
      members_.push_back({.optimizee = optimizees_.back().get(),
                          .weight = config.weight,
                          .scale = config.scale,
                          .name = config.label});
    }
  }
  // A pattern without a match is probably a typo: its rule would never be trained.
  for (int group = 0; group < static_cast<int>(groups.size()); ++group) {
    const bool is_used = std::any_of(members_.begin(), members_.end(), [&](const Member& member) {
      return member.optimizee->layout().group_size(group) > 0;
    });
    if (is_used) continue;
    std::set<std::string> tensors;
    for (const Member& member : members_) {
      for (const ParameterTensor& tensor : member.optimizee->layout().tensors()) {
        tensors.insert(tensor.name);
      }
    }
    throw Error(
        Status::kUsage,
        fmt::format("optimizer.{} has no parameters: none of the remaining ones matches [\"{}\"]; "
                    "the parameters are {}",
                    groups[static_cast<std::size_t>(group)].name,
                    fmt::join(groups[static_cast<std::size_t>(group)].patterns, "\", \""),
                    fmt::join(tensors, ", ")));
  }
}

std::vector<Member> Mixture::once() const {
  return {members_.begin(), members_.begin() + static_cast<std::ptrdiff_t>(count_)};
}

}  // namespace l2o
