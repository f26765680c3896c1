// Meta-training: from a configuration to a run directory with a trained model.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <string>

#include "host/backend/backend.h"
#include "host/comm/communicator.h"
#include "host/core/config.h"
#include "host/meta/profile.h"

namespace l2o {

struct TrainOptions {
  ConfigReader config;  ///< keys: docs/config.md
  std::string run_directory;
  std::string data_directory;  ///< empty: none was named
  bool resume = false;         ///< continue from the newest checkpoint of the run directory
  bool overwrite = false;      ///< replace an earlier run in the run directory
  /// Resume a run that may have had fewer train.episodes: continue to those of `config`.
  bool extend = false;
  /// Set to a signal number to stop after the current unroll, with a checkpoint. May be null. Where
  /// the backend's poll throws kInterrupted or kTerminated, the run stops there and then, with a
  /// checkpoint of the unroll's or the evaluation's start.
  const volatile std::sig_atomic_t* stop_signal = nullptr;
  /// The processes that share the run, all of which call train() with the same configuration: see
  /// docs/scale.md. Rank 0 has the run directory, and writes.
  Communicator* ranks = &only_rank();
  /// Gets where this rank's time goes, which measuring makes more of; null: nobody asks.
  Profile* profile = nullptr;
  /// Gets one line of text for what a user should know: a damaged checkpoint passed over, or none
  /// there at all. May be empty.
  std::function<void(const std::string&)> notice = {};
  /// Called once, when nothing can keep the run from starting; gets what its memory is for, one
  /// line of text. May be empty.
  std::function<void(const std::string&)> started = {};
};

/// One line of progress; reported after every episode.
struct TrainProgress {
  std::int64_t episode = 0;  ///< finished so far
  std::int64_t episodes = 0;
  double meta_loss = 0.0;            ///< of the last episode: weighted mean of f over its unrolls
  double final_loss = 0.0;           ///< f at the end of the last episode
  double learning_rate = 0.0;        ///< of its last meta-update
  double best_validation = 0.0;      ///< NaN before the first evaluation
  std::int64_t skipped_updates = 0;  ///< meta-updates skipped as not finite
  double seconds_left = 0.0;
  bool evaluated = false;   ///< an evaluation has just been made:
  double validation = 0.0;  ///< its final loss
};

struct TrainResult {
  std::int64_t episodes = 0;
  double best_validation = 0.0;
  std::int64_t best_episode = 0;
  std::int64_t skipped_updates = 0;
  int stopped_by_signal = 0;  ///< 0: the run is complete
  std::string best_model;     ///< path of best.safetensors
};

/// Runs to the end of the configuration, or to a stop signal. Throws kDiverged after too many
/// skipped meta-updates in a row, kUsage for what the configuration or the directory do not allow.
TrainResult train(Backend& backend, TrainOptions options,
                  const std::function<void(const TrainProgress&)>& progress);

}  // namespace l2o
