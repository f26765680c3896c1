// The training checkpoint: everything that a run needs to continue as if it had never stopped.
//
// File: "L2OTRAIN", format version, then the fields of TrainingCheckpoint in order, and the xxh64
// of everything before it. Integers and floats are little-endian, arrays are preceded by their
// length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "host/meta/meta_optimizer.h"
#include "host/meta/unroll.h"

namespace l2o {

/// Sums over the current episode so far; they become its line of metrics.
struct EpisodeSums {
  double weighted_loss = 0.0;  ///< sum over its unrolls of mean_b sum_t w[t] f[t, b]
  double weight = 0.0;         ///< sum over its unrolls of sum_t w[t]
  double final_loss = 0.0;     ///< mean_b of the last loss
  double gradient_norm = 0.0;  ///< sum over its applied meta-updates, before clipping
  std::int64_t applied = 0;    ///< meta-updates
  std::int64_t skipped = 0;    ///< meta-updates
  // For every member, if meta-gradients are computed per member; otherwise empty.
  std::vector<double> member_norms;           ///< sums, before clipping
  std::vector<std::int64_t> member_updates;   ///< meta-updates that included it
  std::vector<std::int64_t> member_failures;  ///< meta-updates that excluded it as non-finite
};

/// The progress of a run.
struct TrainingPosition {
  std::int64_t episode = 0;  ///< episodes finished
  std::int64_t unroll = 0;   ///< unrolls finished in the current episode
  // For every member: the number of its own episode, and the unrolls finished in it.
  std::vector<std::int64_t> member_episodes;
  std::vector<std::int64_t> member_unrolls;
  std::vector<double> member_losses;  ///< the last loss of each, mean over its tasks
  std::int64_t unrolls_done = 0;      ///< in the whole run
  std::int64_t skipped_updates = 0;
  std::int64_t skipped_in_row = 0;
  EpisodeSums sums;
  double best_validation = std::numeric_limits<double>::quiet_NaN();
  std::int64_t best_episode = 0;       ///< 0: no evaluation so far
  std::int64_t evaluated_episode = 0;  ///< the last one that was evaluated
  double initial_validation = std::numeric_limits<double>::quiet_NaN();  ///< at theta_0
};

struct TrainingCheckpoint {
  std::uint64_t config_hash = 0;    ///< xxh64 of the resolved configuration
  std::uint64_t data_hash = 0;      ///< hash of all members' data sets
  std::uint64_t metrics_bytes = 0;  ///< length of metrics.jsonl
  TrainingPosition position;
  std::vector<float> meta_parameters;       ///< phi [P]
  std::vector<float> best_meta_parameters;  ///< [P]; empty before the first evaluation
  MetaOptimizerState meta_optimizer;
  std::vector<double> scales;  ///< divisors of the members' losses
  CarriedState carried;        ///< empty if no member is in the middle of an episode
};

std::vector<std::byte> serialize(const TrainingCheckpoint& checkpoint);

/// Throws kBadData, naming `source`, for bytes that serialize() did not write: truncated, with any
/// bit changed, or of another version. Allocates no more memory than the size of `bytes`.
TrainingCheckpoint parse_training_checkpoint(std::span<const std::byte> bytes,
                                             const std::string& source);

}  // namespace l2o
