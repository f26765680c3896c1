// Every case on every backend: comparison with double, reproducible bits, and cost.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <set>

#include "kernels/op_list.h"
#include "tests/ops/op_case.h"

namespace l2o::test {
namespace {

std::vector<Floats> results_of(const OpCase& what, Backend& backend, int offset) {
  OpRun run(backend, offset);
  what.run(run);
  return run.results();
}

bool same_bits(const std::vector<Floats>& a, const std::vector<Floats>& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const Floats& x, const Floats& y) {
           return x.size() == y.size() &&
                  std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
         });
}

void expect_close(const Floats& actual, const Doubles& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  double largest = 0.0;
  for (const double value : expected) {
    if (std::isfinite(value) && value != double{kUntouched})
      largest = std::max(largest, std::abs(value));
  }
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(actual[i])) continue;
    if (expected[i] == double{actual[i]}) continue;
    ASSERT_LE(std::abs(double{actual[i]} - expected[i]), tolerance * largest)
        << "value " << i << " is " << actual[i] << "; expected " << expected[i];
    ASSERT_NE(expected[i], double{kUntouched}) << "the op must not write value " << i;
  }
}

class EveryOpCase : public testing::TestWithParam<OpCase> {};

TEST_P(EveryOpCase, AgreesWithFloat64) {
  const std::vector<Doubles> expected = GetParam().expected();
  for (const std::unique_ptr<Backend>& backend : backends_under_test()) {
    for (const int offset : {0, 1}) {
      SCOPED_TRACE(testing::Message() << backend->device().name << ", " << backend->device().threads
                                      << " threads, offset " << offset);
      const std::vector<Floats> actual = results_of(GetParam(), *backend, offset);
      ASSERT_EQ(actual.size(), expected.size());
      for (std::size_t i = 0; i < actual.size(); ++i) {
        SCOPED_TRACE(testing::Message() << "result " << i);
        expect_close(actual[i], expected[i], GetParam().tolerance);
      }
    }
  }
}

TEST_P(EveryOpCase, IsReproducibleBitForBit) {
  const std::vector<std::unique_ptr<Backend>> backends = backends_under_test();
  const std::vector<Floats> first = results_of(GetParam(), *backends.front(), 0);
  for (const std::unique_ptr<Backend>& backend : backends) {
    EXPECT_TRUE(same_bits(results_of(GetParam(), *backend, 0), first))
        << backend->device().name << ", " << backend->device().threads << " threads";
  }
}

TEST_P(EveryOpCase, HasACost) {
  const std::unique_ptr<Backend> backend = std::move(backends_under_test().front());
  OpRun run(*backend, 0);
  GetParam().run(run);
  EXPECT_GT(run.op_bytes(), 0.0);
  EXPECT_GE(run.op_flops(), 0.0);
  EXPECT_TRUE(std::isfinite(run.op_bytes()) && std::isfinite(run.op_flops()));
}

std::string case_name(const testing::TestParamInfo<OpCase>& one) {
  std::string name = one.param.op + "_" + one.param.name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Ops, EveryOpCase, testing::ValuesIn(op_cases()), case_name);

TEST(OpCases, CoverEveryOp) {
  std::set<std::string> with_cases = {
      // The ops of the update rule, and of non-finite values, have their own tests: tests/kernels,
      // tests/cuda.
      "pack", "step", "unroll_backward", "meta_update", "count_not_finite", "zero_not_finite"};
  for (const OpCase& one : op_cases()) with_cases.insert(one.op);
#define L2O_EXPECT_A_CASE(op, Args) EXPECT_TRUE(with_cases.contains(#op)) << #op;
  L2O_FOR_EACH_OP(L2O_EXPECT_A_CASE)
#undef L2O_EXPECT_A_CASE
}

}  // namespace
}  // namespace l2o::test
