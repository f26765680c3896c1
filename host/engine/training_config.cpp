#include "host/engine/training_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "host/core/error.h"
#include "host/engine/baseline.h"
#include "host/engine/limits.h"
#include "host/optimizer/lstm_settings.h"

namespace l2o {
namespace {

constexpr std::int64_t kMaxShards = 1 << 16;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;

int small_integer(ConfigReader& table, const std::string& key, int default_value, int min,
                  int max) {
  return static_cast<int>(table.integer(key, default_value, min, max));
}

/// Reads a key whose value is one of the names in `values`.
template <class Value>
Value named(ConfigReader& table, const std::string& key, const std::string& default_name,
            const std::map<std::string, Value>& values) {
  std::vector<std::string> names;
  names.reserve(values.size());
  for (const auto& [name, value] : values) names.push_back(name);
  return values.at(table.choice(key, default_name, names));
}

LossWeights read_loss_weights(ConfigReader& train, int unroll_length) {
  LossWeights weights;
  if (!train.has("loss_weights") || train.is_text("loss_weights")) {
    weights.kind = named<LossWeights::Kind>(train, "loss_weights", "all",
                                            {{"all", LossWeights::Kind::kAll},
                                             {"final", LossWeights::Kind::kFinal},
                                             {"linear", LossWeights::Kind::kLinear}});
    return weights;
  }
  weights.kind = LossWeights::Kind::kList;
  weights.list = train.numbers("loss_weights", {}, 0.0, 1e6);
  const std::size_t expected = static_cast<std::size_t>(unroll_length) + 1;
  if (weights.list.size() != expected) {
    throw Error(Status::kUsage,
                "train.loss_weights has " + std::to_string(weights.list.size()) +
                    " numbers; expected unroll_length + 1 = " + std::to_string(expected) +
                    ", one for each evaluation of an unroll");
  }
  // Check the last two, so that an unroll of any length has a meta-loss.
  if (weights.list[expected - 1] + weights.list[expected - 2] <= 0.0) {
    throw Error(Status::kUsage,
                "train.loss_weights ends with two zeros; expected a weight above 0 among the last "
                "two numbers, the only ones that the shortest unroll uses");
  }
  return weights;
}

/// steps = 100, or [60, 1000].
void read_episodes(ConfigReader& train, EpisodeConfig& config) {
  Truncation& truncation = config.truncation;
  if (train.is_list("steps")) {
    const std::vector<std::int64_t> range = train.integers("steps", {}, 1, kMaxSteps);
    if (range.size() != 2 || range[0] > range[1]) {
      throw Error(Status::kUsage, fmt::format("{}: expected a number, or a shortest and a longest "
                                              "episode as in [60, 1000]",
                                              train.place("steps")));
    }
    config.min_steps = static_cast<int>(range[0]);
    truncation.num_steps = static_cast<int>(range[1]);
    config.independent = true;
  } else {
    truncation.num_steps = small_integer(train, "steps", 100, 1, kMaxSteps);
    config.min_steps = truncation.num_steps;
  }
  truncation.unroll_length = small_integer(train, "unroll_length", 20, 1, kMaxSteps);
  using Schedule = EpisodeConfig::Schedule;
  config.schedule = named<Schedule>(train, "schedule", "constant",
                                    {{"constant", Schedule::kConstant},
                                     {"cosine", Schedule::kCosine},
                                     {"mixed", Schedule::kMixed}});
}

void read_train(ConfigReader train, int default_tasks, TrainingConfig& config) {
  config.episodes = train.integer("episodes", 1000, 1, kMaxCount);
  read_episodes(train, config.episode);
  config.tasks = small_integer(train, "tasks", default_tasks, 1, kMaxTasks);
  config.loss_weights = read_loss_weights(train, config.episode.truncation.unroll_length);
  config.logarithmic = train.choice("loss", "value", {"value", "log"}) == "log";
  config.recompute_budget =
      static_cast<std::size_t>(train.integer("recompute_budget", 0, 0, kMaxCount));
  config.max_skipped_updates = small_integer(train, "max_skipped_updates", 20, 1, kMaxSteps);
}

void read_meta_optimizer(ConfigReader meta, MetaOptimizerConfig& config) {
  using Kind = LearningRateSchedule::Kind;
  config.learning_rate.rate = meta.number("learning_rate", 3e-3, 1e-12, 1e3);
  config.learning_rate.kind = named<Kind>(meta, "schedule", "cosine",
                                          {{"constant", Kind::kConstant},
                                           {"cosine", Kind::kCosine},
                                           {"exponential", Kind::kExponential}});
  config.learning_rate.final_fraction = meta.number("final_fraction", 0.01, 1e-9, 1.0);
  config.beta1 = meta.number("beta1", 0.9, 0.0, 0.999999);
  config.beta2 = meta.number("beta2", 0.999, 0.0, 0.999999);
  config.epsilon = meta.number("epsilon", 1e-8, 1e-30, 1.0);
  config.clip_norm = meta.number("clip_norm", 0.0, 0.0, 1e30);
}

/// Members that start episodes independently need unrolls of equal length.
void check_independent_members(const TrainingConfig& config) {
  const Truncation& truncation = config.episode.truncation;
  if (!config.episode.independent || truncation.num_steps % truncation.unroll_length == 0) return;
  throw Error(Status::kUsage,
              fmt::format("train.steps = {} with train.unroll_length = {}: expected whole unrolls "
                          "if train.steps is a range or meta_optimizer.member_clip_norm is set",
                          truncation.num_steps, truncation.unroll_length));
}

void read_evaluation(ConfigReader evaluation, TrainingConfig& config) {
  config.evaluate_every = evaluation.integer("every", 100, 1, kMaxCount);
  config.evaluation_runs = small_integer(evaluation, "runs", 16, 1, kMaxTasks);
  config.evaluation_steps =
      small_integer(evaluation, "steps", config.episode.truncation.num_steps, 1, kMaxSteps);
  config.evaluation_schedule = read_schedule(evaluation);
  config.evaluation_average = small_integer(evaluation, "average", 1, 1, kMaxSteps);
}

}  // namespace

void read_rule_config(ConfigReader optimizer, RuleConfig& config) {
  optimizer.choice("cell", "lstm", {"lstm"});
  config.lstm = read_lstm_settings(optimizer);
  config.output_init = named<OutputInit>(
      optimizer, "output_init", "zero",
      {{"zero", OutputInit::kZero}, {"truncated_normal", OutputInit::kTruncatedNormal}});
}

ValidationConfig TrainingConfig::validation() const {
  return {.runs = evaluation_runs,
          .steps = evaluation_steps,
          .average = evaluation_average,
          .schedule = evaluation_schedule,
          .logarithmic = logarithmic,
          .seed = seed,
          .shards = shards};
}

std::uint64_t read_seed(ConfigReader& config) {
  return static_cast<std::uint64_t>(
      config.integer("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
}

namespace {

/// The keys of a model file contain the names of its rules, and separate them with commas and dots.
void check_rule_name(const std::string& name) {
  constexpr std::string_view kCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  if (!name.empty() && name.find_first_not_of(kCharacters) == std::string::npos) return;
  throw Error(Status::kUsage, fmt::format("[optimizer.\"{}\"]: expected the name of a rule to "
                                          "consist of letters, digits, _ and -",
                                          name));
}

/// Reads one sub-table per rule, or the table itself if it has none.
std::vector<RuleConfig> read_rules(ConfigReader optimizer) {
  std::vector<RuleConfig> rules;
  for (const std::string& name : optimizer.table_names()) {
    check_rule_name(name);
    ConfigReader table = optimizer.table(name);
    RuleConfig& rule = rules.emplace_back();
    rule.group = {.name = name, .patterns = table.texts("parameters", {})};
    read_rule_config(table, rule);
    const std::vector<std::string>& patterns = rule.group.patterns;
    const bool usable = !patterns.empty() &&
                        std::none_of(patterns.begin(), patterns.end(), [](const auto& pattern) {
                          return pattern.empty() || pattern.find(',') != std::string::npos;
                        });
    if (!usable) {
      throw Error(Status::kUsage,
                  fmt::format("optimizer.{0}.parameters: expected a list of patterns "
                              "of parameter names, as in parameters = [\"conv*\"]",
                              name));
    }
  }
  if (rules.empty()) read_rule_config(optimizer, rules.emplace_back());
  return rules;
}

}  // namespace

TrainingConfig read_loop_config(ConfigReader& config, int default_tasks) {
  TrainingConfig result;
  result.seed = read_seed(config);
  result.rules = read_rules(config.table("optimizer"));
  read_train(config.table("train"), default_tasks, result);
  ConfigReader meta = config.table("meta_optimizer");
  read_meta_optimizer(meta, result.meta_optimizer);
  result.member_clip_norm = meta.number("member_clip_norm", 0.0, 0.0, 1e30);
  if (result.by_member()) result.episode.independent = true;
  check_independent_members(result);
  return result;
}

TrainingConfig read_training_config(ConfigReader& config) {
  TrainingConfig result = read_loop_config(config, 1);
  ConfigReader train = config.table("train");
  result.shards = train.integer("shards", 1, 1, kMaxShards);
  result.checkpoint_every = train.integer("checkpoint_every", 500, 1, kMaxCount);
  result.from = train.path("from", "");
  read_evaluation(config.table("evaluation"), result);
  return result;
}

Model make_initial_model(const TrainingConfig& config, const std::string& resolved_config) {
  Model model;
  for (const RuleConfig& rule : config.rules) {
    const auto stream = static_cast<std::uint32_t>(model.rules.size());
    model.rules.push_back(
        {rule.group, make_lstm_optimizer(rule.lstm, rule.output_init, config.seed, stream)});
    model.rules.back().optimizer.trained_on = resolved_config;
  }
  return model;
}

}  // namespace l2o
