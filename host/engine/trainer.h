// Meta-training: turns a configuration into a run directory with a trained model.
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
  std::string data_directory;  ///< empty: not specified
  bool resume = false;         ///< continue from the newest checkpoint of the run directory
  bool overwrite = false;      ///< replace an earlier run in the run directory
  /// Resume a run with possibly fewer train.episodes and continue up to those of `config`.
  bool extend = false;
  /// Set to a signal number to stop after the current unroll, with a checkpoint. May be null. If
  /// the backend's poll throws kInterrupted or kTerminated, the run stops immediately, with a
  /// checkpoint of the start of the unroll or evaluation.
  const volatile std::sig_atomic_t* stop_signal = nullptr;
  /// The processes that share the run; all of them call train() with the same configuration (see
  /// docs/scale.md). Only rank 0 writes the run directory.
  Communicator* ranks = &only_rank();
  /// Receives a breakdown of this rank's time; measuring it adds overhead. Null: not measured.
  Profile* profile = nullptr;
  /// Called with a one-line notice for the user: a damaged checkpoint was skipped, or no checkpoint
  /// exists. May be empty.
  std::function<void(const std::string&)> notice = {};
  /// Called once, when the run is about to start, with a one-line summary of its memory use. May be
  /// empty.
  std::function<void(const std::string&)> started = {};
};

/// One line of progress; reported after every episode.
struct TrainProgress {
  std::int64_t episode = 0;  ///< completed so far
  std::int64_t episodes = 0;
  double meta_loss = 0.0;            ///< weighted mean of f over the last episode's unrolls
  double final_loss = 0.0;           ///< f at the end of the last episode
  double learning_rate = 0.0;        ///< used by its last meta-update
  double best_validation = 0.0;      ///< NaN before the first evaluation
  std::int64_t skipped_updates = 0;  ///< meta-updates skipped as non-finite
  double seconds_left = 0.0;
  bool evaluated = false;   ///< an evaluation has just completed:
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

/// Trains until the configured end or a stop signal. Throws kDiverged after too many skipped
/// meta-updates in a row, kUsage for an invalid configuration or run directory.
TrainResult train(Backend& backend, TrainOptions options,
                  const std::function<void(const TrainProgress&)>& progress);

}  // namespace l2o
