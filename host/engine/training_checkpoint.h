// The training checkpoint: everything that a run needs to continue as if it had never stopped.
//
// File: "L2OTRAIN", format version, then the fields of TrainingCheckpoint in their order, and the
// xxh64 of all of it. Integers and floats little-endian, arrays preceded by their length.
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

/// What the episode at hand has summed up so far; becomes its line of metrics.
struct EpisodeSums {
  double weighted_loss = 0.0;  ///< sum over its unrolls of mean_b sum_t w[t] f[t, b]
  double weight = 0.0;         ///< sum over its unrolls of sum_t w[t]
  double final_loss = 0.0;     ///< mean_b of the last loss
  double gradient_norm = 0.0;  ///< sum over its applied meta-updates, before clipping
  std::int64_t applied = 0;    ///< meta-updates
  std::int64_t skipped = 0;    ///< meta-updates
  // Of every member, where meta-gradients are by member; else empty.
  std::vector<double> member_norms;           ///< sums, before clipping
  std::vector<std::int64_t> member_updates;   ///< meta-updates that it was part of
  std::vector<std::int64_t> member_failures;  ///< and those it was left out of, as not finite
};

/// Where a run stands.
struct TrainingPosition {
  std::int64_t episode = 0;  ///< episodes finished
  std::int64_t unroll = 0;   ///< unrolls finished in the episode at hand
  // Of every member: the number of its own episode, and the unrolls of it that are done.
  std::vector<std::int64_t> member_episodes;
  std::vector<std::int64_t> member_unrolls;
  std::vector<double> member_losses;  ///< the mean over its tasks of its last loss
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
  std::uint64_t data_hash = 0;      ///< of the data sets of all members
  std::uint64_t metrics_bytes = 0;  ///< length of metrics.jsonl
  TrainingPosition position;
  std::vector<float> meta_parameters;       ///< phi [P]
  std::vector<float> best_meta_parameters;  ///< [P], empty before the first evaluation
  MetaOptimizerState meta_optimizer;
  std::vector<double> scales;  ///< of the members: what their losses are divided by
  CarriedState carried;        ///< empty where no member is inside of an episode
};

std::vector<std::byte> serialize(const TrainingCheckpoint& checkpoint);

/// Throws kBadData, naming `source`, for bytes that serialize() did not write: cut short, with any
/// bit changed, or of another version. Takes no more memory than `bytes` has.
TrainingCheckpoint parse_training_checkpoint(std::span<const std::byte> bytes,
                                             const std::string& source);

}  // namespace l2o
