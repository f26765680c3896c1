#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"
#include "tests/reference/lstm_reference.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::Numbers;
using test::Owned;

struct Shape {
  int hidden, layers;
  bool log_and_sign;
};

std::string name(const Shape& shape) {
  return fmt::format("H{}L{}{}", shape.hidden, shape.layers,
                     shape.log_and_sign ? "LogAndSign" : "Identity");
}

std::vector<Shape> shapes() {
  std::vector<Shape> all = {{20, 0, true}, {20, 0, false}};
  for (const int hidden : {8, 20, 32}) {
    for (const int layers : {1, 2, 3}) {
      for (const bool log_and_sign : {true, false}) all.push_back({hidden, layers, log_and_sign});
    }
  }
  return all;
}

/// An unroll of one rule, for the library and for the float64 reference.
struct Problem {
  static constexpr std::size_t kN = 40, kSteps = 7;

  Owned<l2o_context> context = test::cpu_context();
  Owned<l2o_optimizer> rule;
  reference::Lstm expected_rule;
  std::vector<float> trace, weights, start_state;

  explicit Problem(const Shape& shape) {
    rule = test::optimizer(fmt::format(
        "hidden = {}\nlayers = {}\npreprocessing = \"{}\"\noutput_init = \"truncated_normal\"\n"
        "output_scale = 0.5\n",
        shape.hidden, shape.layers, shape.log_and_sign ? "log_and_sign" : "identity"));
    const std::vector<float> phi = test::meta_parameters(rule);
    expected_rule.hidden = shape.hidden;
    expected_rule.layers = shape.layers;
    expected_rule.preprocessing =
        shape.log_and_sign ? reference::Inputs::kLogAndSign : reference::Inputs::kGradient;
    expected_rule.output_scale = 0.5;
    expected_rule.phi.assign(phi.begin(), phi.end());

    Numbers numbers(3);
    trace = numbers.gradients((kSteps + 1) * kN);
    weights = numbers.uniform(kSteps + 1, -1.0F, 2.0F);
    start_state = numbers.uniform(l2o_optimizer_state_size(rule.get()) * kN, -1.0F, 1.0F);
  }

  reference::Unroll unroll(bool with_start_state) const {
    reference::Unroll unroll;
    for (std::size_t t = 0; t <= kSteps; ++t) {
      const auto row = trace.begin() + static_cast<std::ptrdiff_t>(t * kN);
      unroll.trace.emplace_back(row, row + kN);
    }
    unroll.weights.assign(weights.begin(), weights.end());
    const std::size_t state_size = start_state.size() / kN;
    for (std::size_t i = 0; i < kN; ++i) {
      reference::Vector state(state_size, 0.0);
      for (std::size_t s = 0; s < state_size && with_start_state; ++s) {
        state[s] = start_state[s * kN + i];
      }
      unroll.start_state.push_back(state);
    }
    return unroll;
  }

  std::vector<float> meta_gradient(bool with_start_state) const {
    std::vector<float> result(l2o_optimizer_meta_parameter_count(rule.get()), NAN);
    EXPECT_OK(l2o_meta_gradient(context.get(), rule.get(), kN, kSteps, trace.data(), weights.data(),
                                with_start_state ? start_state.data() : nullptr, result.data()));
    return result;
  }
};

class MetaGradient : public testing::TestWithParam<Shape> {};

TEST_P(MetaGradient, MatchesTheReference) {
  const Problem problem(GetParam());
  for (const bool with_start_state : {false, true}) {
    const reference::Vector expected =
        reference::meta_gradient(problem.expected_rule, problem.unroll(with_start_state));
    const std::vector<float> actual = problem.meta_gradient(with_start_state);
    ASSERT_EQ(actual.size(), expected.size());
    double error = 0.0, norm = 0.0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
      norm += expected[i] * expected[i];
    }
    EXPECT_GT(norm, 0.0);
    EXPECT_LE(std::sqrt(error / norm), tolerance::kMetaGradient);
  }
}

TEST_P(MetaGradient, StepsMatchTheReference) {
  const Problem problem(GetParam());
  const Owned<l2o_run> run = test::run(problem.context, problem.rule, Problem::kN);
  std::vector<reference::Vector> states = problem.unroll(true).start_state;
  EXPECT_OK(l2o_run_set_state(run.get(), problem.start_state.data(), problem.start_state.size()));

  std::vector<float> actual(Problem::kN, 0.0F);
  reference::Vector expected(Problem::kN, 0.0);
  Numbers numbers(11);
  for (int t = 0; t < 100; ++t) {
    const std::vector<float> gradient = numbers.gradients(Problem::kN);
    ASSERT_OK(l2o_run_step(run.get(), gradient.data(), actual.data()));
    for (std::size_t i = 0; i < Problem::kN; ++i) {
      expected[i] += reference::step(problem.expected_rule, gradient[i], states[i]).update;
    }
  }
  double largest = 0.0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < Problem::kN; ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance::kLstmUpdate * largest) << "coordinate " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, MetaGradient, testing::ValuesIn(shapes()),
                         [](const auto& test) { return name(test.param); });

TEST(MetaGradientCall, AnEmptyUnrollHasAZeroGradient) {
  const Problem problem({8, 1, true});
  const std::size_t p = l2o_optimizer_meta_parameter_count(problem.rule.get());
  for (const auto& [n, steps] : {std::pair{std::size_t{0}, std::size_t{3}}, {Problem::kN, 0}}) {
    std::vector<float> result(p, 1.0F);
    EXPECT_OK(l2o_meta_gradient(problem.context.get(), problem.rule.get(), n, steps,
                                problem.trace.data(), problem.weights.data(), nullptr,
                                result.data()));
    EXPECT_EQ(result, std::vector<float>(p, 0.0F));
  }
}

}  // namespace
}  // namespace l2o
