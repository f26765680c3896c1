// l2o.h: trainer.
#include <fmt/format.h>
#include <xxhash.h>

#include <optional>
#include <string>

#include "host/capi/objects.h"
#include "host/core/atomic_file.h"
#include "host/core/config.h"
#include "host/engine/training_checkpoint.h"
#include "host/engine/training_config.h"
#include "host/engine/training_loop.h"
#include "host/engine/training_setup.h"

namespace l2o::capi {

class Trainer final : public Object {
 public:
  static constexpr const char* kKind = "trainer";
  const char* kind() const override { return kKind; }

  Trainer(std::shared_ptr<Context> context, std::shared_ptr<OptimizeeObject> optimizee,
          const TrainingConfig& config, const std::string& resolved_config)
      : context_(std::move(context)),
        optimizee_(std::move(optimizee)),
        episodes_(config.episodes),
        config_hash_(XXH64(resolved_config.data(), resolved_config.size(), 0)),
        loop_(context_->backend(), config, make_initial_model(config, resolved_config),
              {{.optimizee = &optimizee_->optimizee()}}) {}

  Context& context() { return *context_; }
  Optimizer model() {
    finish_rollback();
    return loop_.model().only_rule();
  }

  l2o_train_report run_episode() {
    EpisodeReport episode;
    change_or_roll_back([&] {
      loop_.resample();  // the optimizee may have been used for other tasks since the last step
      while (!loop_.run_unroll()) {
      }
      episode = loop_.finish_episode();
    });

    l2o_train_report report = {};
    report.size = sizeof(report);
    report.episode = episode.episode;
    report.episodes = episodes_;
    report.meta_loss = episode.meta_loss;
    report.final_loss = episode.final_loss;
    report.learning_rate = episode.learning_rate;
    report.skipped_updates = loop_.position().skipped_updates;
    return report;
  }
  void check_diverged() const { loop_.check_diverged(); }

  void save(const std::string& path) {
    finish_rollback();
    TrainingCheckpoint checkpoint = loop_.capture();
    checkpoint.config_hash = config_hash_;
    checkpoint.data_hash = optimizee_hash();
    write_file_atomically(path, serialize(checkpoint));
  }

  void resume(const std::string& path) {
    const TrainingCheckpoint checkpoint =
        parse_training_checkpoint(read_file(path, loop_.max_checkpoint_bytes()), path);
    if (checkpoint.config_hash != config_hash_) {
      throw Error(Status::kBadData,
                  fmt::format("training checkpoint {}: it was saved by a trainer with another "
                              "configuration",
                              path));
    }
    if (checkpoint.data_hash != optimizee_hash()) {
      throw Error(Status::kBadData,
                  fmt::format("training checkpoint {}: it was saved by a trainer on another "
                              "optimizee, whose configuration or data differ",
                              path));
    }
    change_or_roll_back([&] { loop_.restore(checkpoint); });
  }

 private:
  /// Identifies the configuration and the data of the optimizee, as far as the library knows them.
  std::uint64_t optimizee_hash() const {
    const std::string& config = optimizee_->config();
    return XXH64(config.data(), config.size(), optimizee_->optimizee().data_fingerprint());
  }

  /// Makes a change; rolls it back if it fails, for example because a callback stopped it.
  template <class Change>
  void change_or_roll_back(Change&& change) {
    finish_rollback();
    before_ = loop_.capture();
    try {
      change();
    } catch (...) {
      // Restoring calls the optimizee too. If that fails as well, the next call tries again.
      guarded([&] { finish_rollback(); });
      throw;
    }
    before_.reset();
  }
  void finish_rollback() {
    if (!before_) return;
    loop_.restore(*before_);
    before_.reset();
  }

  std::shared_ptr<Context> context_;
  std::shared_ptr<OptimizeeObject> optimizee_;
  std::int64_t episodes_;
  std::uint64_t config_hash_;
  TrainingLoop loop_;
  std::optional<TrainingCheckpoint> before_;  // what the loop must be restored to
};

namespace {

std::shared_ptr<Trainer> object_of(const l2o_trainer* handle) {
  return find_object_of<Trainer>(handle);
}

}  // namespace
}  // namespace l2o::capi

using namespace l2o;
using namespace l2o::capi;

void l2o_train_report_init(l2o_train_report* report) {
  guarded([&] {
    require(report, "report");
    *report = {};
    report->size = sizeof(*report);
  });
}

l2o_status l2o_trainer_create(l2o_context* context, const char* config, l2o_optimizee* optimizee,
                              l2o_trainer** trainer) {
  return create(trainer, "trainer", [&] {
    std::shared_ptr<Context> context_object = object_of(context);
    std::shared_ptr<OptimizeeObject> optimizee_object = object_of(optimizee);
    require_same_context(*context_object, *optimizee_object);
    const int tasks = optimizee_object->optimizee().tasks();
    ConfigReader reader = ConfigReader::from_text(text_or_empty(config), "training config");
    const TrainingConfig training = read_loop_config(reader, tasks);
    reader.finish();
    if (training.rules.size() != 1) {
      throw Error(Status::kUsage, fmt::format("the configuration has {} tables [optimizer.NAME]; a "
                                              "trainer trains one rule, for all parameters",
                                              training.rules.size()));
    }
    if (training.tasks != tasks) {
      throw Error(Status::kUsage, fmt::format("train.tasks is {}; the optimizee has {} tasks",
                                              training.tasks, tasks));
    }
    check_task_numbers(training, tasks);
    const Entry entry(*context_object);
    return std::make_shared<Trainer>(context_object, std::move(optimizee_object), training,
                                     reader.resolved());
  });
}

l2o_status l2o_trainer_step(l2o_trainer* trainer, l2o_train_report* report) {
  return guarded([&] {
    const std::shared_ptr<Trainer> object = object_of(trainer);
    if (report != nullptr) {
      require_struct_size(report->size, sizeof(*report), "train_report");
    }
    const Entry entry(object->context());
    const l2o_train_report done = object->run_episode();
    if (report != nullptr) *report = done;
    object->check_diverged();
  });
}

l2o_status l2o_trainer_optimizer(l2o_trainer* trainer, l2o_optimizer** optimizer) {
  return create(optimizer, "optimizer", [&] {
    const std::shared_ptr<Trainer> object = object_of(trainer);
    const Entry entry(object->context());
    return std::make_shared<SharedOptimizer>(object->model());
  });
}

l2o_status l2o_trainer_save(l2o_trainer* trainer, const char* path) {
  return guarded([&] {
    const std::shared_ptr<Trainer> object = object_of(trainer);
    require(path, "path");
    const Entry entry(object->context());
    object->save(path);
  });
}

l2o_status l2o_trainer_resume(l2o_trainer* trainer, const char* path) {
  return guarded([&] {
    const std::shared_ptr<Trainer> object = object_of(trainer);
    require(path, "path");
    const Entry entry(object->context());
    object->resume(path);
  });
}

void l2o_trainer_destroy(l2o_trainer* trainer) { destroy<Trainer>(trainer); }
