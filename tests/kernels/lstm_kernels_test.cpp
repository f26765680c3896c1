// The tuned LSTM against float64, on every instruction set of this CPU.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/cpu/lstm_layout.h"
#include "tests/kernels/lstm_problem.h"
#include "tests/kernels/simd_target_test.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

class LstmKernelsTest : public SimdTargetTest {};
INSTANTIATE_TEST_SUITE_P(EveryTarget, LstmKernelsTest, testing::ValuesIn(cpu::simd_targets()),
                         simd_target_test_name);

constexpr Preprocessing kLog = Preprocessing::kLogAndSign, kRaw = Preprocessing::kIdentity,
                        kMoments = Preprocessing::kMoments, kAdam = Preprocessing::kAdamMoments;

LstmShape modulated(int hidden, int layers, int n, int steps) {
  return {hidden, layers, kAdam, n, steps, 0.1F, Output::kModulated};
}

// Every H that the register blocks treat differently, every L, full and partial tiles, one or many
// steps. Large shapes have few coordinates and steps because the reference is slow.
const LstmShape kShapes[] = {
    {1, 1, kRaw, 1, 1},     {1, 2, kLog, 33, 2},
    {1, 3, kLog, 31, 20},   {3, 1, kLog, 32, 2},
    {4, 2, kRaw, 5, 3},     {5, 1, kRaw, 32, 2},
    {5, 2, kLog, 100, 20},  {5, 3, kRaw, 33, 2},
    {8, 1, kLog, 31, 20},   {8, 2, kRaw, 100, 2},
    {8, 3, kLog, 32, 1},    {16, 1, kRaw, 33, 20},
    {16, 2, kLog, 32, 2},   {19, 2, kLog, 40, 5},
    {20, 1, kLog, 100, 2},  {20, 2, kLog, 1, 20},
    {20, 2, kLog, 100, 8},  {20, 2, kRaw, 33, 20},
    {20, 3, kRaw, 32, 2},   {32, 1, kLog, 1, 20},
    {32, 2, kLog, 31, 2},   {33, 2, kRaw, 33, 2},
    {33, 3, kLog, 1, 2},    {64, 1, kLog, 33, 2},
    {64, 3, kLog, 3, 3},    modulated(20, 1, 100, 20),
    modulated(8, 1, 33, 6), modulated(5, 2, 31, 3),
    modulated(33, 3, 1, 2), {20, 1, kMoments, 40, 20, 0.1F, Output::kTanh},
    {8, 2, kAdam, 33, 4},   {7, 1, kRaw, 33, 3, 0.1F, Output::kTanh},
};

double norm(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

TEST_P(LstmKernelsTest, StepsAgreeWithFloat64) {
  cpu::ThreadPool pool(1);
  for (const LstmShape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape);
    const LstmProblem problem(shape);
    AlignedFloats state = problem.tiled_state();
    std::vector<float> theta(static_cast<std::size_t>(shape.n), 0.25F);
    problem.run_steps(pool, state, theta);

    const reference::Lstm lstm = problem.reference_lstm();
    const reference::Unroll unroll = problem.reference_unroll();
    double state_error = 0.0, theta_error = 0.0, largest_state = 0.0, largest_move = 0.0;
    for (int n = 0; n < shape.n; ++n) {
      reference::Vector expected = unroll.start_state[n];
      double moved = 0.0;
      for (int t = 0; t < shape.steps; ++t) {
        moved += reference::step(lstm, unroll.trace[t][n], expected).update;
      }
      for (int s = 0; s < problem.state_size(); ++s) {
        state_error = std::max(state_error, std::abs(state[problem.place(n, s)] - expected[s]));
        largest_state = std::max(largest_state, std::abs(expected[s]));
      }
      theta_error = std::max(theta_error, std::abs(theta[n] - (0.25 + moved)));
      largest_move = std::max(largest_move, std::abs(0.25 + moved));
    }
    EXPECT_LE(state_error / largest_state, tolerance::kLstmState);
    EXPECT_LE(theta_error / largest_move, tolerance::kLstmUpdate);
    for (std::size_t i = 0; i < state.size(); ++i) ASSERT_TRUE(std::isfinite(state[i])) << i;
  }
}

TEST_P(LstmKernelsTest, MetaGradientAgreesWithFloat64) {
  cpu::ThreadPool pool(1);
  for (const LstmShape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape);
    const LstmProblem problem(shape);
    const std::vector<float> result = problem.meta_gradient(pool, shape.steps);
    std::vector<double> expected =
        reference::meta_gradient(problem.reference_lstm(), problem.reference_unroll());
    const double size = norm(expected);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] -= result[i];
    EXPECT_LE(norm(expected) / size, tolerance::kMetaGradient);
  }
}

TEST_P(LstmKernelsTest, AppliesTileWeights) {
  cpu::ThreadPool pool(2);
  for (const LstmShape& shape : {LstmShape{5, 1, kRaw, 1, 2},
                                 {20, 2, kLog, 150, 6},
                                 {8, 3, kLog, 300, 3},
                                 modulated(20, 1, 150, 6)}) {
    SCOPED_TRACE(testing::Message() << shape);
    LstmProblem problem(shape);
    if (shape.n == 1) problem.trace.back() = 0.5F;  // a single 0 would make the meta-gradient 0
    const std::vector<float> unweighted = problem.meta_gradient(pool, 2);
    problem.tile_weights = problem.unit_tile_weights();
    EXPECT_EQ(problem.meta_gradient(pool, 2), unweighted);

    problem.tile_weights = problem.some_tile_weights();
    const std::vector<float> result = problem.meta_gradient(pool, 2);
    std::vector<double> expected = problem.reference_meta_gradient(problem.reference_unroll());
    const double size = norm(expected);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] -= result[i];
    EXPECT_LE(norm(expected) / size, tolerance::kMetaGradient);
  }
}

TEST_P(LstmKernelsTest, WeightsAndScalesMayDifferFromStepToStep) {
  cpu::ThreadPool pool(2);
  for (const LstmShape& shape : {LstmShape{20, 2, kLog, 150, 6}, modulated(8, 1, 150, 6)}) {
    SCOPED_TRACE(testing::Message() << shape);
    LstmProblem problem(shape);
    problem.tile_weights = problem.some_tile_weights(shape.steps + 1);
    problem.tile_scales = problem.some_tile_weights(shape.steps);
    const std::vector<float> result = problem.meta_gradient(pool, 2);
    std::vector<double> expected = problem.reference_meta_gradient(problem.reference_unroll());
    const double size = norm(expected);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] -= result[i];
    EXPECT_LE(norm(expected) / size, tolerance::kMetaGradient);
  }
}

TEST_P(LstmKernelsTest, PartOfALongerTraceHasItsOwnMetaGradient) {
  cpu::ThreadPool pool(2);
  const LstmShape whole_shape = {20, 2, kLog, 128, 4}, part_shape = {20, 2, kLog, 64, 4};
  const LstmProblem whole(whole_shape);
  LstmProblem part(part_shape);
  part.meta = whole.meta;
  part.weights = whole.weights;
  std::copy_n(whole.start_state.begin() + 32, 64, part.start_state.begin());
  for (int t = 0; t <= 4; ++t) {
    std::copy_n(whole.trace.begin() + t * 128 + 32, 64, part.trace.begin() + t * 64);
  }
  const std::vector<float> expected = part.meta_gradient(pool, 4);
  EXPECT_EQ(part.meta_gradient_of(pool, 4, whole.trace.data() + 32, 128), expected);
}

TEST_P(LstmKernelsTest, StepAppliesItsScales) {
  cpu::ThreadPool pool(2);
  for (const LstmShape& shape : {LstmShape{20, 2, kLog, 70, 1}, modulated(8, 1, 70, 1)}) {
    SCOPED_TRACE(testing::Message() << shape);
    LstmProblem problem(shape);
    const std::vector<float> start(70, 0.5F);
    std::vector<float> plain = start, scaled = start;
    AlignedFloats state = problem.tiled_state(), scaled_state = problem.tiled_state();
    std::vector<float> trace = problem.trace;
    for (float& g : problem.trace) g *= 0.25F;
    problem.run_step(pool, 0, state, plain);
    problem.trace = trace;
    const std::vector<float> tile_scales = {1.0F, 0.5F, 2.0F};
    problem.run_step(pool, 0, scaled_state, scaled, [&](StepArgs& args) {
      args.gradient_scale = 0.25F;
      args.update_scale = 0.1F;
      args.weight_decay = 0.01F;
      args.tile_scales = tile_scales.data();
    });
    for (int n = 0; n < 70; ++n) {
      const double update = double{plain[n]} - 0.5;
      const double expected = 0.5 + 0.1 * tile_scales[n / kTile] * (update - 0.01 * 0.5);
      EXPECT_NEAR(scaled[n], expected, 1e-7) << n;
    }
    EXPECT_EQ(std::vector<float>(state.data(), state.data() + state.size()),
              std::vector<float>(scaled_state.data(), scaled_state.data() + scaled_state.size()));
  }
}

TEST_P(LstmKernelsTest, MetaGradientDoesNotDependOnThreadsOrSegments) {
  const LstmShape shapes[] = {
      {20, 2, kLog, 700, 7}, {33, 1, kRaw, 41, 7}, {7, 3, kLog, 1500, 3}, modulated(20, 1, 700, 7)};
  cpu::ThreadPool one(1);
  for (const LstmShape& shape : shapes) {
    SCOPED_TRACE(testing::Message() << shape);
    const LstmProblem problem(shape);
    const std::vector<float> expected = problem.meta_gradient(one, shape.steps);
    for (const int threads : {1, 2, 3, 8}) {
      cpu::ThreadPool pool(threads);
      for (int segment = 1; segment <= shape.steps; ++segment) {
        EXPECT_EQ(problem.meta_gradient(pool, segment), expected)
            << threads << " threads, segments of " << segment;
      }
    }
  }
}

// The backward pass differentiates the steps that were taken, so its replay must take the same
// ones: the recompute checkpoints in its scratch must equal the states that lstm_step passes
// through.
TEST_P(LstmKernelsTest, ReplayMatchesTheForwardPassBitForBit) {
  cpu::ThreadPool pool(1);
  constexpr int kSteps = 6;
  for (const LstmShape& shape :
       {LstmShape{20, 2, kLog, 32, kSteps}, LstmShape{20, 2, kRaw, 32, kSteps},
        LstmShape{33, 3, kLog, 32, kSteps}, LstmShape{5, 1, kLog, 32, kSteps},
        modulated(20, 1, 32, kSteps), LstmShape{8, 2, kMoments, 32, kSteps}}) {
    SCOPED_TRACE(testing::Message() << shape);
    const LstmProblem problem(shape);  // one tile
    constexpr int kSegment = 1;
    std::vector<float> scratch;
    problem.meta_gradient(pool, kSegment, 0.0F, &scratch);
    const cpu::LstmLayout layout(problem.config().lstm);
    const cpu::ReplayLayout replay(layout, kSteps, kSegment);

    AlignedFloats state = problem.tiled_state();
    std::vector<float> theta(32, 0.0F);
    for (int t = 0; t < replay.segments - 1; ++t) {
      const float* checkpoint = scratch.data() + replay.checkpoints + t * layout.state_size();
      EXPECT_EQ(std::vector<float>(checkpoint, checkpoint + layout.state_size()),
                std::vector<float>(state.data(), state.data() + state.size()))
          << "before step " << t;
      problem.run_step(pool, t, state, theta);
    }
  }
}

TEST_P(LstmKernelsTest, StepDoesNotDependOnThreads) {
  const LstmProblem problem({20, 2, kLog, 1000, 3});
  std::vector<float> expected;
  for (const int threads : {1, 2, 3, 8}) {
    cpu::ThreadPool pool(threads);
    AlignedFloats state = problem.tiled_state();
    std::vector<float> result(1000, 0.0F);
    problem.run_steps(pool, state, result);
    result.insert(result.end(), state.data(), state.data() + state.size());
    if (expected.empty()) expected = result;
    EXPECT_EQ(result, expected) << threads << " threads";
  }
}

// A coordinate's step must depend neither on its position in the tile nor on its neighbors.
TEST_P(LstmKernelsTest, CoordinatesDoNotInfluenceEachOther) {
  cpu::ThreadPool pool(1);
  LstmProblem problem({20, 2, kLog, 33, 2});
  for (int n = 0; n < 33; ++n) {
    problem.start_state[n] = problem.start_state[0];
    for (int t = 0; t <= 2; ++t) problem.trace[t * 33 + n] = problem.trace[t * 33];
  }
  problem.trace[7] = std::numeric_limits<float>::quiet_NaN();
  AlignedFloats state = problem.tiled_state();
  std::vector<float> theta(33, 0.0F);
  problem.run_steps(pool, state, theta);
  for (int n = 0; n < 33; ++n) {
    if (n == 7) {
      EXPECT_TRUE(std::isnan(theta[n]));
    } else {
      EXPECT_EQ(theta[n], theta[0]) << n;
    }
  }
}

TEST_P(LstmKernelsTest, PaddingNeverReachesTheMetaGradient) {
  cpu::ThreadPool pool(2);
  for (const LstmShape& shape : {LstmShape{8, 2, kLog, 37, 4}, modulated(8, 2, 37, 4)}) {
    const LstmProblem problem(shape);
    const std::vector<float> expected = problem.meta_gradient(pool, 4);
    for (const float padding :
         {1e30F, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      for (const int segment : {1, 4}) {
        EXPECT_EQ(problem.meta_gradient(pool, segment, padding), expected) << padding;
      }
    }
  }
}

TEST_P(LstmKernelsTest, NoCoordinatesOrZeroWeightsGiveAZeroGradient) {
  cpu::ThreadPool pool(2);
  const LstmProblem no_coordinates({20, 2, kLog, 0, 3});
  EXPECT_EQ(no_coordinates.meta_gradient(pool, 3),
            std::vector<float>(no_coordinates.meta.size(), 0.0F));
  AlignedFloats state = no_coordinates.tiled_state();
  std::vector<float> theta;
  no_coordinates.run_steps(pool, state, theta);

  LstmProblem no_weight({20, 2, kLog, 50, 3});
  std::fill(no_weight.weights.begin(), no_weight.weights.end(), 0.0F);
  const std::vector<float> zero = no_weight.meta_gradient(pool, 3);
  for (const float value : zero) EXPECT_EQ(value, 0.0F);
}

TEST_P(LstmKernelsTest, GradientsOfAnyMagnitudeKeepTheStateFinite) {
  cpu::ThreadPool pool(1);
  const float infinity = std::numeric_limits<float>::infinity();
  const float extremes[] = {0.0F,
                            -0.0F,
                            1e-45F,
                            -1e-40F,
                            std::numeric_limits<float>::min(),
                            4.5399e-5F,
                            4.54e-5F,
                            1e30F,
                            std::numeric_limits<float>::max(),
                            infinity,
                            -infinity};
  for (const Preprocessing preprocessing : {kLog, kRaw, kMoments, kAdam}) {
    LstmShape shape = {20, 2, preprocessing, 11, 3};
    if (preprocessing == kAdam) shape.output = Output::kModulated;
    LstmProblem problem(shape);
    for (int n = 0; n < 11; ++n) {
      for (int t = 0; t <= 3; ++t) problem.trace[t * 11 + n] = extremes[n];
    }
    AlignedFloats state = problem.tiled_state();
    std::vector<float> theta(11, 0.0F);
    problem.run_steps(pool, state, theta);
    for (std::size_t i = 0; i < state.size(); ++i) EXPECT_TRUE(std::isfinite(state[i])) << i;
    for (const float value : theta) EXPECT_TRUE(std::isfinite(value));
  }
}

TEST(LstmScratch, IsBoundedInTheNumberOfCoordinates) {
  UnrollBackwardArgs args;
  args.unroll_length = 20;
  args.segment_length = 20;
  for (const int hidden : {1, 20, 64}) {
    for (const int layers : {1, 3}) {
      args.cell.lstm.hidden = hidden;
      args.cell.lstm.layers = layers;
      args.n = 1 << 20;
      const std::size_t bytes = cpu::lstm_unroll_backward_scratch_bytes(args, 2);
      args.n = (std::int64_t{1} << 31) + 17;
      EXPECT_EQ(cpu::lstm_unroll_backward_scratch_bytes(args, 2), bytes);
      args.n = std::numeric_limits<std::int64_t>::max();
      EXPECT_EQ(cpu::lstm_unroll_backward_scratch_bytes(args, 2), bytes);
      EXPECT_LE(bytes, std::size_t{64} << 20);
    }
  }
}

TEST(LstmScratch, GrowsByTheStatedBytesPerStepAndPerCheckpoint) {
  UnrollBackwardArgs args;
  args.n = 1000;
  const ReplayBytes bytes = cpu::lstm_replay_bytes(args.cell.lstm);
  const auto scratch = [&](int steps, int segment) {
    args.unroll_length = steps;
    args.segment_length = segment;
    return cpu::lstm_unroll_backward_scratch_bytes(args, 1);
  };
  EXPECT_EQ(scratch(20, 6) - scratch(20, 5), bytes.per_step);
  EXPECT_EQ(scratch(20, 5) - scratch(18, 6),
            bytes.per_checkpoint - bytes.per_step + 2 * 2 * kTile * sizeof(float));
}

}  // namespace
}  // namespace l2o
