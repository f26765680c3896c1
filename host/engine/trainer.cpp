#include "host/engine/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "host/core/error.h"
#include "host/engine/run_directory.h"
#include "host/engine/training_checkpoint.h"
#include "host/engine/training_config.h"
#include "host/engine/training_loop.h"
#include "host/engine/validation.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/model_file.h"

namespace l2o {
namespace {

using Progress = std::function<void(const TrainProgress&)>;

/// Time left, from the pace of this process so far.
class Pace {
 public:
  explicit Pace(std::int64_t first_episode) : first_episode_(first_episode) {}
  double seconds_left(std::int64_t episode, std::int64_t episodes) const {
    const std::chrono::duration<double> elapsed = Clock::now() - start_;
    const auto done = static_cast<double>(episode - first_episode_);
    return elapsed.count() / done * static_cast<double>(episodes - episode);
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  std::int64_t first_episode_;
};

/// The loop in a run directory: metrics, validation, the best model, checkpoints.
class Trainer {
 public:
  Trainer(Backend& backend, const TrainingConfig& config, const Optimizer& initial,
          Optimizee& optimizee, Validation& validation, RunDirectory& directory)
      : config_(config),
        directory_(directory),
        validation_(validation),
        loop_(backend, config, initial, optimizee) {}

  std::size_t max_checkpoint_bytes() const { return loop_.max_checkpoint_bytes(); }
  const UnrollMemory& memory() const { return loop_.memory(); }
  /// Throws kBadData for a checkpoint that does not fit this run.
  void restore(const TrainingCheckpoint& checkpoint);
  TrainResult run(const volatile std::sig_atomic_t* stop_signal, const Progress& progress);

 private:
  TrainProgress finish_episode();
  /// Judges the model and keeps it where it is the best so far.
  double evaluate();
  void save_checkpoint();

  TrainingConfig config_;
  RunDirectory& directory_;
  Validation& validation_;
  TrainingLoop loop_;
  double best_validation_ = std::numeric_limits<double>::quiet_NaN();
  std::int64_t best_episode_ = 0;  // 0: no evaluation so far
  std::vector<float> best_meta_parameters_;
};

void Trainer::restore(const TrainingCheckpoint& checkpoint) {
  const TrainingPosition& at = checkpoint.position;
  if (at.episode > config_.episodes) {
    throw Error(Status::kBadData, "the training checkpoint does not fit its configuration: it is " +
                                      std::to_string(at.episode) + " episodes old");
  }
  loop_.restore(checkpoint);
  best_validation_ = at.best_validation;
  best_episode_ = at.best_episode;
  best_meta_parameters_ = checkpoint.best_meta_parameters;
  if (best_episode_ > 0) save_model(directory_.best_model(), loop_.model(best_meta_parameters_));
  directory_.go_back_to(checkpoint);
}

TrainResult Trainer::run(const volatile std::sig_atomic_t* stop_signal, const Progress& progress) {
  const TrainingPosition& at = loop_.position();
  const Pace pace(at.episode);
  int stopped_by = 0;
  while (at.episode < config_.episodes && stopped_by == 0) {
    if (loop_.run_unroll()) {
      TrainProgress report = finish_episode();
      report.seconds_left = pace.seconds_left(at.episode, config_.episodes);
      if (progress) progress(report);
    }
    if (stop_signal != nullptr) stopped_by = *stop_signal;
    const bool complete = at.episode == config_.episodes;
    if (complete || loop_.diverged() || stopped_by != 0 ||
        at.unrolls_done % config_.checkpoint_every == 0) {
      save_checkpoint();
    }
    loop_.check_diverged();
  }
  if (at.episode == config_.episodes) {
    save_model(directory_.final_model(), loop_.model());
    stopped_by = 0;
  }

  TrainResult result;
  result.episodes = at.episode;
  result.best_validation = best_validation_;
  result.best_episode = best_episode_;
  result.skipped_updates = at.skipped_updates;
  result.stopped_by_signal = stopped_by;
  result.best_model = directory_.best_model();
  return result;
}

TrainProgress Trainer::finish_episode() {
  const EpisodeReport episode = loop_.finish_episode();
  TrainProgress report;
  report.episode = episode.episode;
  report.episodes = config_.episodes;
  report.meta_loss = episode.meta_loss;
  report.final_loss = episode.final_loss;
  report.learning_rate = episode.learning_rate;
  report.skipped_updates = loop_.position().skipped_updates;
  // A number that is not finite is written as null.
  const nlohmann::ordered_json line = {{"episode", episode.episode},
                                       {"meta_loss", episode.meta_loss},
                                       {"final_loss", episode.final_loss},
                                       {"learning_rate", episode.learning_rate},
                                       {"gradient_norm", episode.gradient_norm},
                                       {"skipped", episode.skipped}};
  directory_.append_metrics(line.dump());

  report.evaluated =
      episode.episode % config_.evaluate_every == 0 || episode.episode == config_.episodes;
  if (report.evaluated) report.validation = evaluate();
  report.best_validation = best_validation_;
  return report;
}

double Trainer::evaluate() {
  const std::int64_t episode = loop_.position().episode;
  const double loss = validation_.final_loss(loop_.optimizer());
  const bool best = best_episode_ == 0 || loss < best_validation_;
  if (best) {
    best_validation_ = loss;
    best_episode_ = episode;
    const Optimizer model = loop_.model();
    best_meta_parameters_ = model.meta_parameters;
    save_model(directory_.best_model(), model);
  }
  const nlohmann::ordered_json line = {{"episode", episode}, {"validation", loss}, {"best", best}};
  directory_.append_metrics(line.dump());
  return loss;
}

void Trainer::save_checkpoint() {
  TrainingCheckpoint checkpoint = loop_.capture();
  checkpoint.position.best_validation = best_validation_;
  checkpoint.position.best_episode = best_episode_;
  checkpoint.best_meta_parameters = best_meta_parameters_;
  directory_.save_checkpoint(std::move(checkpoint));
}

/// One line: what a run takes before it starts.
std::string memory_plan(const Backend& backend, const UnrollMemory& memory) {
  const auto megabytes = [](std::size_t bytes) {
    return fmt::format("{:.1f}", static_cast<double>(bytes) / 1e6);
  };
  const std::size_t in_use = backend.memory_in_use(), all = backend.device().memory_bytes;
  return fmt::format(
      "memory: {} MB{}: gradient trace {}, state {}, replay {}, tasks and the rest {}",
      megabytes(in_use), all == 0 ? "" : " of " + megabytes(all), megabytes(memory.trace),
      megabytes(memory.state), megabytes(memory.replay),
      megabytes(in_use - std::min(in_use, memory.trace + memory.state + memory.replay)));
}

/// Makes what takes memory; where there is too little, the error names the key that lowers it.
template <class Make>
auto made_within_memory(const Make& make, const char* key) {
  try {
    return make();
  } catch (const Error& error) {
    if (error.status() != Status::kOutOfMemory) throw;
    throw Error(error.status(), fmt::format("{}; lower {}", error.what(), key));
  }
}

}  // namespace

TrainResult train(Backend& backend, TrainOptions options, const Progress& progress) {
  if (options.resume && options.overwrite) {
    throw Error(Status::kUsage, "--resume and --overwrite exclude each other");
  }
  // Everything that the configuration can have wrong is found before the directory is touched.
  const TrainingConfig config = read_training_config(options.config);
  ConfigReader task = options.config.table("task");
  const std::unique_ptr<Optimizee> optimizee = made_within_memory(
      [&] {
        return make_optimizee({backend, config.tasks, options.data_directory}, task);
      },
      "train.tasks");
  options.config.finish();
  Optimizer initial = make_lstm_optimizer(config.lstm, config.output_init, config.seed);
  initial.trained_on = options.config.resolved();
  model_bytes(initial, options.run_directory);  // refuses a configuration too long for its header
  const std::unique_ptr<Validation> validation = made_within_memory(
      [&] {
        return std::make_unique<Validation>(backend, task, options.data_directory, initial.cell,
                                            optimizee->coordinates(), config.evaluation_runs,
                                            config.evaluation_steps, config.seed);
      },
      "evaluation.runs or train.tasks");

  const RunDirectory::Mode mode = options.resume      ? RunDirectory::Mode::kResume
                                  : options.overwrite ? RunDirectory::Mode::kOverwrite
                                                      : RunDirectory::Mode::kNew;
  RunDirectory directory(options.run_directory, initial.trained_on, mode);
  Trainer trainer(backend, config, initial, *optimizee, *validation, directory);
  directory.begin();
  if (options.resume) {
    const std::optional<TrainingCheckpoint> checkpoint =
        directory.load_checkpoint(trainer.max_checkpoint_bytes(), options.notice);
    checkpoint ? trainer.restore(*checkpoint) : directory.go_back_to({});
  }
  if (options.started) options.started(memory_plan(backend, trainer.memory()));
  return trainer.run(options.stop_signal, progress);
}

}  // namespace l2o
