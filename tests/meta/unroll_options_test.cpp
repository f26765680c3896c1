// Logarithmic meta-losses, meta-gradients by member, and scaled updates.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "host/meta/unroll.h"
#include "tests/meta/small_problem.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::expect_near_in_norm;
using test::Part;

constexpr Truncation kTwoUnrolls{.num_steps = 10, .unroll_length = 5};

/// Members of different sizes, none of them a whole number of tiles.
const std::vector<Part> kSmallParts = {
    {"name = \"quadratic\"\nfunctions = 3\ndimension = 5", 3},
    {"name = \"quadratic\"\nfunctions = 4\ndimension = 40", 2, 0.25}};

/// A mixture with its optimizees, aligned to tiles.
struct Mixture {
  std::unique_ptr<Backend> backend = test::cpu();
  std::vector<std::unique_ptr<Optimizee>> optimizees;
  std::vector<Member> members;
  std::vector<CellConfig> cells;
  DeviceOptimizer optimizer;

  explicit Mixture(const std::vector<Part>& parts,
                   const Model& model = make_model(test::small_lstm()))
      : cells(model.cells()), optimizer(*backend, model) {
    for (const Part& part : parts) {
      optimizees.push_back(test::optimizee(*backend, part.tasks, part.task));
      optimizees.back()->assign_groups(model.groups(), kTile);
      members.push_back({.optimizee = optimizees.back().get(), .weight = part.weight});
    }
  }
  Unroll unroll(const UnrollOptions& options, const LossWeights& weights = {}) {
    return Unroll(*backend, cells, members, kTwoUnrolls, weights, 0, options);
  }
  std::vector<TaskRange> ranges() const {
    return std::vector<TaskRange>(members.size(), {.seed = 3, .first = 7});
  }
  std::vector<float> gradient(Unroll& unroll, std::size_t rows = 1) {
    Buffer<float> values(*backend, rows * optimizer.meta_parameters().size());
    unroll.backward(optimizer, values.data());
    return values.download();
  }
};

TEST(UnrollOptions, LogarithmWeightsStepsByInverseLoss) {
  Mixture mixture({{kSmallParts[1].task, 1}});
  Unroll plain = mixture.unroll({});
  plain.start_episode(mixture.ranges());
  plain.forward(mixture.optimizer, 0);
  LossWeights by_hand{.kind = LossWeights::Kind::kList, .list = {}};
  for (const float loss : plain.losses()) by_hand.list.push_back(1.0 / double{loss});

  Unroll weighted = mixture.unroll({}, by_hand),
         logarithmic = mixture.unroll({.logarithmic = true});
  std::vector<float> expected;
  for (Unroll* unroll : {&weighted, &logarithmic}) {
    unroll->start_episode(mixture.ranges());
    unroll->forward(mixture.optimizer, 0);
    const std::vector<float> gradient = mixture.gradient(*unroll);
    if (unroll == &weighted) expected = gradient;
    if (unroll == &logarithmic) {
      expect_near_in_norm({expected.begin(), expected.end()}, gradient);
    }
  }
}

TEST(UnrollOptions, LogarithmsOfTasksAreIndependent) {
  Mixture mixture(kSmallParts);
  Unroll unroll = mixture.unroll({.logarithmic = true});
  unroll.start_episode(mixture.ranges());
  unroll.forward(mixture.optimizer, 0);
  const std::vector<float> together = mixture.gradient(unroll);

  std::vector<double> sum(together.size(), 0.0);
  for (const Part& part : kSmallParts) {
    for (int task = 0; task < part.tasks; ++task) {
      Mixture alone({{part.task, 1}});
      Unroll one = alone.unroll({.logarithmic = true});
      one.start_episode({{.seed = 3, .first = static_cast<std::uint32_t>(7 + task)}});
      one.forward(alone.optimizer, 0);
      const std::vector<float> gradient = alone.gradient(one);
      for (std::size_t i = 0; i < sum.size(); ++i) {
        sum[i] += part.weight / part.tasks * double{gradient[i]};
      }
    }
  }
  expect_near_in_norm(sum, together);
}

TEST(UnrollOptions, MemberGradientEqualsThatOfMemberAlone) {
  for (const bool logarithmic : {false, true}) {
    Mixture mixture(kSmallParts);
    Unroll unroll = mixture.unroll({.logarithmic = logarithmic, .by_member = true});
    unroll.start_episode(mixture.ranges());
    unroll.forward(mixture.optimizer, 0);
    const std::vector<float> rows = mixture.gradient(unroll, kSmallParts.size());
    const std::size_t p = rows.size() / kSmallParts.size();
    for (std::size_t m = 0; m < kSmallParts.size(); ++m) {
      Mixture alone(
          {{kSmallParts[m].task, kSmallParts[m].tasks}});  // its weight is not in the gradient
      Unroll one = alone.unroll({.logarithmic = logarithmic});
      one.start_episode(alone.ranges());
      one.forward(alone.optimizer, 0);
      const auto row = rows.begin() + static_cast<std::ptrdiff_t>(m * p);
      EXPECT_EQ(std::vector<float>(row, row + static_cast<std::ptrdiff_t>(p)), alone.gradient(one))
          << m;
    }
  }
}

TEST(UnrollOptions, MemberGradientEqualsThatOfMemberAloneForEveryRule) {
  const Model rules{
      {{.group = {.name = "convex", .patterns = {"convex"}}, .optimizer = test::small_lstm()},
       {.group = {.name = "rest", .patterns = {"*"}}, .optimizer = test::small_lstm(2, 8)}}};
  std::vector<Part> parts = kSmallParts;
  for (Part& part : parts) part.task += "\nconvex = 37";
  Mixture mixture(parts, rules);
  Unroll unroll = mixture.unroll({.logarithmic = true, .by_member = true});
  unroll.start_episode(mixture.ranges());
  unroll.forward(mixture.optimizer, 0);
  const std::vector<float> rows = mixture.gradient(unroll, parts.size());
  const auto p = static_cast<std::ptrdiff_t>(rows.size() / parts.size());
  for (std::size_t m = 0; m < parts.size(); ++m) {
    Mixture alone({{parts[m].task, parts[m].tasks}}, rules);
    Unroll one = alone.unroll({.logarithmic = true});
    one.start_episode(alone.ranges());
    one.forward(alone.optimizer, 0);
    const auto row = rows.begin() + static_cast<std::ptrdiff_t>(m) * p;
    EXPECT_EQ(std::vector<float>(row, row + p), alone.gradient(one)) << m;
  }
}

TEST(UnrollOptions, MembersMayBeInDifferentUnrolls) {
  Mixture mixture(kSmallParts);
  Unroll unroll = mixture.unroll({.by_member = true});
  unroll.start_episode(mixture.ranges());
  unroll.forward(mixture.optimizer, 0);
  unroll.start_member(1, {.seed = 3, .first = 50});
  unroll.forward_and(mixture.optimizer, {1, 0}, [] {});
  const std::vector<float> losses = unroll.losses();

  Mixture first({kSmallParts[0]}), second({kSmallParts[1]});
  Unroll first_unroll = first.unroll({}), second_unroll = second.unroll({});
  first_unroll.start_episode(first.ranges());
  first_unroll.forward(first.optimizer, 0);
  first_unroll.forward(first.optimizer, 1);
  second_unroll.start_episode({{.seed = 3, .first = 50}});
  second_unroll.forward(second.optimizer, 0);
  const std::vector<float> a = first_unroll.losses(), b = second_unroll.losses();
  for (std::size_t t = 0; t <= 5; ++t) {
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(losses[t * 5 + i], a[t * 3 + i]);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(losses[t * 5 + 3 + i], b[t * 2 + i]);
  }
}

TEST(UnrollOptions, UpdatesAreScaledByStepAndMember) {
  Mixture mixture(kSmallParts);
  Unroll plain = mixture.unroll({}), scaled = mixture.unroll({.scaled = true});
  plain.start_episode(mixture.ranges());
  plain.forward(mixture.optimizer, 0);
  const std::vector<float> losses = plain.losses(), gradient = mixture.gradient(plain);

  scaled.start_episode(mixture.ranges());
  scaled.set_update_scales({std::vector<double>(5, 1.0), std::vector<double>(5, 1.0)});
  scaled.forward(mixture.optimizer, 0);
  EXPECT_EQ(scaled.losses(), losses);
  EXPECT_EQ(mixture.gradient(scaled), gradient);

  // Member 1 stands still until its last step.
  scaled.start_episode(mixture.ranges());
  scaled.set_update_scales({std::vector<double>(5, 1.0), {0.0, 0.0, 0.0, 0.0, 1.0}});
  scaled.forward(mixture.optimizer, 0);
  const std::vector<float> now = scaled.losses();
  for (std::size_t t = 0; t <= 5; ++t) {
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(now[t * 5 + i], losses[t * 5 + i]);
    for (std::size_t i = 3; i < 5; ++i) {
      EXPECT_EQ(now[t * 5 + i] == losses[i], t < 5);
    }
  }
}

TEST(UnrollMemory, MatchesUnrollWithEveryOption) {
  Mixture mixture(kSmallParts);
  const UnrollOptions all = {.logarithmic = true, .by_member = true, .scaled = true};
  const std::size_t before = mixture.backend->memory_in_use();
  const UnrollMemory plan = Unroll::memory(*mixture.backend, {mixture.optimizer.cell()},
                                           mixture.members, kTwoUnrolls, 0, all);
  const Unroll unroll = mixture.unroll(all);
  EXPECT_EQ(mixture.backend->memory_in_use() - before, plan.total());
}

}  // namespace
}  // namespace l2o
