#include "kernels/op_cost.h"

#include <gtest/gtest.h>

#include <limits>

namespace l2o {
namespace {

TEST(Layout, TileCountAndStateIndexUse64Bits) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(tile_count(0), 0);
  EXPECT_EQ(tile_count(1), 1);
  EXPECT_EQ(tile_count(32), 1);
  EXPECT_EQ(tile_count(33), 2);
  EXPECT_EQ(tile_count(kMax), std::int64_t{1} << 58);
  EXPECT_EQ(state_index(80, 3, 32 * 27'000'000LL + 5), (27'000'000LL * 80 + 3) * 32 + 5);
}

TEST(OpCost, DefaultLstm) {
  // Counted by hand: layer 1 has 80 rows of 2 + 20, layer 2 of 20 + 20, the output 20 products.
  CellConfig cell;
  StepArgs step;
  step.cell = cell;
  step.n = 1000;
  EXPECT_EQ(flops(step), 1000 * 2.0 * (80 * 22 + 80 * 40 + 20));
  EXPECT_EQ(flops(step), 1000 * 9960.0);
  EXPECT_EQ(bytes(step), 1000 * 652.0);

  UnrollBackwardArgs backward;
  backward.cell = cell;
  backward.n = 1000;
  backward.unroll_length = 20;
  EXPECT_EQ(flops(backward), 1000 * 20 * 29560.0);
  EXPECT_EQ(bytes(backward), 1000 * (21 + 80) * 4.0 + 2 * 5141 * 4.0);
}

TEST(OpCost, DefaultLstmOnTensorCores) {
  CellConfig cell;
  StepArgs step;
  step.cell = cell;
  step.n = 1000;
  UnrollBackwardArgs backward;
  backward.cell = cell;
  backward.n = 1000;
  backward.unroll_length = 20;
  // Per coordinate: 40 values of h and 40 of c; 16-bit products of the step and the backward pass.
  struct Case {
    Precision precision;
    double state_bytes, forward, backward;
  };
  for (const Case& expected : {Case{Precision::kF32, 40 * 4 + 40 * 4, 3, 3},
                               Case{Precision::kMixed, 40 * 2 + 40 * 4, 2, 1},
                               Case{Precision::kHalf, 40 * 2 + 40 * 2, 1, 1}}) {
    EXPECT_EQ(bytes(step, expected.precision), 1000 * (12 + 2 * expected.state_bytes));
    EXPECT_EQ(flops(step, expected.precision), 1000 * 9960.0 * expected.forward);
    EXPECT_EQ(bytes(backward, expected.precision),
              1000 * (21 * 4 + expected.state_bytes) + 2 * 5141 * 4);
    EXPECT_EQ(flops(backward, expected.precision),
              1000 * 20 * (9960.0 * expected.forward + 19600.0 * expected.backward));
  }
  EXPECT_EQ(bytes(step, Precision::kF32), 1000 * 652.0);
  EXPECT_EQ(bytes(step, Precision::kMixed), 1000 * 492.0);
  EXPECT_EQ(bytes(step, Precision::kHalf), 1000 * 332.0);
}

TEST(OpCost, LinearRuleHasNoInputGradient) {
  LstmConfig lstm;
  lstm.layers = 0;
  EXPECT_EQ(lstm_forward_flops(lstm), 4.0);
  EXPECT_EQ(lstm_backward_flops(lstm), 8.0);
}

TEST(OpCost, HandDesignedRulesCountBytesOnly) {
  StepArgs step;
  step.cell.kind = find_cell("adam");
  step.n = 10;
  EXPECT_EQ(flops(step), 0.0);
  EXPECT_EQ(bytes(step), 10 * 4.0 * (3 + 2 * 4));
}

TEST(OpCost, OptimizeeOps) {
  GemmArgs gemm;
  gemm.m = 2, gemm.n = 3, gemm.k = 5, gemm.batch = 7;
  EXPECT_EQ(flops(gemm), 7 * 2.0 * 2 * 3 * 5);
  EXPECT_EQ(bytes(gemm), 7 * 4.0 * (10 + 15 + 6));

  QuadraticArgs quadratic;
  quadratic.batch = 2, quadratic.functions = 3, quadratic.dimension = 10;
  EXPECT_EQ(flops(quadratic), 2 * 3 * (200 + 200.0));
  EXPECT_EQ(bytes(quadratic), 2 * 4.0 * (3 * (100 + 30) + 1));
}

}  // namespace
}  // namespace l2o
