// Runs a suite: compares untuned learned rules with tuned hand-designed ones on many tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/comm/communicator.h"
#include "host/engine/suite_arithmetic.h"
#include "host/engine/suite_config.h"
#include "host/meta/rollout.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

/// Results of one rule in one contest.
struct Contestant {
  std::string name;
  std::optional<double> learning_rate;  ///< none for a learned rule
  UpdateSchedule schedule = UpdateSchedule::kConstant;
  std::vector<double> final_losses;  ///< [runs]
  double final_loss = 0.0;           ///< the mean of final_losses
  double final_loss_se = 0.0;
  double final_loss_iqm = 0.0;
  std::vector<double> curve;  ///< thinned_curve() of the mean over the runs
  // For learned rules only:
  std::optional<Ratio> ratio;            ///< to the best baseline
  std::optional<Ratio> reference_ratio;  ///< to the reference
  std::optional<int> steps_to_best;      ///< steps to reach the best baseline's final loss
};

/// One member at one length.
struct Contest {
  std::string member;
  int steps = 0;
  int runs = 0;
  int tuning_runs = 0;
  std::vector<Contestant> learned;  ///< in the order of the models
  std::vector<Contestant> baselines;
  std::optional<Contestant> reference;
  std::optional<std::size_t> best;  ///< index of the best baseline; none if all diverged
};

/// Aggregates the contests of one model.
struct Summary {
  std::string model;
  std::optional<int> steps;  ///< length of the contests included; none: all lengths
  int contests = 0;          ///< contests that have a ratio
  double geometric_mean = 1.0;
  double worst = 0.0;
  std::string worst_member;
  int worst_steps = 0;
  int wins = 0;  ///< ratios below 1
  // The same relative to the reference.
  int reference_contests = 0;
  double reference_geometric_mean = 1.0;
  double reference_worst = 0.0;
  std::string reference_worst_member;
  int reference_wins = 0;
};

struct SuiteReport {
  std::string name;
  std::uint64_t seed = 0;
  std::string device;
  std::string precision;  ///< of the learned rules; empty on a CPU
  StepScaling scaling;    ///< of the learned rules
  std::vector<UpdateSchedule> baseline_schedules;
  std::vector<std::string> models;
  std::string reference;          ///< empty: none
  std::vector<Contest> contests;  ///< by member, then by length

  /// For every model: one summary per length, then one over all lengths.
  std::vector<Summary> summaries() const;
};

struct SuiteModel {
  std::string name;
  Model model;
};

struct SuiteProgress {
  std::string line;  ///< describes the current work, or the work just finished
  bool finished;     ///< a contest's baselines, or a learned rule's run of it, are finished
  double fraction;
  double seconds_left;
};

struct SuiteOptions {
  std::string name;
  std::vector<SuiteModel> models;
  StepScales scales;  ///< for the learned rules; their schedule is the suite's
  std::string data_directory;
  std::string cache_directory;  ///< for the baselines' runs; empty: none
  /// Called with the files of the members' data, once all members are known to be valid; may throw.
  std::function<void(const std::vector<std::string>& data_files)> before_runs;
  std::function<void()> before_step;  ///< may throw, which aborts the suite
  std::function<void(const std::string&)> notice;
  std::function<void(const SuiteProgress&)> progress;
  /// They share the tasks of every rule and every rate; all have the report.
  Communicator* ranks = &only_rank();
};

/// Runs the baselines of all contests first, then the learned rules, so that with a cache, which
/// holds only baselines, the remaining time is known at once. Learning rates are tuned by
/// search_frugally(), which starts at every length from the best rate at the previous length, and
/// under every schedule after the first from the best rate under the first. Errors in the suite's
/// keys, a member's data or a model's groups, and those of before_runs, are detected before the
/// first step. Collective.
SuiteReport run_suite(Backend& backend, const SuiteConfig& suite, const SuiteOptions& options);

}  // namespace l2o
