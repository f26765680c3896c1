#include "host/meta/episodes.h"

#include <algorithm>
#include <cmath>

#include "kernels/math/philox.h"

namespace l2o {

int EpisodeConfig::mean_unrolls() const {
  const double longest = truncation.num_steps, shortest = min_steps;
  if (!has_random_lengths()) return truncation.unrolls();
  const double mean = (longest - shortest) / std::log(longest / shortest);
  return std::max(1, static_cast<int>(std::lround(mean / truncation.unroll_length)));
}

Episode draw_episode(const EpisodeConfig& config, std::uint64_t seed, std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  const PhiloxBlock draws = philox4x32(
      {{static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32), 0, 0}}, seed);
  Episode episode;
  episode.unrolls = config.truncation.unrolls();
  if (config.has_random_lengths()) {
    const double shortest = config.min_steps, longest = config.truncation.num_steps;
    const double steps =
        shortest * std::pow(longest / shortest, static_cast<double>(draws.word[0]) * 0x1p-32);
    const auto unrolls = std::lround(steps / config.truncation.unroll_length);
    episode.unrolls = static_cast<int>(std::clamp<long>(unrolls, 1, config.truncation.unrolls()));
  }
  episode.steps = config.independent ? episode.unrolls * config.truncation.unroll_length
                                     : config.truncation.num_steps;
  using Schedule = EpisodeConfig::Schedule;
  const bool is_cosine = config.schedule == Schedule::kCosine ||
                         (config.schedule == Schedule::kMixed && draws.word[1] >> 31 != 0);
  if (is_cosine) episode.schedule = UpdateSchedule::kCosine;
  return episode;
}

}  // namespace l2o
