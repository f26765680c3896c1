// The episodes of a member of a mixture: their lengths and update schedules.
#pragma once

#include <cstdint>

#include "host/meta/truncation.h"
#include "host/meta/update_schedule.h"

namespace l2o {

/// Lengths and schedules of episodes.
struct EpisodeConfig {
  enum class Schedule : int {
    kConstant,
    kCosine,
    kMixed,  ///< either, with equal probability
  };

  /// Truncation of the longest episode.
  Truncation truncation;
  /// Steps of the shortest episode, at most truncation.num_steps; if less, lengths are drawn
  /// log-uniformly and rounded to whole unrolls.
  int min_steps = 100;
  Schedule schedule = Schedule::kConstant;
  /// Members start new episodes independently, so that a meta-update sees early and late steps.
  /// Otherwise all episodes have truncation.num_steps steps, and members advance in lockstep.
  bool independent = false;

  /// Number of unrolls between two reports: that of an episode of mean length.
  int mean_unrolls() const;
  bool has_random_lengths() const { return independent && min_steps < truncation.num_steps; }
};

/// One episode.
struct Episode {
  int unrolls = 1;
  int steps = 1;
  UpdateSchedule schedule = UpdateSchedule::kConstant;
};

/// Returns episode `number` of the stream `seed`; deterministic.
Episode draw_episode(const EpisodeConfig& config, std::uint64_t seed, std::int64_t number);

}  // namespace l2o
