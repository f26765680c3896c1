#include "host/engine/training_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "host/core/error.h"
#include "host/optimizer/lstm_settings.h"

namespace l2o {
namespace {

constexpr int kMaxSteps = 10'000'000;
constexpr int kMaxTasks = 1'000'000;
constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;

int small_integer(ConfigReader& table, const std::string& key, int default_value, int min,
                  int max) {
  return static_cast<int>(table.integer(key, default_value, min, max));
}

/// A key that takes one of the names in `values`.
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
  // The last two, so that an unroll of any length has a meta-loss.
  if (weights.list[expected - 1] + weights.list[expected - 2] <= 0.0) {
    throw Error(Status::kUsage,
                "train.loss_weights ends with two zeros; expected a weight above 0 among the last "
                "two numbers, the only ones that the shortest unroll uses");
  }
  return weights;
}

void read_train(ConfigReader train, int default_tasks, TrainingConfig& config) {
  config.episodes = train.integer("episodes", 1000, 1, kMaxCount);
  config.truncation.num_steps = small_integer(train, "steps", 100, 1, kMaxSteps);
  config.truncation.unroll_length = small_integer(train, "unroll_length", 20, 1, kMaxSteps);
  config.tasks = small_integer(train, "tasks", default_tasks, 1, kMaxTasks);
  config.loss_weights = read_loss_weights(train, config.truncation.unroll_length);
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

void read_evaluation(ConfigReader evaluation, TrainingConfig& config) {
  config.evaluate_every = evaluation.integer("every", 100, 1, kMaxCount);
  config.evaluation_runs = small_integer(evaluation, "runs", 16, 1, kMaxTasks);
  config.evaluation_steps =
      small_integer(evaluation, "steps", config.truncation.num_steps, 1, kMaxSteps);
}

}  // namespace

void read_rule_config(ConfigReader optimizer, RuleConfig& config) {
  optimizer.choice("cell", "lstm", {"lstm"});
  config.lstm = read_lstm_settings(optimizer);
  config.output_init = named<OutputInit>(
      optimizer, "output_init", "zero",
      {{"zero", OutputInit::kZero}, {"truncated_normal", OutputInit::kTruncatedNormal}});
}

std::uint64_t read_seed(ConfigReader& config) {
  return static_cast<std::uint64_t>(
      config.integer("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
}

namespace {

/// A sub-table a rule; or the table itself, where it has none.
std::vector<RuleConfig> read_rules(ConfigReader optimizer) {
  std::vector<RuleConfig> rules;
  for (const std::string& name : optimizer.table_names()) {
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
  read_meta_optimizer(config.table("meta_optimizer"), result.meta_optimizer);
  return result;
}

TrainingConfig read_training_config(ConfigReader& config) {
  TrainingConfig result = read_loop_config(config, 1);
  ConfigReader train = config.table("train");
  result.checkpoint_every = train.integer("checkpoint_every", 500, 1, kMaxCount);
  result.from = train.text("from", "");
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
