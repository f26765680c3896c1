// l2o train: meta-training into a run directory.
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/cli/checked_option.h"
#include "host/cli/command.h"
#include "host/cli/config_flags.h"
#include "host/cli/device_flags.h"
#include "host/cli/output.h"
#include "host/cli/progress.h"
#include "host/cli/ranks.h"
#include "host/cli/stop_signal.h"
#include "host/core/config.h"
#include "host/core/error.h"
#include "host/engine/run_directory.h"
#include "host/engine/trainer.h"
#include "host/engine/training_config.h"

namespace l2o::cli {
namespace {

struct TrainFlags {
  ConfigFlags config;
  std::string out;
  std::optional<std::int64_t> seed;
  std::string from;
  std::optional<std::int64_t> extend;
  bool resume = false;
  bool overwrite = false;
  bool profile = false;
  int timeout = kDefaultTimeout;  // seconds
  DeviceFlags device;
};

/// Prints a breakdown of the time of every rank. Collective.
void say_profile(const Profile& mine, const Rank& rank) {
  const std::vector<double> parts = {mine.step,     mine.gradient, mine.backward,
                                     mine.exchange, mine.wait,     mine.total};
  const std::vector<double> all = all_gathered(rank.communicator, parts);
  if (!rank.is_root()) return;
  say("seconds    step  gradient  backward  exchange      wait      rest       all");
  for (int number = 0; number < rank.communicator.size(); ++number) {
    const double* const of_rank = all.data() + static_cast<std::size_t>(number) * parts.size();
    const double total = of_rank[parts.size() - 1];
    std::string line = fmt::format("rank {:<2}", number);
    double rest = total;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      line += fmt::format("{:{}.3f}", of_rank[i], i == 0 ? 8 : 10);
      rest -= of_rank[i];
    }
    say(fmt::format("{}{:10.3f}{:10.3f}", line, rest, total));
  }
}

int run_train(const TrainFlags& flags, const Rank& rank) {
  ConfigReader config = read_config(flags.config);
  if (flags.seed) config.set(fmt::format("seed={}", *flags.seed));
  if (!flags.from.empty()) config.set_text("train", "from", flags.from);
  if (flags.extend) config.set(fmt::format("train.episodes={}", *flags.extend));

  const TrainingConfig resolved = read_training_config(config);
  const std::string run = flags.out + "/";
  if (!flags.resume && !flags.extend) {
    require_separate({{"the configuration", config_path(flags.config.config)}},
                     {{"--out", run + RunDirectory::kConfig}});
  }
  if (!resolved.from.empty()) {
    require_separate({{"train.from", resolved.from}}, {{"--out", run + RunDirectory::kBestModel},
                                                       {"--out", run + RunDirectory::kFinalModel}});
  }

  const std::unique_ptr<Backend> backend = open_backend(flags.device, rank);

  TrainOptions options{
      .config = config,
      .run_directory = flags.out,
      .data_directory = flags.config.data,
      .resume = flags.resume,
      .overwrite = flags.overwrite,
      .extend = flags.extend.has_value(),
      .stop_signal = &stop_signal(),
      .ranks = &rank.communicator,
      .notice = [](const std::string& line) { say("l2o: " + line); },
      // A run that fails to start prints only the reason.
      .started =
          [&](const std::string& memory) {
            catch_stop_signals();  // the first one requests a checkpoint and a clean end
            if (!rank.is_root()) return;
            say_what_auto_chose(flags.device, *backend);
            const DeviceInfo& device = backend->device();
            const int ranks = rank.communicator.size();
            say(fmt::format("{} episodes, seed {}, {}on {}: {}, {}\n{}", resolved.episodes,
                            resolved.seed, ranks == 1 ? "" : fmt::format("{} ranks ", ranks),
                            device.name, device.description, precision_name(device.precision),
                            memory));
          }};
  Profile profile;
  if (flags.profile) options.profile = &profile;
  TrainResult result;
  {
    ProgressPrinter printer;
    result = train(*backend, options, [&](const TrainProgress& progress) {
      if (rank.is_root()) printer.show(progress);
    });
  }
  if (flags.profile) say_profile(profile, rank);
  const bool was_stopped = result.stopped_by_signal != 0;
  const Status stop =
      result.stopped_by_signal == SIGINT ? Status::kInterrupted : Status::kTerminated;
  if (!rank.is_root()) return was_stopped ? static_cast<int>(stop) : 0;
  if (result.skipped_updates > 0) {
    say(fmt::format("l2o: {} meta-updates were skipped: their gradient was non-finite",
                    result.skipped_updates));
  }
  if (was_stopped) {
    say(fmt::format("l2o: stopped by {} after {} episodes; --resume continues from there",
                    stop == Status::kInterrupted ? "SIGINT" : "SIGTERM", result.episodes));
    return static_cast<int>(stop);
  }
  print_result(fmt::format("best validation loss {:.5g} after episode {} of {}: {}\n",
                           result.best_validation, result.best_episode, result.episodes,
                           result.best_model));
  return 0;
}

}  // namespace

Command add_train_command(CLI::App& verb) {
  auto flags = std::make_shared<TrainFlags>();
  add_path_option(verb, "--out", flags->out, "run directory: config, metrics, checkpoints, models",
                  "DIR")
      ->required();
  add_config_flags(verb, "training configuration: a TOML file (docs/config.md)", flags->config);
  add_integer_option<std::optional<std::int64_t>, std::int64_t>(
      verb, "--seed", flags->seed, "override the config's seed", "N", 0);
  add_device_flags(verb, flags->device);
  add_timeout_flag(verb, flags->timeout);
  verb.add_flag("--profile", flags->profile,
                "print where the time of every rank went; measuring adds some overhead");
  CLI::Option* resume = verb.add_flag("--resume", flags->resume,
                                      "continue from the run directory's newest checkpoint");
  CLI::Option* extend =
      add_integer_option<std::optional<std::int64_t>, std::int64_t>(
          verb, "--extend", flags->extend,
          "continue a run, even a finished one, until it has this many episodes", "EPISODES", 1)
          ->excludes(resume);
  verb.add_flag("--overwrite", flags->overwrite, "replace an earlier run in the run directory")
      ->excludes(resume)
      ->excludes(extend);
  add_path_option(verb, "--from", flags->from,
                  "start with the rules of a model instead of fresh ones", "MODEL");
  verb.footer(
      "Examples:\n"
      "  l2o train examples/demo.toml --out out/demo\n"
      "  l2o train examples/demo.toml --out out/long --set train.episodes=20000 --seed 7\n"
      "  l2o train examples/demo.toml --out out/long --set train.episodes=20000 --seed 7 --resume\n"
      "  l2o train examples/demo.toml --out out/long --extend 40000\n"
      "  l2o train mine.toml --out out/mine --from models/mnist.safetensors\n"
      "  mpirun -n 4 l2o train mine.toml --out out/mine --set train.shards=12\n"
      "SIGINT or SIGTERM (SIGHUP and SIGUSR1 likewise) saves a checkpoint within a second and "
      "ends\n"
      "with 130 or 143; a second SIGINT ends at once.");
  return [flags] {
    return run_on_ranks(std::chrono::seconds(flags->timeout),
                        [&](const Rank& rank) { return run_train(*flags, rank); });
  };
}

}  // namespace l2o::cli
