// The ops of a layer and of its cross-entropy loss, on a CUDA device compared to the CPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <ostream>
#include <vector>

#include "tests/cuda/on_both.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::kInfinity;
using test::kNan;
using test::numbers;
using test::OnBackend;
using test::Results;

class CudaDenseOps : public test::OnBoth {};

/// Activations whose slope is a function of their value.
constexpr Activation kActivations[] = {Activation::kIdentity, Activation::kSigmoid,
                                       Activation::kRelu,     Activation::kTanh,
                                       Activation::kElu,      Activation::kSoftplus};

struct LayerShape {
  int batch, rows, columns;
  std::int64_t size() const { return std::int64_t{batch} * rows * columns; }
  friend std::ostream& operator<<(std::ostream& out, const LayerShape& shape) {
    return out << shape.batch << " x " << shape.rows << " x " << shape.columns;
  }
};
// From rows of one value to rows of several blocks; more rows than one chunk of a sum.
constexpr LayerShape kLayerShapes[] = {{1, 1, 1},     {3, 70, 67},  {2, 128, 20},
                                       {1, 33, 1028}, {2, 5000, 3}, {1, 2500, 10},
                                       {1, 1, 2049},  {40, 7, 130}, {2, 1100, 32}};

/// Values of a layer, including some that are huge, infinite or NaN.
std::vector<float> layer_values(std::uint32_t stream, std::int64_t count) {
  std::vector<float> values = numbers(stream, count, 6.0F);
  const float special[] = {kNan, kInfinity, -kInfinity, 1e30F, -1e30F, 0.0F, -0.0F, 100.0F};
  for (std::size_t i = 0; i < std::size(special); ++i) {
    const std::size_t at = 17 + 31 * i;
    if (at < values.size()) values[at] = special[i];
  }
  return values;
}

TEST_F(CudaDenseOps, BiasAndActivation) {
  for (const LayerShape shape : kLayerShapes) {
    for (const Activation activation : kActivations) {
      for (const int offset : {0, 1}) {
        SCOPED_TRACE(testing::Message() << shape << ", activation " << static_cast<int>(activation)
                                        << ", offset " << offset);
        const auto op = [&](Backend& backend) {
          const std::int64_t bias_stride = shape.columns + 3;
          OnBackend<float> values(backend, layer_values(1, shape.size()), offset);
          OnBackend<float> bias(backend, numbers(2, shape.batch * bias_stride));
          backend.bias_activation({.activation = activation,
                                   .batch = shape.batch,
                                   .rows = shape.rows,
                                   .columns = shape.columns,
                                   .values = values.data(),
                                   .bias = bias.data(),
                                   .bias_stride = bias_stride});
          return Results{values.values()};
        };
        // Exponentials and tanh are rounded differently; sums and comparisons are not. Identity and
        // relu keep huge numbers, next to which an error would go unnoticed.
        if (activation == Activation::kIdentity || activation == Activation::kRelu) {
          expect_same_bits(op);
        } else {
          expect_close(tolerance::kActivation, op);
        }
      }
    }
  }
}

TEST_F(CudaDenseOps, BiasAndActivationBackward) {
  for (const LayerShape shape : kLayerShapes) {
    for (const Activation activation : kActivations) {
      SCOPED_TRACE(testing::Message() << shape << ", activation " << static_cast<int>(activation));
      std::vector<float> adjoints, bias_gradients;
      const auto op = [&](Backend& backend) {
        const std::int64_t stride = shape.columns + 3;
        OnBackend<float> activated(backend, numbers(1, shape.size(), 0.99F), 1);
        OnBackend<float> adjoint(backend, numbers(2, shape.size()), 1);
        OnBackend<float> bias_gradient(backend, numbers(3, shape.batch * stride));
        backend.bias_activation_backward(
            {.activation = activation,
             .batch = shape.batch,
             .rows = shape.rows,
             .columns = shape.columns,
             .activated = activation == Activation::kIdentity ? nullptr : activated.data(),
             .adjoint = adjoint.data(),
             .bias_gradient = bias_gradient.data(),
             .bias_gradient_stride = stride});
        return Results{adjoint.values(), bias_gradient.values()};
      };
      const Results cuda = on_cuda(op), cpu = op(*cpu_);
      EXPECT_TRUE(test::same_bits(cuda[0], cpu[0]));
      EXPECT_LE(test::distance(cuda[1], cpu[1]), tolerance::kDoubleSum);
    }
  }
}

TEST_F(CudaDenseOps, NonFiniteAdjointReachesOnlyItsColumn) {
  constexpr int kRows = 1500, kColumns = 6;
  expect_close(tolerance::kDoubleSum, [&](Backend& backend) {
    std::vector<float> adjoint = numbers(1, kRows * kColumns);
    adjoint[1200 * kColumns + 2] = kNan;
    adjoint[300 * kColumns + 5] = -kInfinity;
    OnBackend<float> adjoints(backend, adjoint);
    OnBackend<float> bias_gradient(backend, std::vector<float>(kColumns));
    backend.bias_activation_backward({.activation = Activation::kIdentity,
                                      .batch = 1,
                                      .rows = kRows,
                                      .columns = kColumns,
                                      .adjoint = adjoints.data(),
                                      .bias_gradient = bias_gradient.data(),
                                      .bias_gradient_stride = kColumns});
    return Results{bias_gradient.values()};
  });
}

// --------------------------------------------------------------------------------- cross-entropy

Results cross_entropy(Backend& backend, const LayerShape& shape, const std::vector<float>& logits) {
  std::vector<std::uint16_t> labels(static_cast<std::size_t>(shape.batch * shape.rows));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    labels[i] = static_cast<std::uint16_t>(i * 7 % static_cast<std::size_t>(shape.columns));
  }
  OnBackend<float> z(backend, logits, 1);
  OnBackend<std::uint16_t> label(backend, labels);
  OnBackend<float> loss(backend, numbers(5, shape.batch));
  backend.softmax_cross_entropy({.batch = shape.batch,
                                 .rows = shape.rows,
                                 .classes = shape.columns,
                                 .logits = z.data(),
                                 .labels = label.data(),
                                 .loss = loss.data()});
  return {z.values(), loss.values()};
}

TEST_F(CudaDenseOps, SoftmaxCrossEntropy) {
  for (const LayerShape shape : {LayerShape{3, 50, 11},
                                 {1, 128, 10},
                                 {2, 1, 1},
                                 {1, 1000, 10},
                                 {2, 300, 256},
                                 {1, 3, 1000},
                                 {1, 40, 33},
                                 {150, 3, 2}}) {
    for (const float scale : {1.0F, 20.0F}) {
      SCOPED_TRACE(testing::Message() << shape << ", scale " << scale);
      expect_close(tolerance::kSoftmax, [&](Backend& backend) {
        return cross_entropy(backend, shape, numbers(1, shape.size(), scale));
      });
    }
  }
}

TEST_F(CudaDenseOps, SoftmaxCrossEntropyOfHugeLogitsAndNan) {
  const LayerShape rows{8, 1, 3};  // tasks of one row, so that each has its own loss
  expect_close(tolerance::kSoftmax, [&](Backend& backend) {
    return cross_entropy(backend, rows,
                         {1e30F, 0.0F, 0.0F, -1e30F,     1e4F, -1e4F,      0.0F,       kNan,
                          1.0F,  1.0F, 0.0F, kNan,       kNan, 0.0F,       1.0F,       kInfinity,
                          0.0F,  1.0F, 0.0F, -kInfinity, 1.0F, -kInfinity, -kInfinity, -kInfinity});
  });
}

}  // namespace
}  // namespace l2o
