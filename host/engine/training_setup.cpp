#include "host/engine/training_setup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "host/core/error.h"
#include "host/engine/limits.h"
#include "host/engine/validation.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/lstm_settings.h"

namespace l2o {

std::string memory_plan(const Backend& backend, const UnrollMemory& memory) {
  const auto megabytes = [](std::size_t bytes) {
    return fmt::format("{:.1f}", static_cast<double>(bytes) / 1e6);
  };
  const std::size_t in_use = backend.memory_in_use(), all = backend.device().memory_bytes;
  return fmt::format(
      "memory: {} MB{}: gradient trace {}, state {}, replay {}, tasks and the rest {}",
      megabytes(in_use), all == 0 ? "" : " of " + megabytes(all), megabytes(memory.trace),
      megabytes(memory.state), megabytes(memory.replay),
      megabytes(in_use - std::min(in_use, memory.trace + memory.state + memory.replay)));
}

void start_from(const Model& earlier, const std::string& path, Model& initial) {
  const auto refuse = [&](const std::string& found, const std::string& expected) {
    throw Error(Status::kUsage, fmt::format("train.from: {} has {}; the configuration has {}", path,
                                            found, expected));
  };
  const auto rules = [](const Model& model) {
    std::vector<std::string> names;
    for (const ParameterGroup& group : model.groups()) names.push_back(group.name);
    return model.rules.size() == 1 ? "one rule"
                                   : fmt::format("the rules {}", fmt::join(names, ", "));
  };
  const bool is_one = earlier.rules.size() == 1;
  if (!is_one && rules(earlier) != rules(initial)) refuse(rules(earlier), rules(initial));
  const auto shape = [](const GroupRule& rule) {
    return fmt::format("{}{}{}", describe_lstm(rule.optimizer.cell.lstm),
                       rule.group.name.empty() ? "" : " in rule ", rule.group.name);
  };
  for (std::size_t i = 0; i < initial.rules.size(); ++i) {
    const GroupRule& from = earlier.rules[is_one ? 0 : i];
    GroupRule& rule = initial.rules[i];
    if (from.optimizer.cell != rule.optimizer.cell) refuse(shape(from), shape(rule));
    rule.optimizer.meta_parameters = from.optimizer.meta_parameters;
  }
}

void check_task_numbers(const TrainingConfig& config, int tasks_of_member) {
  // An independent member starts at most one new episode per unroll.
  const std::int64_t factor = config.episode.independent ? config.episode.mean_unrolls() : 1;
  if (config.episodes <= (kTaskNumbers - 1) / tasks_of_member / factor) return;
  throw Error(
      Status::kUsage,
      fmt::format("train.episodes = {} with {} tasks each{}: expected fewer than 2^32 tasks "
                  "in a run",
                  config.episodes, tasks_of_member,
                  factor > 1 ? fmt::format(", up to {} times an episode", factor) : ""));
}

std::vector<double> scales_of(Backend& backend, const std::vector<MemberConfig>& configs,
                              const std::vector<Member>& members, const std::string& data_directory,
                              const TrainingConfig& config, Communicator& ranks) {
  std::vector<double> scales;
  scales.reserve(members.size());
  for (const Member& member : members) scales.push_back(member.scale);
  const auto by_initial = [](const MemberConfig& member) { return member.scale_by_initial_loss; };
  if (std::none_of(configs.begin(), configs.end(), by_initial)) return scales;
  const std::vector<double> losses =
      initial_losses(backend, configs, members, data_directory, config.seed, config.shards, ranks);
  for (std::size_t m = 0; m < scales.size(); ++m) {
    if (by_initial(configs[m])) scales[m] = losses[m];
  }
  return scales;
}

}  // namespace l2o
