// The configuration of meta-training, read from TOML (docs/config.md lists the keys).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "host/core/config.h"
#include "host/meta/loss_weights.h"
#include "host/meta/meta_optimizer.h"
#include "host/meta/truncation.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

/// A learned rule and the parameters that it takes.
struct RuleConfig {
  ParameterGroup group;
  LstmConfig lstm;
  OutputInit output_init = OutputInit::kZero;
};

struct TrainingConfig {
  std::uint64_t seed = 1;

  /// Of [optimizer], or of every [optimizer.NAME].
  std::vector<RuleConfig> rules = {{}};

  // [train]
  std::int64_t episodes = 1000;
  Truncation truncation;
  int tasks = 1;  ///< tasks of an episode, of each member that has no number of its own
  LossWeights loss_weights;
  std::size_t recompute_budget = 0;  ///< bytes of replay scratch per worker; 0 = the device's best
  int max_skipped_updates = 20;      ///< in a row, before the run ends as diverged
  std::int64_t checkpoint_every = 500;  ///< unrolls
  std::string from;                     ///< path of a model to start with; empty: a fresh one

  MetaOptimizerConfig meta_optimizer;  // [meta_optimizer]

  // [evaluation]
  std::int64_t evaluate_every = 100;  ///< episodes
  int evaluation_runs = 16;           ///< validation tasks
  int evaluation_steps = 100;
};

// Readers throw kUsage; the caller calls finish().

/// The keys of one rule.
void read_rule_config(ConfigReader rule, RuleConfig& config);
/// The key seed of the top level.
std::uint64_t read_seed(ConfigReader& config);
/// What TrainingLoop needs: seed, [optimizer], [train] without checkpoint_every, [meta_optimizer].
TrainingConfig read_loop_config(ConfigReader& config, int default_tasks);
/// Everything but [task].
TrainingConfig read_training_config(ConfigReader& config);
/// The rules as they start, with the configuration that they are going to be trained on.
Model make_initial_model(const TrainingConfig& config, const std::string& resolved_config);

}  // namespace l2o
