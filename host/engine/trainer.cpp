#include "host/engine/trainer.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "host/core/error.h"
#include "host/engine/run_directory.h"
#include "host/engine/training_checkpoint.h"
#include "host/engine/training_config.h"
#include "host/engine/validation.h"
#include "host/meta/meta_optimizer.h"
#include "host/meta/rollout.h"
#include "host/meta/unroll.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/device_optimizer.h"
#include "host/optimizer/model_file.h"
#include "kernels/cells/cell_list.h"

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

class Trainer {
 public:
  Trainer(Backend& backend, const TrainingConfig& config, const Optimizer& initial,
          Optimizee& optimizee, Validation& validation, RunDirectory& directory);

  /// Upper bound of the bytes of a checkpoint of this run.
  std::size_t max_checkpoint_bytes() const;
  /// Throws kBadData for a checkpoint that does not fit this run.
  void restore(const TrainingCheckpoint& checkpoint);
  TrainResult run(const volatile std::sig_atomic_t* stop_signal, const Progress& progress);

 private:
  /// One unroll and its meta-update. True when the episode is over.
  bool run_unroll();
  /// Of the meta-update after unroll k of the episode at hand.
  double learning_rate(std::int64_t k) const;
  bool update_meta_parameters(const std::vector<float>& losses);
  void check_fits(const TrainingCheckpoint& checkpoint) const;
  TrainProgress finish_episode();
  /// Judges the model and keeps it where it is the best so far.
  double evaluate();
  void save_checkpoint();
  Optimizer model(std::vector<float> meta_parameters) const;
  TaskRange episode_tasks() const;

  TrainingConfig config_;
  Optimizer initial_;
  RunDirectory& directory_;
  Validation& validation_;
  DeviceOptimizer optimizer_;
  MetaOptimizer meta_optimizer_;
  Unroll unroll_;
  TrainingPosition at_;
  std::vector<float> best_meta_parameters_;
};

Trainer::Trainer(Backend& backend, const TrainingConfig& config, const Optimizer& initial,
                 Optimizee& optimizee, Validation& validation, RunDirectory& directory)
    : config_(config),
      initial_(initial),
      directory_(directory),
      validation_(validation),
      optimizer_(backend, initial),
      meta_optimizer_(backend, config.meta_optimizer, initial.meta_parameters.size()),
      unroll_(backend, initial.cell, optimizee, config.truncation, config.loss_weights,
              config.recompute_budget) {}

std::size_t Trainer::max_checkpoint_bytes() const {
  const auto n = static_cast<std::size_t>(unroll_.n());
  const auto state_size = static_cast<std::size_t>(cell_state_size(initial_.cell));
  constexpr std::size_t kScalarFields = 4096;  // far more than they take
  return sizeof(float) * (4 * initial_.meta_parameters.size() + n * (1 + state_size)) +
         kScalarFields;
}

void Trainer::check_fits(const TrainingCheckpoint& checkpoint) const {
  const std::size_t p = initial_.meta_parameters.size();
  const std::size_t n = checkpoint.position.unroll > 0 ? static_cast<std::size_t>(unroll_.n()) : 0;
  const auto state_size = static_cast<std::size_t>(cell_state_size(initial_.cell));
  const TrainingPosition& at = checkpoint.position;
  const bool fits = checkpoint.meta_parameters.size() == p &&
                    checkpoint.meta_optimizer.first_moment.size() == p &&
                    checkpoint.meta_optimizer.second_moment.size() == p &&
                    checkpoint.best_meta_parameters.size() == (at.best_episode > 0 ? p : 0) &&
                    checkpoint.carried.theta.size() == n &&
                    checkpoint.carried.state.size() == n * state_size && at.episode >= 0 &&
                    at.episode <= config_.episodes && at.unroll >= 0 &&
                    at.unroll < config_.truncation.unrolls() && at.unrolls_done >= 0;
  if (!fits) {
    throw Error(Status::kBadData,
                "the training checkpoint does not fit its configuration: its sizes or counters are "
                "those of another run");
  }
}

void Trainer::restore(const TrainingCheckpoint& checkpoint) {
  check_fits(checkpoint);
  at_ = checkpoint.position;
  best_meta_parameters_ = checkpoint.best_meta_parameters;
  optimizer_.meta_parameters().upload(checkpoint.meta_parameters);
  optimizer_.pack();
  meta_optimizer_.restore(checkpoint.meta_optimizer);
  if (at_.unroll > 0) unroll_.resume_episode(episode_tasks(), checkpoint.carried);
  if (at_.best_episode > 0) save_model(directory_.best_model(), model(best_meta_parameters_));
  directory_.cut_metrics(checkpoint.metrics_bytes);
}

TrainResult Trainer::run(const volatile std::sig_atomic_t* stop_signal, const Progress& progress) {
  const Pace pace(at_.episode);
  int stopped_by = 0;
  while (at_.episode < config_.episodes && stopped_by == 0) {
    if (run_unroll()) {
      TrainProgress report = finish_episode();
      report.seconds_left = pace.seconds_left(at_.episode, config_.episodes);
      if (progress) progress(report);
    }
    if (stop_signal != nullptr) stopped_by = *stop_signal;
    const bool diverged = at_.skipped_in_row >= config_.max_skipped_updates;
    const bool complete = at_.episode == config_.episodes;
    if (complete || diverged || stopped_by != 0 ||
        at_.unrolls_done % config_.checkpoint_every == 0) {
      save_checkpoint();
    }
    if (diverged) {
      throw Error(Status::kDiverged,
                  "meta-training diverged: the last " + std::to_string(at_.skipped_in_row) +
                      " meta-updates were skipped because the meta-loss or its gradient was not "
                      "finite; try a lower meta_optimizer.learning_rate, meta_optimizer.clip_norm "
                      "= 1, or a smaller optimizer.output_scale");
    }
  }
  if (at_.episode == config_.episodes) {
    save_model(directory_.final_model(), model(optimizer_.meta_parameters().download()));
    stopped_by = 0;
  }

  TrainResult result;
  result.episodes = at_.episode;
  result.best_validation = at_.best_validation;
  result.best_episode = at_.best_episode;
  result.skipped_updates = at_.skipped_updates;
  result.stopped_by_signal = stopped_by;
  result.best_model = directory_.best_model();
  return result;
}

bool Trainer::run_unroll() {
  const int k = static_cast<int>(at_.unroll);
  if (k == 0) unroll_.start_episode(episode_tasks());
  unroll_.forward(optimizer_, k);
  const bool applied = update_meta_parameters(unroll_.losses());
  ++at_.unroll;
  ++at_.unrolls_done;
  if (applied) {
    ++at_.sums.applied;
    at_.skipped_in_row = 0;
  } else {
    // theta or the state may not be finite either: nothing of this episode is worth going on with.
    ++at_.sums.skipped;
    ++at_.skipped_updates;
    ++at_.skipped_in_row;
  }
  return !applied || at_.unroll == config_.truncation.unrolls();
}

double Trainer::learning_rate(std::int64_t k) const {
  // By the planned place of the update, so that a run with skipped updates still ends on schedule.
  const double unrolls = config_.truncation.unrolls();
  const double done = static_cast<double>(at_.episode) * unrolls + static_cast<double>(k);
  const double planned = static_cast<double>(config_.episodes) * unrolls;
  return config_.meta_optimizer.learning_rate.at(done / planned);
}

bool Trainer::update_meta_parameters(const std::vector<float>& losses) {
  const int k = static_cast<int>(at_.unroll);
  const auto tasks = static_cast<std::size_t>(config_.tasks);
  const std::vector<double>& weights = unroll_.weights(k);
  double meta_loss = 0.0;
  for (std::size_t t = 0; t < weights.size(); ++t) {
    double sum = 0.0;
    for (std::size_t task = 0; task < tasks; ++task) sum += losses[t * tasks + task];
    at_.sums.final_loss = sum / static_cast<double>(tasks);
    meta_loss += weights[t] * at_.sums.final_loss;
    at_.sums.weight += weights[t];
  }
  at_.sums.weighted_loss += meta_loss;
  if (!std::isfinite(meta_loss)) return false;

  unroll_.backward(optimizer_, meta_optimizer_.meta_gradient());
  const MetaUpdateReport report = meta_optimizer_.update(optimizer_, learning_rate(k));
  if (report.applied == 0) return false;
  at_.sums.gradient_norm += report.gradient_norm;
  return true;
}

TrainProgress Trainer::finish_episode() {
  const EpisodeSums sums = std::exchange(at_.sums, {});
  TrainProgress report;
  report.learning_rate = learning_rate(at_.unroll - 1);
  at_.unroll = 0;
  ++at_.episode;

  report.episode = at_.episode;
  report.episodes = config_.episodes;
  report.meta_loss = sums.weighted_loss / sums.weight;
  report.final_loss = sums.final_loss;
  report.skipped_updates = at_.skipped_updates;
  nlohmann::ordered_json line = {{"episode", at_.episode},
                                 {"meta_loss", report.meta_loss},
                                 {"final_loss", report.final_loss},
                                 {"learning_rate", report.learning_rate}};
  // A number that is not finite is written as null.
  line["gradient_norm"] = sums.gradient_norm / static_cast<double>(sums.applied);
  line["skipped"] = sums.skipped;
  directory_.append_metrics(line.dump());

  report.evaluated = at_.episode % config_.evaluate_every == 0 || at_.episode == config_.episodes;
  if (report.evaluated) report.validation = evaluate();
  report.best_validation = at_.best_validation;
  return report;
}

double Trainer::evaluate() {
  const double loss = validation_.final_loss(optimizer_);
  const bool best = at_.best_episode == 0 || loss < at_.best_validation;
  if (best) {
    at_.best_validation = loss;
    at_.best_episode = at_.episode;
    best_meta_parameters_ = optimizer_.meta_parameters().download();
    save_model(directory_.best_model(), model(best_meta_parameters_));
  }
  const nlohmann::ordered_json line = {
      {"episode", at_.episode}, {"validation", loss}, {"best", best}};
  directory_.append_metrics(line.dump());
  return loss;
}

void Trainer::save_checkpoint() {
  TrainingCheckpoint checkpoint;
  checkpoint.position = at_;
  checkpoint.meta_parameters = optimizer_.meta_parameters().download();
  checkpoint.best_meta_parameters = best_meta_parameters_;
  checkpoint.meta_optimizer = meta_optimizer_.state();
  if (at_.unroll > 0) checkpoint.carried = unroll_.carried();
  directory_.save_checkpoint(std::move(checkpoint));
}

Optimizer Trainer::model(std::vector<float> meta_parameters) const {
  return {initial_.cell, std::move(meta_parameters), initial_.trained_on};
}

TaskRange Trainer::episode_tasks() const {
  return {stream_seed(config_.seed, TaskStream::kTraining),
          static_cast<std::uint32_t>(at_.episode * config_.tasks)};
}

}  // namespace

TrainResult train(Backend& backend, TrainOptions options, const Progress& progress) {
  if (options.resume && options.overwrite) {
    throw Error(Status::kUsage, "--resume and --overwrite exclude each other");
  }
  // Everything that the configuration can have wrong is found before the directory is touched.
  const TrainingConfig config = read_training_config(options.config);
  ConfigReader task = options.config.table("task");
  const std::unique_ptr<Optimizee> optimizee =
      make_optimizee({backend, config.tasks, options.data_directory}, task);
  options.config.finish();
  Validation validation(backend, task, options.data_directory, optimizee->coordinates(),
                        config.evaluation_runs, config.evaluation_steps, config.seed);
  Optimizer initial = make_lstm_optimizer(config.lstm, config.output_init, config.seed);
  initial.trained_on = options.config.resolved();

  const RunDirectory::Mode mode = options.resume      ? RunDirectory::Mode::kResume
                                  : options.overwrite ? RunDirectory::Mode::kOverwrite
                                                      : RunDirectory::Mode::kNew;
  RunDirectory directory(options.run_directory, initial.trained_on, mode);
  Trainer trainer(backend, config, initial, *optimizee, validation, directory);
  const std::optional<TrainingCheckpoint> checkpoint =
      directory.load_checkpoint(trainer.max_checkpoint_bytes(), options.notice);
  if (checkpoint) {
    trainer.restore(*checkpoint);
  } else {
    directory.cut_metrics(0);
  }
  return trainer.run(options.stop_signal, progress);
}

}  // namespace l2o
