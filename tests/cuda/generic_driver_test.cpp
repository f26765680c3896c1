// Rules without their own kernels, on a CUDA device compared to the CPU.
#include <gtest/gtest.h>

#include <string>

#include "kernels/cells/cell_list.h"
#include "tests/cuda/on_both.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::numbers;
using test::OnBackend;
using test::Results;

class CudaGenericDriver : public test::OnBoth {};

/// A cell of that kind with its default numbers; for the LSTM, without layers.
CellConfig cell_of_kind(int kind) {
  CellConfig cell;
  cell.kind = kind;
  cell.lstm.layers = 0;
  visit_cell(kind, [&](auto c) {
    int k = 0;
    for (const HyperParameter& hyper : decltype(c)::kHyper) cell.hyper[k++] = hyper.default_value;
  });
  return cell;
}

/// LSTMs without layers, with every preprocessing and output.
std::vector<CellConfig> lstms_without_layers() {
  std::vector<CellConfig> cells;
  for (const auto& [preprocessing, output] : {std::pair(Preprocessing::kIdentity, Output::kTanh),
                                              {Preprocessing::kLogAndSign, Output::kLinear},
                                              {Preprocessing::kMoments, Output::kTanh},
                                              {Preprocessing::kAdamMoments, Output::kModulated}}) {
    cells.push_back(cell_of_kind(kLstmKind));
    cells.back().lstm.preprocessing = preprocessing;
    cells.back().lstm.output = output;
  }
  return cells;
}

/// phi as read by the backend's kernels.
Buffer<std::byte> packed_phi(Backend& backend, const CellConfig& cell) {
  OnBackend<float> meta(backend, numbers(1, cell_meta_size(cell), 0.5F));
  Buffer<std::byte> packed(backend, backend.packed_bytes(cell));
  backend.pack({.cell = cell, .meta = meta.data(), .packed = packed.data()});
  return packed;
}

TEST_F(CudaGenericDriver, StepsOfEveryRuleAtEveryTail) {
  std::vector<CellConfig> cells = lstms_without_layers();
  for (int kind = 0; kind < kCellCount; ++kind) {
    if (kind != kLstmKind) cells.push_back(cell_of_kind(kind));
  }
  for (const CellConfig& cell : cells) {
    const int state_size = cell_state_size(cell);
    for (const std::int64_t n : {0, 1, 31, 32, 33, 1025, 20'001}) {
      SCOPED_TRACE(testing::Message() << cell_name(cell) << ", n " << n);
      const auto op = [&](Backend& backend) {
        const Buffer<std::byte> packed = packed_phi(backend, cell);
        Buffer<std::byte> state(backend, backend.state_bytes(cell, n));
        state.fill_zero();
        OnBackend<float> theta(backend, numbers(2, n), 1);
        OnBackend<float> tile_scales(backend, numbers(6, tile_count(n)));
        for (std::uint32_t t = 0; t < 3; ++t) {
          OnBackend<float> gradient(backend, numbers(3 + t, n), 1);
          StepArgs args = {.cell = cell,
                           .n = n,
                           .packed = packed.data(),
                           .gradient = gradient.data(),
                           .state = state.data(),
                           .theta = theta.data()};
          if (t > 0) {
            args.gradient_scale = 0.3F;
            args.update_scale = 0.7F;
            args.weight_decay = 0.01F;
            args.tile_scales = t == 1 ? nullptr : tile_scales.data();
          }
          backend.step(args);
        }
        std::vector<float> exported(static_cast<std::size_t>(state_size * n));
        backend.export_state(cell, n, state.data(), exported.data());
        return Results{theta.values(), exported};
      };
      if (cell.kind == kLstmKind) {  // its logarithms are rounded differently
        expect_close(tolerance::kLstmUpdate, op);
      } else {
        expect_same_bits(op);
      }
    }
  }
}

Results meta_gradient(Backend& backend, const CellConfig& cell, std::int64_t n, int steps,
                      int segment_length, const std::vector<float>& tile_weights = {},
                      const std::vector<float>& tile_scales = {}) {
  const Buffer<std::byte> packed = packed_phi(backend, cell);
  OnBackend<float> trace(backend, numbers(2, (steps + 1) * n), 1);
  OnBackend<float> weights(backend, numbers(3, steps + 1)), of_tiles(backend, tile_weights);
  OnBackend<float> scales(backend, tile_scales);
  const bool by_step = tile_weights.size() > static_cast<std::size_t>(tile_count(n));
  Buffer<std::byte> state(backend, backend.state_bytes(cell, n));
  state.fill_zero();
  OnBackend<float> gradient(backend, numbers(4, cell_meta_size(cell)));
  UnrollBackwardArgs args = {.cell = cell,
                             .n = n,
                             .unroll_length = steps,
                             .segment_length = segment_length,
                             .packed = packed.data(),
                             .trace = trace.data(),
                             .weights = weights.data(),
                             .tile_weights = tile_weights.empty() ? nullptr : of_tiles.data(),
                             .tile_weight_stride = by_step ? tile_count(n) : 0,
                             .tile_scales = tile_scales.empty() ? nullptr : scales.data(),
                             .tile_scale_stride = tile_count(n),
                             .start_state = state.data(),
                             .meta_gradient = gradient.data()};
  Buffer<std::byte> scratch(backend, backend.unroll_backward_scratch_bytes(args));
  args.scratch = scratch.data();
  backend.unroll_backward(args);
  return {gradient.values()};
}

TEST_F(CudaGenericDriver, MetaGradientOfTheLstmWithoutLayers) {
  for (const CellConfig& cell : lstms_without_layers()) {
    // The last n exceeds the number replayed at a time.
    for (const auto& [n, steps] :
         {std::pair{std::int64_t{0}, 4}, {1, 1}, {33, 6}, {1025, 5}, {65'536 + 300, 2}}) {
      SCOPED_TRACE(testing::Message() << "n " << n << ", T " << steps);
      expect_close(tolerance::kMetaGradient, [&, n = n, steps = steps](Backend& backend) {
        return meta_gradient(backend, cell, n, steps, steps);
      });
      const Results whole = meta_gradient(*cuda_, cell, n, steps, steps);
      for (int segment = 1; segment < steps; ++segment) {
        EXPECT_TRUE(test::same_bits(meta_gradient(*cuda_, cell, n, steps, segment)[0], whole[0]))
            << "segment " << segment;
      }
    }
  }
}

TEST_F(CudaGenericDriver, TileWeightsMultiplyTheirGradients) {
  const CellConfig cell = cell_of_kind(kLstmKind);
  const std::vector<float> ones(3, 1.0F), weights = {0.5F, 0.0F, 3.0F};
  expect_close(tolerance::kMetaGradient,
               [&](Backend& backend) { return meta_gradient(backend, cell, 70, 4, 2, weights); });
  const Results unweighted = meta_gradient(*cuda_, cell, 70, 4, 2);
  EXPECT_TRUE(test::same_bits(meta_gradient(*cuda_, cell, 70, 4, 2, ones)[0], unweighted[0]));
  EXPECT_FALSE(test::same_bits(meta_gradient(*cuda_, cell, 70, 4, 2, weights)[0], unweighted[0]));
}

TEST_F(CudaGenericDriver, WeightsAndScalesMayVaryByStep) {
  const std::vector<float> weights = numbers(8, 5 * 3), scales = numbers(9, 4 * 3);
  for (const CellConfig& cell : lstms_without_layers()) {
    SCOPED_TRACE(preprocessing_name(cell.lstm.preprocessing));
    expect_close(tolerance::kMetaGradient, [&](Backend& backend) {
      return meta_gradient(backend, cell, 70, 4, 2, weights, scales);
    });
  }
}

TEST_F(CudaGenericDriver, RulesWithoutMetaParametersHaveNoGradient) {
  EXPECT_TRUE(meta_gradient(*cuda_, cell_of_kind(find_cell("adam")), 40, 2, 1)[0].empty());
}

}  // namespace
}  // namespace l2o
