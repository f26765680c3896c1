#include "host/engine/validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "host/core/error.h"
#include "host/engine/stop.h"
#include "host/meta/loss_weights.h"

namespace l2o {

Validation::Validation(Backend& backend, const std::vector<MemberConfig>& configs,
                       const std::vector<Member>& members, const std::string& data_directory,
                       const Model& model, const ValidationConfig& config)
    : config_(config), seed_(stream_seed(config.seed, TaskStream::kValidation)) {
  for (std::size_t m = 0; m < members.size(); ++m) {
    ConfigReader options = configs[m].options;
    // Batches, which determine the movements, depend on the shards, not on the number of ranks.
    const auto runs = static_cast<int>((config.runs + config.shards - 1) / config.shards);
    const int tasks = rollout_tasks(model.cells(), members[m].optimizee->coordinates(), runs);
    auto optimizee = make_optimizee({backend, tasks, data_directory}, options);
    optimizee->assign_groups(model.groups());
    Rollout rollout(backend, model.cells(), *optimizee, config.steps);
    members_.push_back({members[m].weight, std::move(optimizee), std::move(rollout)});
  }
}

int Validation::batches(const Runs& runs) const {
  const int tasks = runs.optimizee->tasks();
  return (config_.runs + tasks - 1) / tasks;
}

void Validation::run_batch(Runs& runs, int batch, DeviceOptimizer& optimizer,
                           Outcome& outcome) const {
  const int tasks = runs.optimizee->tasks(), first = batch * tasks;
  const auto curves = runs.rollout.run(optimizer, {seed_, static_cast<std::uint32_t>(first)},
                                       {.schedule = config_.schedule});
  // The last batch may hold more tasks than are needed.
  const int wanted = std::min(tasks, config_.runs - first);
  for (int task = 0; task < wanted; ++task) {
    const std::vector<float>& curve = curves[static_cast<std::size_t>(task)];
    const auto last = curve.end() - std::min(config_.average, config_.steps + 1);
    double sum = 0.0;
    for (auto loss = last; loss != curve.end(); ++loss) {
      sum += meta_value(double{*loss}, config_.logarithmic);
    }
    const auto run = static_cast<std::size_t>(first) + static_cast<std::size_t>(task);
    outcome.final[run] = sum / static_cast<double>(curve.end() - last);
    outcome.initial[run] = meta_value(double{curve.front()}, config_.logarithmic);
  }
  if (batch + 1 == batches(runs)) outcome.movements = runs.rollout.movement();
}

std::vector<Validation::Outcome> Validation::run(DeviceOptimizer& optimizer, Communicator& ranks) {
  std::vector<Outcome> outcomes;
  std::vector<int> owners;  // ranks that run the batches of all members
  for (const Runs& runs : members_) {
    const auto count = static_cast<std::size_t>(config_.runs);
    outcomes.push_back({std::vector<double>(count), std::vector<double>(count),
                        std::vector<double>(runs.optimizee->layout().tensors().size())});
    for (int batch = 0; batch < batches(runs); ++batch) {
      owners.push_back(static_cast<int>(owners.size()) % ranks.size());
    }
  }
  Stop stop;
  try {
    auto owner = owners.begin();
    for (std::size_t m = 0; m < members_.size(); ++m) {
      for (int batch = 0; batch < batches(members_[m]); ++batch) {
        if (*owner++ == ranks.rank()) run_batch(members_[m], batch, optimizer, outcomes[m]);
      }
    }
  } catch (const Error& error) {
    stop = Stop(error);
  }
  stop.agree(ranks);
  if (ranks.size() > 1) exchange(outcomes, owners, ranks);
  return outcomes;
}

void Validation::exchange(std::vector<Outcome>& outcomes, const std::vector<int>& owners,
                          Communicator& ranks) const {
  std::vector<double> mine;
  for (const Outcome& outcome : outcomes) {
    for (const auto* part : {&outcome.initial, &outcome.final, &outcome.movements}) {
      mine.insert(mine.end(), part->begin(), part->end());
    }
  }
  const std::vector<double> all = all_gathered(ranks, mine);
  auto owner = owners.begin();
  std::size_t place = 0;  // within a rank's block
  for (std::size_t m = 0; m < members_.size(); ++m) {
    const auto sent_by = [&](int rank, std::size_t i) {
      return all[static_cast<std::size_t>(rank) * mine.size() + place + i];
    };
    Outcome& outcome = outcomes[m];
    const std::size_t runs = outcome.final.size();
    const auto tasks = static_cast<std::size_t>(members_[m].optimizee->tasks());
    for (std::size_t run = 0; run < runs; ++run) {
      const int rank = *(owner + static_cast<std::ptrdiff_t>(run / tasks));
      outcome.initial[run] = sent_by(rank, run);
      outcome.final[run] = sent_by(rank, runs + run);
    }
    owner += batches(members_[m]);
    for (std::size_t i = 0; i < outcome.movements.size(); ++i) {
      outcome.movements[i] = sent_by(*(owner - 1), 2 * runs + i);
    }
    place += 2 * runs + outcome.movements.size();
  }
}

ValidationResult Validation::judge(DeviceOptimizer& optimizer, const std::vector<double>& scales,
                                   Communicator& ranks) {
  ValidationResult result;
  const std::vector<Outcome> outcomes = run(optimizer, ranks);
  for (std::size_t m = 0; m < members_.size(); ++m) {
    const Outcome& outcome = outcomes[m];
    const auto mean = [&](const std::vector<double>& values) {
      return std::accumulate(values.begin(), values.end(), 0.0) / config_.runs;
    };
    const double initial = mean(outcome.initial);
    double final = mean(outcome.final);
    if (!std::isfinite(final)) final = std::numeric_limits<double>::infinity();
    const double weight = members_[m].weight / (config_.logarithmic ? 1.0 : scales[m]);
    result.loss += weight * final;
    result.initial_loss += weight * initial;
    result.member_losses.push_back(final);
    std::vector<ValidationResult::Movement>& movements = result.movements.emplace_back();
    for (std::size_t i = 0; i < outcome.movements.size(); ++i) {
      movements.push_back(
          {members_[m].optimizee->layout().tensors()[i].name, outcome.movements[i]});
    }
  }
  return result;
}

std::vector<double> initial_losses(Backend& backend, const std::vector<MemberConfig>& configs,
                                   const std::vector<Member>& members,
                                   const std::string& data_directory, std::uint64_t seed,
                                   std::int64_t shards, Communicator& ranks) {
  constexpr int kTasks = 64;
  const Model any = make_model(make_hand_designed_optimizer("sgd", 0.0F));
  Validation validation(backend, configs, members, data_directory, any,
                        {.runs = kTasks,
                         .steps = 0,
                         .seed = stream_seed(seed, TaskStream::kScale),
                         .shards = shards});
  DeviceOptimizer optimizer(backend, any);
  std::vector<double> losses =
      validation.judge(optimizer, std::vector<double>(members.size(), 1.0), ranks).member_losses;
  for (std::size_t m = 0; m < members.size(); ++m) {
    if (std::isfinite(losses[m]) && losses[m] > 0.0) continue;
    throw Error(Status::kDiverged,
                fmt::format("[[task]] {}: its loss at the start is {}, which scale = \"initial\" "
                            "cannot divide by; give scale a number",
                            members[m].name, losses[m]));
  }
  return losses;
}

}  // namespace l2o
