// The configuration of meta-training, read from TOML (docs/config.md lists the keys).
#pragma once

#include <cstddef>
#include <cstdint>

#include "host/core/config.h"
#include "host/meta/loss_weights.h"
#include "host/meta/meta_optimizer.h"
#include "host/meta/truncation.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

struct TrainingConfig {
  std::uint64_t seed = 1;

  // [optimizer]
  LstmConfig lstm;
  OutputInit output_init = OutputInit::kZero;

  // [train]
  std::int64_t episodes = 1000;
  Truncation truncation;
  int tasks = 1;  ///< B, tasks of an episode
  LossWeights loss_weights;
  std::size_t recompute_budget = 0;  ///< bytes of replay scratch per worker; 0 = the device's best
  int max_skipped_updates = 20;      ///< in a row, before the run ends as diverged
  std::int64_t checkpoint_every = 500;  ///< unrolls

  MetaOptimizerConfig meta_optimizer;  // [meta_optimizer]

  // [evaluation]
  std::int64_t evaluate_every = 100;  ///< episodes
  int evaluation_runs = 16;           ///< validation tasks
  int evaluation_steps = 100;
};

// Readers throw kUsage; the caller calls finish().

/// The keys of [optimizer].
void read_optimizer_config(ConfigReader optimizer, LstmConfig& lstm, OutputInit& output_init);
/// The key seed of the top level.
std::uint64_t read_seed(ConfigReader& config);
/// What TrainingLoop needs: seed, [optimizer], [train] without checkpoint_every, [meta_optimizer].
TrainingConfig read_loop_config(ConfigReader& config, int default_tasks);
/// Everything but the keys of the optimizee in [task].
TrainingConfig read_training_config(ConfigReader& config);

}  // namespace l2o
