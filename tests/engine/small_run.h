// A training run that takes milliseconds, and helpers to inspect its files.
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "host/backend/backend.h"
#include "host/comm/communicator.h"
#include "host/core/config.h"
#include "host/engine/trainer.h"
#include "tests/support/files.h"
#include "tests/support/temporary_directory.h"

namespace l2o::test {

/// 12 episodes of 3 unrolls (3 + 3 + 1 steps), evaluated after every 5, with a checkpoint after
/// every 4 unrolls, and so both between episodes and in the middle of them.
inline const std::string kSmallRun = R"(
seed = 5
[task]
name = "quadratic"
functions = 2
dimension = 3
[optimizer]
layers = 1
hidden = 4
[train]
episodes = 12
steps = 7
unroll_length = 3
tasks = 2
checkpoint_every = 4
[evaluation]
every = 5
runs = 3
)";

struct SmallRun {
  std::string directory;
  std::string config = kSmallRun;
  std::vector<std::string> overrides = {};
  bool resume = false;
  bool overwrite = false;
  bool extend = false;
  int threads = 1;
  const volatile std::sig_atomic_t* stop_signal = nullptr;
  std::function<void(const TrainProgress&)> progress = {};
  std::vector<std::string>* notices = nullptr;
  std::string data = {};
  std::function<void()> poll = {};  // the backend's, called at every opportunity
  Communicator* ranks = &only_rank();

  TrainResult train() const {
    const auto backend = make_backend({.device = DeviceKind::kCpu,
                                       .threads = threads,
                                       .poll = poll,
                                       .poll_interval = std::chrono::milliseconds(0)});
    TrainOptions options{.config = ConfigReader::from_text(config, "small.toml"),
                         .run_directory = directory,
                         .data_directory = data};
    for (const std::string& assignment : overrides) options.config.set(assignment);
    options.resume = resume;
    options.overwrite = overwrite;
    options.extend = extend;
    options.stop_signal = stop_signal;
    options.ranks = ranks;
    if (notices != nullptr) {
      options.notice = [this](const std::string& line) { notices->push_back(line); };
    }
    return l2o::train(*backend, std::move(options), progress);
  }
};

/// Trains in repeated calls that run one unroll each, since the stop signal is set from the start,
/// on one to three threads. Returns the number of calls; `most` + 1 if `most` were not enough.
inline int train_unroll_by_unroll(SmallRun run, int most) {
  const volatile std::sig_atomic_t stop = SIGTERM;
  run.stop_signal = &stop;
  int calls = 0;
  for (bool complete = false; !complete && calls <= most; ++calls) {
    complete = run.train().stopped_by_signal == 0;
    run.resume = true;
    run.threads = 1 + calls % 3;
  }
  return calls;
}

/// The lines of metrics.jsonl.
inline std::vector<nlohmann::json> metrics_of(const std::string& directory) {
  std::istringstream lines(contents(directory + "/metrics.jsonl"));
  std::vector<nlohmann::json> metrics;
  for (std::string line; std::getline(lines, line);) metrics.push_back(nlohmann::json::parse(line));
  return metrics;
}

/// The files that must be equal, byte for byte, in two runs of one configuration.
struct RunBytes {
  std::string metrics, best, final_model;
  bool operator==(const RunBytes&) const = default;
};

inline RunBytes run_bytes(const std::string& directory) {
  return {contents(directory + "/metrics.jsonl"), contents(directory + "/best.safetensors"),
          contents(directory + "/final.safetensors")};
}

inline std::vector<std::string> checkpoint_files(const std::string& directory) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("checkpoint-")) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace l2o::test
