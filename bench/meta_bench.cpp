// Benchmarks of meta-training: a whole unroll, T = 20 (the steps with their gradients, the
// meta-gradient, Adam on phi, and packing phi for the next one), recorded and repeated if the
// device does that, and op by op; a mixture of families together and one by one; and an episode as
// `l2o train` runs it.
#include <fmt/format.h>

#include "bench/bench_context.h"
#include "host/engine/training_loop.h"
#include "host/meta/meta_optimizer.h"
#include "host/meta/unroll.h"
#include "host/optimizer/optimizer.h"

namespace l2o {
namespace {

constexpr Truncation kTruncation{.num_steps = 20, .unroll_length = 20};

struct MetaCase {
  const char* optimizee;
  int tasks;
};

// The largest is for GPUs.
constexpr MetaCase kMetaCases[] = {{"quadratic", 1}, {"quadratic", 8}, {"quadratic", 64},
                                   {"mnist", 1},     {"mnist", 8},     {"mnist", 64}};
constexpr int kMaxCpuTasks = 8;

std::unique_ptr<Optimizee> optimizee_of(BenchContext& context, const MetaCase& what) {
  ConfigReader options =
      ConfigReader::from_text(fmt::format("name = \"{}\"\n", what.optimizee), "bench");
  return make_optimizee({context.backend, what.tasks, context.data_dir}, options);
}

/// Counters: megabytes that Unroll plans to use, and that it used.
void count_memory(benchmark::State& state, std::size_t planned, std::size_t taken) {
  state.counters["planned_MB"] = static_cast<double>(planned) * 1e-6;
  state.counters["taken_MB"] = static_cast<double>(taken) * 1e-6;
}

void bench_meta_training_unroll(benchmark::State& state, BenchContext& context,
                                const MetaCase& what, bool recorded) {
  CostMeter& backend = context.backend;
  backend.set_records(recorded);
  const std::unique_ptr<Optimizee> optimizee = optimizee_of(context, what);
  DeviceOptimizer rule(backend, make_lstm_optimizer({}, OutputInit::kZero, 1));
  rule.pack();
  const std::size_t in_use = backend.memory_in_use();
  const std::vector<Member> members = {{.optimizee = optimizee.get()}};
  Unroll unroll(backend, {rule.cell()}, members, kTruncation, {}, 0);
  count_memory(state, Unroll::memory(backend, {rule.cell()}, members, kTruncation, 0).total(),
               backend.memory_in_use() - in_use);
  MetaOptimizer meta_optimizer(backend, {}, rule.meta_parameters().size());
  meta_optimizer.set_learning_rate(1e-3);
  unroll.start_episode({{.seed = 1, .first = 0}});
  const auto n = static_cast<double>(unroll.space().total());
  run_iterations(state, context, n * kTruncation.unroll_length, [&] {
    unroll.forward_and(rule, {0}, [&] {
      unroll.backward(rule, meta_optimizer.meta_gradient());
      meta_optimizer.update(rule, unroll.device_losses(), unroll.loss_count());
    });
  });
  backend.set_records(true);
}

// Eight families of networks on MNIST, of 8,000 to 26,000 coordinates per task.
constexpr const char* kFamilies[] = {
    R"(["dense 10", "relu"])",
    R"(["dense 15", "tanh"])",
    R"(["dense 20", "sigmoid"])",
    R"(["dense 25", "elu"])",
    R"(["dense 20", "relu", "dense 20", "relu"])",
    R"(["dense 30", "layer_norm", "gelu"])",
    R"(["dense 20", "batch_norm", "relu"])",
    R"(["dense 32", "softplus"])",
};

/// Runs an unroll and its meta-gradient on a mixture of the eight, or on each of them alone, one
/// after the other.
void bench_mixture_unroll(benchmark::State& state, BenchContext& context, bool together) {
  CostMeter& backend = context.backend;
  std::vector<std::unique_ptr<Optimizee>> optimizees;
  std::vector<std::vector<Member>> mixtures;
  for (const char* layers : kFamilies) {
    ConfigReader options = ConfigReader::from_text(
        fmt::format("name = \"mnist\"\nlayers = {}\nbatch_size = 32\n", layers), "bench");
    optimizees.push_back(make_optimizee({context.backend, 1, context.data_dir}, options));
    if (mixtures.empty() || !together) mixtures.emplace_back();
    mixtures.back().push_back({.optimizee = optimizees.back().get()});
  }
  DeviceOptimizer rule(backend, make_lstm_optimizer({}, OutputInit::kZero, 1));
  rule.pack();
  std::vector<Unroll> unrolls;
  double n = 0.0;
  for (const std::vector<Member>& members : mixtures) {
    unrolls.emplace_back(backend, std::vector{rule.cell()}, members, kTruncation, LossWeights{},
                         std::size_t{0});
    unrolls.back().start_episode(
        std::vector<TaskRange>(members.size(), TaskRange{.seed = 1, .first = 0}));
    n += static_cast<double>(unrolls.back().space().total());
  }
  MetaOptimizer meta_optimizer(backend, {}, rule.meta_parameters().size());
  run_iterations(state, context, n * kTruncation.unroll_length, [&] {
    for (Unroll& unroll : unrolls) {
      unroll.forward_and(rule, {0}, [&] { unroll.backward(rule, meta_optimizer.meta_gradient()); });
    }
  });
}

/// Runs 100 steps in unrolls of 20; after each the losses are downloaded, because metrics need
/// them.
void bench_meta_training_episode(benchmark::State& state, BenchContext& context,
                                 const MetaCase& what) {
  TrainingConfig config;
  config.tasks = what.tasks;
  const std::unique_ptr<Optimizee> optimizee = optimizee_of(context, what);
  TrainingLoop loop(context.backend, config, make_initial_model(config, ""),
                    {{.optimizee = optimizee.get()}});
  const auto n = static_cast<double>(optimizee->coordinates() * what.tasks);
  run_iterations(state, context, n * config.episode.truncation.num_steps, [&] {
    while (!loop.run_unroll()) continue;
    loop.finish_episode();
  });
  if (loop.position().skipped_updates > 0) state.SkipWithError("meta-updates were skipped");
}

}  // namespace

void register_meta_benches(BenchContext& context) {
  const auto add = [&](const char* bench, const MetaCase& what, const char* how, auto&& run) {
    register_bench(
        fmt::format("{}/{}/tasks:{}{}{}", bench, what.optimizee, what.tasks, context.suffix(), how),
        run);
  };
  for (const MetaCase& what : kMetaCases) {
    if (what.tasks > kMaxCpuTasks && !context.is_gpu()) continue;
    const auto unroll = [&context, &what](bool recorded) {
      return [&context, &what, recorded](benchmark::State& state) {
        bench_meta_training_unroll(state, context, what, recorded);
      };
    };
    add("meta_training_unroll", what, "", unroll(true));
    if (context.is_gpu() && context.is_default_precision()) {
      add("meta_training_unroll", what, "/unrecorded", unroll(false));
    }
  }
  for (const bool together : {true, false}) {
    register_bench(fmt::format("mixture_unroll/members:8{}/{}", context.suffix(),
                               together ? "together" : "alone"),
                   [&context, together](benchmark::State& state) {
                     bench_mixture_unroll(state, context, together);
                   });
  }
  static constexpr MetaCase kEpisode{"mnist", 1};  // 15,910 coordinates
  add("meta_training_episode", kEpisode, "", [&context](benchmark::State& state) {
    bench_meta_training_episode(state, context, kEpisode);
  });
}

}  // namespace l2o
