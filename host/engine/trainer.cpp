#include "host/engine/trainer.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "host/core/error.h"
#include "host/engine/agreement.h"
#include "host/engine/run_directory.h"
#include "host/engine/stop.h"
#include "host/engine/task_config.h"
#include "host/engine/training_checkpoint.h"
#include "host/engine/training_config.h"
#include "host/engine/training_loop.h"
#include "host/engine/training_setup.h"
#include "host/engine/validation.h"
#include "host/optimizer/model_file.h"

namespace l2o {
namespace {

using Progress = std::function<void(const TrainProgress&)>;

/// Estimates the time left from the pace of this process so far.
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

/// Runs the loop in a run directory: metrics, validation, the best model, checkpoints.
class Trainer {
 public:
  /// directory on rank 0; null on the other ranks.
  Trainer(Backend& backend, const TrainingConfig& config, const Model& initial,
          const Mixture& mixture, const Shards& shards, Communicator& ranks, Validation& validation,
          RunDirectory* directory, const std::string& run_directory)
      : config_(config),
        ranks_(ranks),
        directory_(directory),
        run_directory_(run_directory),
        validation_(validation),
        loop_(backend, config, initial, mixture.members(), shards, ranks) {
    for (const Member& member : mixture.once()) {
      names_.push_back(member.name);
      scales_.push_back(member.scale);
      weights_ += member.weight;
      data_hash_ = XXH64(&data_hash_, sizeof(data_hash_), member.optimizee->data_fingerprint());
    }
  }

  std::size_t max_checkpoint_bytes() const { return loop_.max_checkpoint_bytes(); }
  const UnrollMemory& memory() const { return loop_.memory(); }
  void set_profile(Profile* profile) { loop_.set_profile(profile); }
  /// Identifies the data of the members.
  std::uint64_t data_hash() const { return data_hash_; }
  /// Sets the divisors of the members' losses; restore() sets its own.
  void set_scales(const std::vector<double>& scales) {
    scales_ = scales;
    loop_.set_scales(scales);
  }
  /// Throws kBadData for a checkpoint that does not fit this run.
  void restore(const TrainingCheckpoint& checkpoint);
  TrainResult run(const volatile std::sig_atomic_t* stop_signal, const Progress& progress);

 private:
  /// Runs until the end or a stop signal. Returns the signal; 0 at the end.
  int run_episodes(const volatile std::sig_atomic_t* stop_signal, const Progress& progress);
  TrainProgress finish_episode();
  /// Whether the current model still has to be evaluated.
  bool evaluation_is_due() const;
  /// Evaluates the model and keeps it if it is the best so far.
  double evaluate();
  void append_metrics(const std::string& line);
  void save_checkpoint();
  /// Throws kDiverged if the best model is far worse than taking no steps at all.
  void check_learned() const;
  /// Values by member, for the metrics of a mixture.
  template <class Value>
  nlohmann::ordered_json by_member(const std::vector<Value>& values) const;

  TrainingConfig config_;
  Communicator& ranks_;
  RunDirectory* directory_;  // null: another rank writes
  std::string run_directory_;
  Validation& validation_;
  TrainingLoop loop_;
  std::vector<std::string> names_;  // names of the members
  std::vector<double> scales_;      // likewise
  double weights_ = 0.0;            // sum over all members
  std::uint64_t data_hash_ = 0;
  double best_validation_ = std::numeric_limits<double>::quiet_NaN();
  std::int64_t best_episode_ = 0;  // 0: no evaluation so far
  std::int64_t evaluated_episode_ = 0;
  double initial_validation_ = std::numeric_limits<double>::quiet_NaN();  // at theta_0
  std::vector<float> best_meta_parameters_;
};

void Trainer::restore(const TrainingCheckpoint& checkpoint) {
  const TrainingPosition& at = checkpoint.position;
  if (at.episode > config_.episodes) {
    throw Error(Status::kBadData, "the training checkpoint does not fit its configuration: it is " +
                                      std::to_string(at.episode) + " episodes old");
  }
  if (checkpoint.data_hash != data_hash_) {
    throw Error(Status::kBadData,
                "the run was trained on other data: the current data sets differ from those it "
                "started with; specify the original ones with --data, or start a new run");
  }
  loop_.restore(checkpoint);
  scales_ = checkpoint.scales;
  best_validation_ = at.best_validation;
  best_episode_ = at.best_episode;
  evaluated_episode_ = at.evaluated_episode;
  initial_validation_ = at.initial_validation;
  best_meta_parameters_ = checkpoint.best_meta_parameters;
  if (directory_ == nullptr) return;
  if (best_episode_ > 0) save_model(directory_->best_model(), loop_.model(best_meta_parameters_));
  directory_->go_back_to(checkpoint);
}

TrainResult Trainer::run(const volatile std::sig_atomic_t* stop_signal, const Progress& progress) {
  int stopped_by = 0;
  try {
    stopped_by = run_episodes(stop_signal, progress);
  } catch (const Error& error) {
    // A poll of the backend aborted an unroll or an evaluation, which will be repeated.
    stopped_by = Stop(error).signal();
    save_checkpoint();
  }
  const TrainingPosition& at = loop_.position();
  if (stopped_by == 0) {
    at_root(ranks_, [&]() -> Bytes {
      save_model(directory_->final_model(), loop_.model());
      return {};
    });
    check_learned();
  }

  TrainResult result;
  result.episodes = at.episode;
  result.best_validation = best_validation_;
  result.best_episode = best_episode_;
  result.skipped_updates = at.skipped_updates;
  result.stopped_by_signal = stopped_by;
  result.best_model = run_directory_ + "/" + RunDirectory::kBestModel;
  return result;
}

int Trainer::run_episodes(const volatile std::sig_atomic_t* stop_signal, const Progress& progress) {
  const TrainingPosition& at = loop_.position();
  const Pace pace(at.episode);
  loop_.watch(stop_signal);
  if (evaluation_is_due()) {  // the run was stopped during it
    evaluate();
    save_checkpoint();
  }
  int stopped_by = 0;
  while (at.episode < config_.episodes && stopped_by == 0) {
    if (loop_.run_unroll()) {
      TrainProgress report = finish_episode();
      report.seconds_left = pace.seconds_left(at.episode, config_.episodes);
      if (progress) progress(report);
    }
    if (ranks_.size() > 1) {
      stopped_by = loop_.stopped_by();
    } else if (stop_signal != nullptr) {
      stopped_by = *stop_signal;
    }
    const bool complete = at.episode == config_.episodes;
    if (complete || loop_.diverged() || stopped_by != 0 ||
        at.unrolls_done % config_.checkpoint_every == 0) {
      save_checkpoint();
    }
    loop_.check_diverged();
  }
  return at.episode < config_.episodes ? stopped_by : 0;
}

bool Trainer::evaluation_is_due() const {
  const std::int64_t episode = loop_.position().episode;
  return evaluated_episode_ < episode &&
         (episode % config_.evaluate_every == 0 || episode == config_.episodes);
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
  // Non-finite numbers are written as null.
  nlohmann::ordered_json line = {{"episode", episode.episode},
                                 {"meta_loss", episode.meta_loss},
                                 {"final_loss", episode.final_loss},
                                 {"learning_rate", episode.learning_rate},
                                 {"gradient_norm", episode.gradient_norm},
                                 {"skipped", episode.skipped}};
  if (names_.size() > 1) line["members"] = by_member(episode.member_losses);
  if (!episode.member_norms.empty()) {
    line["member_gradient_norms"] = by_member(episode.member_norms);
    line["member_failures"] = by_member(episode.member_failures);
  }
  append_metrics(line.dump());

  report.evaluated = evaluation_is_due();
  if (report.evaluated) report.validation = evaluate();
  report.best_validation = best_validation_;
  return report;
}

double Trainer::evaluate() {
  const std::int64_t episode = loop_.position().episode;
  const ValidationResult result = validation_.judge(loop_.optimizer(), scales_, ranks_);
  const double loss = result.loss;
  evaluated_episode_ = episode;
  initial_validation_ = result.initial_loss;
  const bool best = best_episode_ == 0 || loss < best_validation_;
  if (best) {
    best_validation_ = loss;
    best_episode_ = episode;
    best_meta_parameters_ = loop_.optimizer().meta_parameters().download();
    if (directory_ != nullptr) {
      save_model(directory_->best_model(), loop_.model(best_meta_parameters_));
    }
  }
  nlohmann::ordered_json line = {{"episode", episode}, {"validation", loss}, {"best", best}};
  if (names_.size() > 1) line["members"] = by_member(result.member_losses);
  for (std::size_t m = 0; m < names_.size(); ++m) {
    for (const auto& [tensor, distance] : result.movements[m]) {
      line["movement"][names_[m]][tensor] = distance;
    }
  }
  append_metrics(line.dump());
  return loss;
}

void Trainer::append_metrics(const std::string& line) {
  if (directory_ != nullptr) directory_->append_metrics(line);
}

template <class Value>
nlohmann::ordered_json Trainer::by_member(const std::vector<Value>& values) const {
  nlohmann::ordered_json json;
  for (std::size_t m = 0; m < names_.size(); ++m) json[names_[m]] = values[m];
  return json;
}

void Trainer::check_learned() const {
  // Allow twice the loss: a short run may well end slightly above the start.
  const double bound = config_.logarithmic ? initial_validation_ + weights_ * std::log(2.0)
                                           : 2.0 * std::abs(initial_validation_);
  if (best_validation_ <= bound) return;
  throw Error(
      Status::kDiverged,
      fmt::format(
          "meta-training diverged: the best validation loss is {:.4g}, "
          "compared to {:.4g} without any steps; try a lower meta_optimizer.learning_rate, a "
          "smaller optimizer.output_scale, or output = \"modulated\" with "
          "preprocessing = \"adam_moments\", which starts as Adam; `l2o report "
          "{}` shows more",
          best_validation_, initial_validation_, run_directory_));
}

void Trainer::save_checkpoint() {
  TrainingCheckpoint checkpoint = loop_.capture();
  if (ranks_.size() > 1) {
    // Each rank computes every meta-update itself: never save a checkpoint on which they disagree.
    const std::vector<float>& phi = checkpoint.meta_parameters;
    require_same(ranks_,
                 {{"their meta-parameters", XXH64(phi.data(), phi.size() * sizeof(float), 0)}},
                 Status::kInternal);
  }
  // The others wait: whatever they do next, an error included, must not end this.
  at_root(ranks_, [&]() -> Bytes {
    checkpoint.data_hash = data_hash_;
    checkpoint.position.best_validation = best_validation_;
    checkpoint.position.best_episode = best_episode_;
    checkpoint.position.evaluated_episode = evaluated_episode_;
    checkpoint.position.initial_validation = initial_validation_;
    checkpoint.best_meta_parameters = best_meta_parameters_;
    directory_->save_checkpoint(std::move(checkpoint));
    return {};
  });
}

/// Returns make(); if memory runs out, the error names the key to lower.
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
  if ((options.resume || options.extend) && options.overwrite) {
    throw Error(Status::kUsage, "--overwrite excludes --resume and --extend");
  }
  // Find all errors in the configuration before the directory is touched.
  const TrainingConfig config = read_training_config(options.config);
  const std::vector<MemberConfig> configs = read_members(options.config, config.tasks);
  for (const MemberConfig& member : configs) check_task_numbers(config, member.tasks);
  Communicator& ranks = *options.ranks;
  const Shards shards = Shards::of_rank(static_cast<std::size_t>(config.shards), ranks);
  const std::vector<ParameterGroup> groups = make_initial_model(config, "").groups();
  const std::unique_ptr<Mixture> mixture = made_within_memory(
      [&] {
        return std::make_unique<Mixture>(backend, configs, options.data_directory, groups,
                                         config.task_alignment(), shards);
      },
      "train.tasks");
  options.config.finish();
  const std::string resolved = options.config.resolved();
  Model initial = make_initial_model(config, resolved);
  const auto begin_with_rules = [&] {
    if (!config.from.empty()) start_from(load_model(config.from), config.from, initial);
  };
  const bool continues = options.resume || options.extend;
  if (!continues) begin_with_rules();
  model_bytes(initial, options.run_directory);  // rejects a configuration too long for its header
  const std::unique_ptr<Validation> validation = made_within_memory(
      [&] {
        return std::make_unique<Validation>(backend, configs, mixture->once(),
                                            options.data_directory, initial, config.validation());
      },
      "evaluation.runs or train.tasks");

  const RunDirectory::Mode mode = options.extend      ? RunDirectory::Mode::kExtend
                                  : options.resume    ? RunDirectory::Mode::kResume
                                  : options.overwrite ? RunDirectory::Mode::kOverwrite
                                                      : RunDirectory::Mode::kNew;
  std::unique_ptr<RunDirectory> directory;  // on rank 0
  const Bytes is_begun = at_root(ranks, [&]() -> Bytes {
    directory =
        std::make_unique<RunDirectory>(options.run_directory, resolved, mode, options.notice);
    return Bytes(directory->has_checkpoint() ? 1 : 0);
  });
  // A run that continues has its rules in its checkpoint.
  if (continues && is_begun.empty()) begin_with_rules();
  Trainer trainer(backend, config, initial, *mixture, shards, ranks, *validation, directory.get(),
                  options.run_directory);
  if (ranks.size() > 1) require_same(ranks, traits_of_run(backend, resolved, trainer.data_hash()));
  trainer.set_scales(
      scales_of(backend, configs, mixture->once(), options.data_directory, config, ranks));
  {  // a checkpoint may be large
    std::optional<TrainingCheckpoint> checkpoint;
    const Bytes for_others = at_root(ranks, [&]() -> Bytes {
      directory->begin();
      if (!continues) return {};
      checkpoint = directory->load_checkpoint(trainer.max_checkpoint_bytes());
      if (!checkpoint) directory->go_back_to({});
      return checkpoint && ranks.size() > 1 ? serialize(*checkpoint) : Bytes{};
    });
    if (!ranks.is_root() && !for_others.empty()) {
      checkpoint = parse_training_checkpoint(for_others, "what rank 0 sent");
    }
    if (checkpoint) trainer.restore(*checkpoint);
  }
  if (options.started) options.started(memory_plan(backend, trainer.memory()));
  trainer.set_profile(options.profile);
  const ProfiledScope whole(backend, options.profile ? &options.profile->total : nullptr);
  return trainer.run(options.stop_signal, progress);
}

}  // namespace l2o
