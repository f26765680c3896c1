// Which kernels run which rule, as reported by `l2o info --device cuda`.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/cuda/cuda_device.h"

namespace l2o {
namespace {

class RuleKernels : public testing::TestWithParam<Precision> {
 protected:
  void SetUp() override {
    if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
    backend_ = test::cuda_backend(GetParam());
  }

  std::string kernels_of(const LstmConfig& lstm) const {
    return backend_->kernels_of({.lstm = lstm});
  }
  bool needs_segments(const LstmConfig& lstm) const {
    constexpr int kSteps = 50;  // a byte of scratch is not enough for them
    return backend_->plan_segment_length({.lstm = lstm}, kSteps, 1) < kSteps;
  }

  std::unique_ptr<Backend> backend_;
};

/// For GPUs with 227 KB of shared memory per block: compute capability 9.0 and 10.0.
TEST_P(RuleKernels, UseOneKernelExceptForTheLargestShapes) {
  if (kernels_of({.layers = 2, .hidden = 20}).find("one kernel") == std::string::npos) {
    GTEST_SKIP() << "a GPU with little shared memory";
  }
  std::set<std::string> in_segments;
  for (const int hidden : {8, 16, 20, 32}) {
    for (const int layers : {1, 2, 3}) {
      const LstmConfig lstm = {.layers = layers, .hidden = hidden};
      const std::string kernels = kernels_of(lstm);
      EXPECT_TRUE(
          kernels.starts_with(fmt::format("tensor cores at {}, ", precision_name(GetParam()))))
          << kernels;
      const bool segments = kernels.ends_with("in segments, through device memory");
      EXPECT_EQ(segments, needs_segments(lstm)) << kernels;
      if (segments) in_segments.insert(fmt::format("h{}_l{}", hidden, layers));
    }
  }
  const std::set<std::string> expected = GetParam() == Precision::kF32
                                             ? std::set<std::string>{"h20_l3", "h32_l2", "h32_l3"}
                                             : std::set<std::string>{"h32_l3"};
  EXPECT_EQ(in_segments, expected);
}

TEST_P(RuleKernels, OfOtherRulesUseNoTensorCores) {
  EXPECT_TRUE(kernels_of({.layers = 2, .hidden = 21})
                  .starts_with("float32 arithmetic without tensor cores"));
  EXPECT_TRUE(needs_segments({.layers = 2, .hidden = 21}));
  EXPECT_TRUE(kernels_of({.layers = 0}).starts_with("the rule's own code"));
}

INSTANTIATE_TEST_SUITE_P(Precisions, RuleKernels,
                         testing::Values(Precision::kF32, Precision::kMixed, Precision::kHalf),
                         [](const auto& test) { return precision_name(test.param); });

}  // namespace
}  // namespace l2o
