// Several families of tasks in one unroll, and several groups of parameters.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "host/meta/unroll.h"
#include "kernels/cells/cell_list.h"
#include "tests/meta/small_problem.h"
#include "tests/support/error_of.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::kAll;
using test::Part;

constexpr Truncation kTruncation{.num_steps = 9, .unroll_length = 5};

/// The results of two unrolls, of 5 and of 4 steps.
struct Outcome {
  std::vector<float> losses;              // losses of the second [5, B]
  std::vector<std::vector<float>> theta;  // [members][groups: B * group_size]
  std::vector<double> meta_gradient;      // meta-gradient of the second
};

Outcome run(const std::vector<Part>& parts, const Model& model, int threads = 1,
            std::size_t recompute_budget = 0) {
  const auto backend = test::cpu(threads);
  std::vector<std::unique_ptr<Optimizee>> optimizees;
  std::vector<Member> members;
  std::vector<TaskRange> ranges;
  std::vector<double> scales;
  for (const Part& part : parts) {
    optimizees.push_back(test::optimizee(*backend, part.tasks, part.task));
    optimizees.back()->assign_groups(model.groups());
    members.push_back({.optimizee = optimizees.back().get(), .weight = part.weight});
    ranges.push_back({.seed = 3, .first = 7});
    scales.push_back(part.scale);
  }
  DeviceOptimizer optimizer(*backend, model);
  Unroll unroll(*backend, model.cells(), members, kTruncation, kAll, recompute_budget);
  unroll.set_scales(scales);
  unroll.start_episode(ranges);
  unroll.forward(optimizer, 0);
  unroll.forward(optimizer, 1);

  Outcome outcome;
  outcome.losses = unroll.losses();
  const std::vector<float> theta = unroll.carried().theta;
  for (int m = 0; m < static_cast<int>(members.size()); ++m) {
    std::vector<float>& own = outcome.theta.emplace_back();
    std::int64_t group_begin = 0;
    for (int g = 0; g < unroll.space().groups(); ++g) {
      const Optimizee& optimizee = *members[static_cast<std::size_t>(m)].optimizee;
      const auto begin = theta.begin() + group_begin + unroll.space().offset(g, m);
      own.insert(own.end(), begin, begin + optimizee.tasks() * optimizee.layout().group_size(g));
      group_begin += unroll.space().n(g);
    }
  }
  Buffer<float> gradient(*backend, optimizer.meta_parameters().size());
  unroll.backward(optimizer, gradient.data());
  const std::vector<float> host = gradient.download();
  outcome.meta_gradient.assign(host.begin(), host.end());
  return outcome;
}

/// Blocks that end inside a tile, at the end of one, and within the first.
const std::vector<Part> kParts = {
    {"name = \"quadratic\"\nfunctions = 3\ndimension = 5\n", 3, 2.0, 0.5},
    {"name = \"simple\"\ndimension = 32\n", 2, 0.25, 4.0},
    {"name = \"quadratic\"\nfunctions = 1\ndimension = 4\ndistribution = \"gaussian\"\n", 1, 1.0,
     3.0},
    {"name = \"quadratic\"\nfunctions = 40\ndimension = 2\n", 5}};

TEST(Mixture, MembersRunAsIfAlone) {
  const Model model = make_model(test::small_lstm());
  const Outcome together = run(kParts, model);
  std::size_t column = 0, tasks = 0;
  for (const Part& part : kParts) tasks += static_cast<std::size_t>(part.tasks);
  for (std::size_t m = 0; m < kParts.size(); ++m) {
    const Outcome alone = run({kParts[m]}, model);
    EXPECT_EQ(together.theta[m], alone.theta.front()) << "member " << m;
    const auto own = static_cast<std::size_t>(kParts[m].tasks);
    for (std::size_t i = 0; i < alone.losses.size(); ++i) {
      EXPECT_EQ(together.losses[i / own * tasks + column + i % own], alone.losses[i]);
    }
    column += own;
  }
}

TEST(Mixture, MetaGradientIsWeightedSumOfMembers) {
  const Model model = make_model(test::small_lstm(2, 20));
  std::vector<double> sum;
  for (Part part : kParts) {
    const double factor = part.weight / part.scale;
    part.weight = part.scale = 1.0;
    const std::vector<double> own = run({part}, model).meta_gradient;
    sum.resize(own.size());
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += factor * own[i];
  }
  const std::vector<double> together = run(kParts, model).meta_gradient;
  double largest = 0.0, distance = 0.0;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    largest = std::max(largest, std::abs(sum[i]));
    distance = std::max(distance, std::abs(sum[i] - together[i]));
  }
  EXPECT_GT(largest, 0.0);
  EXPECT_LT(distance / largest, 1e-6);
}

TEST(Mixture, IsIndependentOfThreadsAndRecomputeBudget) {
  const Model model = make_model(test::small_lstm(2, 20));
  const Outcome expected = run(kParts, model);
  for (const int threads : {2, 3}) {
    for (const std::size_t budget : {std::size_t{1}, std::size_t{200'000}}) {
      const Outcome outcome = run(kParts, model, threads, budget);
      EXPECT_EQ(outcome.theta, expected.theta);
      EXPECT_EQ(outcome.meta_gradient, expected.meta_gradient);
    }
  }
}

TEST(CoordinateSpace, BlocksStartAtTilesAndHaveWeightsOfTheirMembers) {
  const auto backend = test::cpu();
  const auto a = test::optimizee(*backend, 2, "name = \"simple\"\ndimension = 33\n");  // 66
  const auto b = test::optimizee(*backend, 1, "name = \"simple\"\ndimension = 5\n");
  const std::vector<Member> members = {{.optimizee = a.get(), .weight = 3.0},
                                       {.optimizee = b.get(), .weight = 1.0, .scale = 4.0}};
  const CoordinateSpace space(members);
  EXPECT_EQ(space.groups(), 1);
  EXPECT_EQ(space.offset(0, 0), 0);
  EXPECT_EQ(space.offset(0, 1), 96);
  EXPECT_EQ(space.n(0), 101);
  EXPECT_EQ(space.tile_weights(0, members), (std::vector<float>{1.5F, 1.5F, 1.5F, 0.25F}));
}

}  // namespace
}  // namespace l2o
