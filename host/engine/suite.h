// A suite run: learned rules against tuned hand-designed ones on many tasks, with nothing of the
// learned ones tuned.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/engine/suite_arithmetic.h"
#include "host/engine/suite_config.h"
#include "host/meta/rollout.h"
#include "host/optimizer/optimizer.h"

namespace l2o {

/// How one rule did in one contest.
struct Contestant {
  std::string name;
  std::optional<double> learning_rate;  ///< none for a learned rule
  UpdateSchedule schedule = UpdateSchedule::kConstant;
  std::vector<double> final_losses;  ///< [runs]
  double final_loss = 0.0;           ///< their mean
  double final_loss_se = 0.0;
  double final_loss_iqm = 0.0;
  std::vector<double> curve;  ///< thinned_curve() of the mean over the runs
  // Of a learned rule alone:
  std::optional<Ratio> ratio;            ///< to the best baseline
  std::optional<Ratio> reference_ratio;  ///< to the reference
  std::optional<int> steps_to_best;      ///< until it has the best baseline's final loss
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
  std::optional<std::size_t> best;  ///< of the baselines; none where all of them diverged
};

/// What contests come to for one model.
struct Summary {
  std::string model;
  std::optional<int> steps;  ///< of the contests of this length; none: of all
  int contests = 0;          ///< that have a ratio
  double geometric_mean = 1.0;
  double worst = 0.0;
  std::string worst_member;
  int worst_steps = 0;
  int wins = 0;  ///< ratios below 1
  // The same to the reference.
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
  std::string precision;  ///< of the learned rules; empty on a processor
  StepScaling scaling;    ///< of the learned rules
  std::vector<UpdateSchedule> baseline_schedules;
  std::vector<std::string> models;
  std::string reference;          ///< empty: there was none
  std::vector<Contest> contests;  ///< by member, then by length

  /// Of every model: for each length, then over all.
  std::vector<Summary> summaries() const;
};

struct SuiteModel {
  std::string name;
  Model model;
};

struct SuiteProgress {
  std::string line;  ///< what is being done, or has been
  bool finished;     ///< a contest's baselines, or a learned rule's run of it
  double fraction;
  double seconds_left;
};

struct SuiteOptions {
  std::string name;
  std::vector<SuiteModel> models;
  StepScales scales;  ///< of the learned rules; their schedule is the suite's
  std::string data_directory;
  std::string cache_directory;        ///< of baselines' runs; empty: none
  std::function<void()> before_step;  ///< may throw, which ends the suite
  std::function<void(const std::string&)> notice;
  std::function<void(const SuiteProgress&)> progress;
};

/// The baselines of all contests first, then the learned rules, so that with a cache, which has the
/// baselines alone, the time left is known at once. A rule's rate is searched by search_frugally(),
/// at every length from where it was best at the one before, under every schedule after the first
/// from where it was best under that. What is wrong with a member, its data or a model's groups is
/// found before any time is spent.
SuiteReport run_suite(Backend& backend, const SuiteConfig& suite, const SuiteOptions& options);

}  // namespace l2o
