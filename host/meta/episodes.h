// The episodes of a member of a mixture: how long each is, and how its updates are scaled.
#pragma once

#include <cstdint>

#include "host/meta/truncation.h"
#include "host/meta/update_schedule.h"

namespace l2o {

/// What episodes are like.
struct EpisodeConfig {
  enum class Schedule : int {
    kConstant,
    kCosine,
    kMixed,  ///< either, by the toss of a coin
  };

  /// Of the longest episode.
  Truncation truncation;
  /// Steps of the shortest; the length is drawn log-uniformly and rounded to whole unrolls.
  int min_steps = 100;
  Schedule schedule = Schedule::kConstant;
  /// Members begin a new episode by themselves, so that a meta-update sees early and late steps.
  /// Without it all episodes are of truncation.num_steps, and members keep step.
  bool independent = false;

  /// Unrolls between two reports: those of an episode of mean length.
  int mean_unrolls() const;
};

/// One episode.
struct Episode {
  int unrolls = 1;
  UpdateSchedule schedule = UpdateSchedule::kConstant;
};

/// Episode `number` of the stream `seed`, the same whenever it is asked for.
Episode draw_episode(const EpisodeConfig& config, std::uint64_t seed, std::int64_t number);

}  // namespace l2o
