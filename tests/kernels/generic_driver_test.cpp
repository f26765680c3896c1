// The generic driver, which runs cells over tiles: comparison with the cell itself and with the
// float64 reference, and bitwise across numbers of threads and segment lengths.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "kernels/cells/cell_list.h"
#include "kernels/cpu/launchers.h"
#include "kernels/math/normal.h"
#include "kernels/op_args.h"
#include "tests/support/to_reference.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

std::vector<float> random_floats(std::int64_t size, float sigma, std::uint32_t stream) {
  const RandomKey key = {.seed = 1, .purpose = RandomPurpose::kTest, .task = stream, .step = 0};
  std::vector<float> values(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = sigma * normal_from_bits(random_bits(key, i));
  }
  return values;
}

CellConfig small_cell(int kind) {
  CellConfig cell;
  cell.kind = kind;
  cell.lstm.hidden = 4;
  visit_cell(kind, [&](auto c) {
    int k = 0;
    for (const HyperParameter& hyper : decltype(c)::kHyper) cell.hyper[k++] = hyper.default_value;
  });
  return cell;
}

// ----------------------------------------------------------------------------------------- step

TEST(GenericStep, EveryCellAtEveryTail) {
  for (int kind = 0; kind < kCellCount; ++kind) {
    const CellConfig cell = small_cell(kind);
    const int state_size = cell_state_size(cell);
    const std::vector<float> meta = random_floats(cell_meta_size(cell), 0.4F, 1);
    for (const std::int64_t n : {0, 1, 31, 32, 33, 1025, 3000}) {
      SCOPED_TRACE(std::string(cell_name(cell)) + ", n " + std::to_string(n));
      const std::vector<float> gradient = random_floats(n, 1.0F, 2);
      std::vector<float> theta = random_floats(n, 1.0F, 3), expected_theta = theta;
      std::vector<float> state(static_cast<std::size_t>(tile_count(n) * kTile * state_size), 0.0F);
      std::vector<float> expected_state = state;
      cpu::ThreadPool pool(3);
      for (int t = 0; t < 3; ++t) {
        cpu::generic_step({.cell = cell,
                           .n = n,
                           .packed = meta.data(),
                           .gradient = gradient.data(),
                           .state = state.data(),
                           .theta = theta.data()},
                          pool);
        visit_cell(kind, [&](auto c) {
          for (std::int64_t i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(i);
            std::vector<float> own(static_cast<std::size_t>(state_size));
            for (int s = 0; s < state_size; ++s) {
              own[std::size_t(s)] = expected_state[state_index(state_size, s, i)];
            }
            expected_theta[at] += decltype(c)::forward(cell, meta.data(), gradient[at], own.data());
            for (int s = 0; s < state_size; ++s) {
              expected_state[state_index(state_size, s, i)] = own[std::size_t(s)];
            }
          }
        });
      }
      EXPECT_EQ(theta, expected_theta);
      EXPECT_EQ(state, expected_state);  // the padding of the last tile included
    }
  }
}

// ------------------------------------------------------------------------------- unroll backward

struct Unroll {
  CellConfig cell;
  std::int64_t n;
  int steps;
  std::vector<float> meta, trace, weights, start_state;
  std::vector<float> tile_weights;  // may be empty

  Unroll(const LstmConfig& lstm, std::int64_t coordinates, int unroll_length)
      : n(coordinates), steps(unroll_length) {
    cell.lstm = lstm;
    meta = random_floats(cell_meta_size(cell), 0.4F, 1);
    trace = random_floats((steps + 1) * n, 1.0F, 2);
    weights = random_floats(steps + 1, 1.0F, 3);
    for (float& weight : weights) weight = std::abs(weight);
    const int state_size = cell_state_size(cell);
    start_state = random_floats(tile_count(n) * kTile * state_size, 0.5F, 4);
    if (lstm.preprocessing_state() == 0) return;
    for (std::int64_t i = 0; i < tile_count(n) * kTile; ++i) {
      test::make_moments_possible(lstm, start_state.data() + state_index(state_size, 0, i), kTile);
    }
  }

  std::vector<float> backward(int segment_length, int threads) const {
    cpu::ThreadPool pool(threads);
    std::vector<float> meta_gradient(meta.size(), -99.0F);
    UnrollBackwardArgs args = {.cell = cell,
                               .n = n,
                               .unroll_length = steps,
                               .segment_length = segment_length,
                               .packed = meta.data(),
                               .trace = trace.data(),
                               .weights = weights.data(),
                               .tile_weights = tile_weights.empty() ? nullptr : tile_weights.data(),
                               .start_state = start_state.data(),
                               .meta_gradient = meta_gradient.data()};
    // Filled with NaN: nothing may be read before it is written.
    std::vector<double> scratch(
        cpu::generic_unroll_backward_scratch_bytes(args, threads) / sizeof(double) + 1,
        std::nan(""));
    args.scratch = scratch.data();
    cpu::generic_unroll_backward(args, pool);
    return meta_gradient;
  }

  reference::Vector expected() const {
    const reference::Lstm rule = test::to_reference(cell.lstm, {meta.begin(), meta.end()});
    reference::Unroll unroll;
    unroll.weights.assign(weights.begin(), weights.end());
    for (int t = 0; t <= steps; ++t) {
      unroll.trace.emplace_back(trace.begin() + t * n, trace.begin() + (t + 1) * n);
    }
    for (std::int64_t i = 0; i < n; ++i) {
      unroll.start_state.emplace_back();
      for (int s = 0; s < rule.state_size(); ++s) {
        unroll.start_state.back().push_back(start_state[state_index(rule.state_size(), s, i)]);
      }
    }
    return tile_weights.empty()
               ? reference::meta_gradient(rule, unroll)
               : reference::weighted_meta_gradient(rule, unroll, kTile, tile_weights);
  }
};

/// Norm of the error relative to the norm of the reference.
double relative_error(const std::vector<float>& actual, const reference::Vector& expected) {
  double distance = 0.0, length = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    distance += std::pow(actual[i] - expected[i], 2);
    length += std::pow(expected[i], 2);
  }
  return std::sqrt(distance / length);
}

TEST(GenericUnrollBackward, EqualsTheReference) {
  for (const int layers : {0, 1, 2, 3}) {
    for (const auto& [preprocessing, output] :
         {std::pair(Preprocessing::kIdentity, Output::kLinear),
          {Preprocessing::kLogAndSign, Output::kLinear},
          {Preprocessing::kMoments, Output::kTanh},
          {Preprocessing::kAdamMoments, Output::kModulated}}) {
      const Unroll unroll(
          {.layers = layers, .hidden = 5, .preprocessing = preprocessing, .output = output}, 70, 6);
      EXPECT_LT(relative_error(unroll.backward(6, 1), unroll.expected()), tolerance::kMetaGradient)
          << "layers " << layers << ", " << preprocessing_name(preprocessing);
    }
  }
}

TEST(GenericUnrollBackward, OneStepAndOneCoordinate) {
  const Unroll unroll({.layers = 2, .hidden = 3}, 1, 1);
  EXPECT_LT(relative_error(unroll.backward(1, 1), unroll.expected()), tolerance::kMetaGradient);
}

TEST(GenericUnrollBackward, AppliesTileWeights) {
  for (const int layers : {0, 2}) {
    Unroll unroll({.layers = layers, .hidden = 3}, 70, 5);
    const std::vector<float> unweighted = unroll.backward(2, 2);
    unroll.tile_weights = {1.0F, 1.0F, 1.0F};
    EXPECT_EQ(unroll.backward(2, 2), unweighted);
    unroll.tile_weights = {0.5F, 0.0F, 3.0F};
    EXPECT_LT(relative_error(unroll.backward(2, 2), unroll.expected()), tolerance::kMetaGradient)
        << "layers " << layers;
  }
}

TEST(GenericUnrollBackward, SegmentsAndThreadsDoNotChangeTheBits) {
  // More tiles than chunks, and a partial tile.
  const Unroll unroll({.layers = 2, .hidden = 3}, 65 * kTile + 7, 7);
  const std::vector<float> expected = unroll.backward(7, 1);
  for (int segment = 1; segment <= 7; ++segment) {
    EXPECT_EQ(unroll.backward(segment, 1), expected) << "segment " << segment;
    EXPECT_EQ(unroll.backward(segment, 3), expected) << "segment " << segment << ", 3 threads";
  }
}

TEST(GenericUnrollBackward, NoCoordinatesGiveAZeroGradient) {
  const Unroll unroll({.layers = 2, .hidden = 3}, 0, 4);
  EXPECT_EQ(unroll.backward(2, 2), std::vector<float>(unroll.meta.size(), 0.0F));
}

TEST(GenericUnrollBackward, MemoryIsBoundedForAnyN) {
  UnrollBackwardArgs args;
  args.unroll_length = 20;
  args.segment_length = 5;
  args.n = 1'000'000;
  const std::size_t million = cpu::generic_unroll_backward_scratch_bytes(args, 2);
  args.n = 1'000'000'000;
  EXPECT_LE(cpu::generic_unroll_backward_scratch_bytes(args, 2), million * 11 / 10);
  EXPECT_LT(million, std::size_t{4} << 20);
}

TEST(GenericUnrollBackward, RulesWithoutMetaParametersHaveNoGradient) {
  Unroll unroll({}, 40, 2);
  unroll.cell = small_cell(find_cell("adam"));
  unroll.meta.clear();
  EXPECT_TRUE(unroll.backward(1, 1).empty());
}

TEST(GenericPack, PackedIsPhi) {
  const CellConfig cell = small_cell(kLstmKind);
  const std::vector<float> meta = random_floats(cell_meta_size(cell), 1.0F, 1);
  ASSERT_EQ(cpu::generic_packed_bytes(cell), meta.size() * sizeof(float));
  std::vector<float> packed(meta.size());
  cpu::generic_pack({.cell = cell, .meta = meta.data(), .packed = packed.data()});
  EXPECT_EQ(packed, meta);
}

}  // namespace
}  // namespace l2o
