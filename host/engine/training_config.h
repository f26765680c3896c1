// The configuration of meta-training, read from TOML (docs/config.md lists the keys).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "host/core/config.h"
#include "host/engine/validation.h"
#include "host/meta/episodes.h"
#include "host/meta/loss_weights.h"
#include "host/meta/meta_optimizer.h"
#include "host/optimizer/optimizer.h"
#include "kernels/op_args.h"

namespace l2o {

/// A learned rule and the parameters that it updates.
struct RuleConfig {
  ParameterGroup group;
  LstmConfig lstm;
  OutputInit output_init = OutputInit::kZero;
};

struct TrainingConfig {
  std::uint64_t seed = 1;

  /// From [optimizer], or from every [optimizer.NAME].
  std::vector<RuleConfig> rules = {{}};

  // [train]
  std::int64_t episodes = 1000;
  EpisodeConfig episode;
  int tasks = 1;            ///< per episode, for each member that does not set its own number
  std::int64_t shards = 1;  ///< number of parts of an episode's tasks; affects the results
  LossWeights loss_weights;
  bool logarithmic = false;          ///< the meta-loss uses log f
  std::size_t recompute_budget = 0;  ///< bytes of replay scratch per worker; 0 = the device's best
  int max_skipped_updates = 20;      ///< the run ends as diverged after this many in a row
  std::int64_t checkpoint_every = 500;  ///< unrolls
  std::string from;                     ///< path of a model to start from; empty: a new one

  // [meta_optimizer]
  MetaOptimizerConfig meta_optimizer;
  double member_clip_norm = 0.0;  ///< maximum norm of each member's meta-gradient; 0: no clipping

  /// Tasks start at multiples of this many coordinates: whole tiles if weights differ by task.
  std::int64_t task_alignment() const { return logarithmic ? kTile : 1; }
  /// Whether each member has its own meta-gradient.
  bool by_member() const { return member_clip_norm > 0.0; }

  // [evaluation]
  std::int64_t evaluate_every = 100;  ///< episodes
  int evaluation_runs = 16;           ///< validation tasks
  int evaluation_steps = 100;
  int evaluation_average = 1;  ///< number of last evaluations of a run
  UpdateSchedule evaluation_schedule = UpdateSchedule::kConstant;
  ValidationConfig validation() const;
};

// Readers throw kUsage; the caller calls finish().

/// Reads the keys of one rule.
void read_rule_config(ConfigReader rule, RuleConfig& config);
/// Reads the top-level key `seed`.
std::uint64_t read_seed(ConfigReader& config);
/// Reads the keys that TrainingLoop needs: seed, [optimizer], [train] without checkpoint_every and
/// [meta_optimizer].
TrainingConfig read_loop_config(ConfigReader& config, int default_tasks);
/// Reads everything except [task].
TrainingConfig read_training_config(ConfigReader& config);
/// Returns the initial rules, with the configuration on which they will be trained.
Model make_initial_model(const TrainingConfig& config, const std::string& resolved_config);

}  // namespace l2o
