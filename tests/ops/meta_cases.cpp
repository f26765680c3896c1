// Ops between the backward pass of an unroll and the meta-update.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/op_case.h"
#include "tests/support/tolerances.h"

namespace l2o::test {
namespace {

void add_log_loss_weights_cases(int evaluations, std::int64_t tiles, int tasks,
                                std::vector<OpCase>& cases) {
  Floats losses = uniform(1, std::int64_t{evaluations} * tasks, 0.0, 2.0);
  losses.front() = 1e-9F;  // below the floor
  const Floats tile_weights = uniform(2, tiles, 0.1, 1.0);
  std::vector<std::int32_t> task_of_tile;
  for (std::int64_t i = 0; i < tiles; ++i) {
    task_of_tile.push_back(static_cast<std::int32_t>(i % (tasks + 1)) - 1);
  }
  cases.push_back(
      {"log_loss_weights", fmt::format("{}x{}", evaluations, tiles), tolerance::kElement,
       [=](OpRun& run) {
         LogLossWeightsArgs args{.evaluations = evaluations,
                                 .tiles = tiles,
                                 .tasks = tasks,
                                 .losses = run.in(losses),
                                 .tile_weights = run.in(tile_weights),
                                 .task_of_tile = run.in(task_of_tile),
                                 .floor = 1e-6F};
         args.weights = run.out(static_cast<std::size_t>(evaluations * tiles));
         run.costs(args);
         run.backend().log_loss_weights(args);
       },
       [=] {
         Doubles weights;
         for (int t = 0; t < evaluations; ++t) {
           for (std::size_t i = 0; i < task_of_tile.size(); ++i) {
             const int task = task_of_tile[i];
             weights.push_back(
                 task < 0 ? 0.0
                          : double{tile_weights[i]} /
                                std::max(double{losses[std::size_t(t * tasks + task)]}, 1e-6));
           }
         }
         return std::vector<Doubles>{weights};
       }});
}

/// With `bad`, gradient 0 has an infinite loss and gradient 1 contains a NaN.
void add_combine_gradients_cases(std::int64_t size, int count, float clip_norm, bool bad,
                                 std::vector<OpCase>& cases) {
  constexpr int kEvaluations = 3;
  Floats gradients = uniform(3, count * size), losses, weights = uniform(4, count, 0.1, 1.0);
  std::vector<std::int32_t> first_task = {0};
  for (int m = 0; m < count; ++m) first_task.push_back(first_task.back() + 1 + m % 3);
  const int tasks = first_task.back();
  losses = uniform(5, kEvaluations * tasks);
  if (bad) losses[static_cast<std::size_t>(tasks)] = std::numeric_limits<float>::infinity();
  if (bad) gradients[static_cast<std::size_t>(size)] = std::nanf("");
  cases.push_back({"combine_gradients",
                   fmt::format("{}x{}_clip_{}{}", count, size, clip_norm, bad ? "_bad" : ""),
                   tolerance::kMetaUpdate,
                   [=](OpRun& run) {
                     CombineGradientsArgs args{.size = size,
                                               .count = count,
                                               .gradients = run.in(gradients),
                                               .weights = run.in(weights),
                                               .clip_norm = clip_norm,
                                               .evaluations = kEvaluations,
                                               .tasks = tasks,
                                               .losses = run.in(losses),
                                               .first_task = run.in(first_task)};
                     args.combined = run.out(static_cast<std::size_t>(size));
                     args.norms = run.out(static_cast<std::size_t>(count));
                     run.costs(args);
                     run.backend().combine_gradients(args);
                   },
                   [=] {
                     Doubles combined(static_cast<std::size_t>(size), 0.0), norms;
                     for (int m = 0; m < count; ++m) {
                       const float* gradient = gradients.data() + m * size;
                       double norm = 0.0;
                       for (std::int64_t i = 0; i < size; ++i) {
                         norm += double{gradient[i]} * gradient[i];
                       }
                       norm = std::sqrt(norm);
                       if (bad && m < 2) {
                         norms.push_back(-1.0);
                         continue;
                       }
                       norms.push_back(norm);
                       const double scale =
                           clip_norm > 0.0F ? std::min(1.0, double{clip_norm} / norm) : 1.0;
                       for (std::int64_t i = 0; i < size; ++i) {
                         combined[std::size_t(i)] +=
                             scale * double{weights[std::size_t(m)]} * gradient[i];
                       }
                     }
                     return std::vector<Doubles>{combined, norms};
                   }});
}

}  // namespace

std::vector<OpCase> meta_cases() {
  std::vector<OpCase> cases;
  add_log_loss_weights_cases(1, 3, 2, cases);
  add_log_loss_weights_cases(21, 700, 5, cases);
  add_combine_gradients_cases(5, 1, 0.0F, false, cases);
  add_combine_gradients_cases(2'042, 7, 1.0F, false, cases);
  add_combine_gradients_cases(2'042, 7, 30.0F, true, cases);
  return cases;
}

}  // namespace l2o::test
