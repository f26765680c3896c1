// Cases of the ops of layers and losses that tests/ops does not cover, on a CUDA device compared to
// the CPU: NaN, sums without terms, and zero sizes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

#include "tests/cuda/on_both.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::kNan;
using test::numbers;
using test::OnBackend;
using test::Results;

class CudaLayerOps : public test::OnBoth {};

TEST_F(CudaLayerOps, NanInAnImageReachesOnlyItsReaders) {
  constexpr std::int64_t kPixels = 2 * 6 * 6, kWeights = 3 * 3 * 2 * 3;
  const ConvolutionShape shape = {1, 2, 6, 6, 2, 6, 6, 3, 3, 1, 1, 1};
  expect_close(tolerance::kConvolution, [&](Backend& backend) {
    std::vector<float> values = numbers(1, 2 * kPixels), adjoints = numbers(5, 3 * kPixels);
    values[7] = adjoints[101] = kNan;
    OnBackend<float> input(backend, values), weights(backend, numbers(2, kWeights));
    OnBackend<float> bias(backend, numbers(3, 3)), output(backend, numbers(4, 3 * kPixels));
    OnBackend<float> adjoint(backend, adjoints), back(backend, numbers(6, 2 * kPixels));
    backend.convolution({.shape = shape,
                         .input = input.data(),
                         .weights = weights.data(),
                         .bias = bias.data(),
                         .output = output.data()});
    backend.convolution_backward_input({.shape = shape,
                                        .output_adjoint = adjoint.data(),
                                        .weights = weights.data(),
                                        .input_adjoint = back.data()});
    return Results{output.values(), back.values()};
  });
}

TEST_F(CudaLayerOps, ConvolutionsWithoutTerms) {
  const ConvolutionShape no_channels = {2, 1, 4, 4, 0, 4, 4, 3, 3, 1, 1, 1};
  const ConvolutionShape no_outputs = {2, 1, 4, 4, 3, 4, 4, 0, 3, 1, 1, 1};
  const ConvolutionShape no_images = {2, 0, 4, 4, 2, 4, 4, 3, 3, 1, 1, 1};
  expect_same_bits([&](Backend& backend) {
    OnBackend<float> bias(backend, numbers(1, 2 * 3)), output(backend, numbers(2, 2 * 16 * 3));
    OnBackend<float> back(backend, numbers(3, 2 * 16 * 3));
    OnBackend<float> gradient(backend, numbers(4, 2 * 9 * 2 * 3));
    OnBackend<float> nothing(backend, {});
    backend.convolution({.shape = no_channels,
                         .activation = Activation::kRelu,
                         .input = nothing.data(),
                         .weights = nothing.data(),
                         .bias = bias.data(),
                         .bias_stride = 3,
                         .output = output.data()});
    backend.convolution_backward_input({.shape = no_outputs,
                                        .output_adjoint = nothing.data(),
                                        .weights = nothing.data(),
                                        .input_adjoint = back.data()});
    backend.convolution_backward_weights({.shape = no_images,
                                          .input = nothing.data(),
                                          .output_adjoint = nothing.data(),
                                          .weights_gradient = gradient.data(),
                                          .weights_gradient_stride = 9 * 2 * 3});
    return Results{output.values(), back.values(), gradient.values()};
  });
}

TEST_F(CudaLayerOps, MaximumOfAWindowWithNanIsNan) {
  PoolShape shape;
  shape.images = 5;
  shape.height = 9;
  shape.width = 7;
  shape.channels = 33;
  shape.kernel_height = shape.kernel_width = 3;
  shape.stride = 2;
  shape.out_height = 4;
  shape.out_width = 3;
  constexpr std::int64_t kInputs = 5 * 9 * 7 * 33, kOutputs = 5 * 4 * 3 * 33;
  std::vector<float> values = numbers(1, kInputs);
  for (std::size_t i = 0; i < values.size(); i += 59) values[i] = kNan;
  for (std::size_t i = 1; i < values.size(); i += 2) {  // fills whole windows
    values[i] = -std::numeric_limits<float>::infinity();
  }
  expect_same_bits([&](Backend& backend) {
    OnBackend<float> input(backend, values), output(backend, numbers(2, kOutputs));
    OnBackend<std::uint16_t> argmax(backend, std::vector<std::uint16_t>(kOutputs, 999));
    backend.pool(
        {.shape = shape, .input = input.data(), .output = output.data(), .argmax = argmax.data()});
    const std::vector<std::uint16_t> places = argmax.values();
    return Results{output.values(), {places.begin(), places.end()}};
  });
}

TEST_F(CudaLayerOps, NanPropagatesIntoLossTerms) {
  constexpr int kBatch = 3, kCount = 100;
  std::vector<float> thetas = numbers(1, kBatch * kCount, 4.0F);
  thetas[50] = kNan;  // in the first task
  expect_close(tolerance::kDoubleSum, [&](Backend& backend) {
    OnBackend<float> theta(backend, thetas), loss(backend, numbers(2, kBatch));
    OnBackend<float> gradient(backend, numbers(3, kBatch * kCount)),
        centers(backend, numbers(4, kBatch * kCount));
    backend.clipped_squares({.batch = kBatch,
                             .count = kCount,
                             .centers = centers.data(),
                             .theta = theta.data(),
                             .gradient = gradient.data(),
                             .stride = kCount,
                             .loss = loss.data()});
    backend.l2_penalty({.weight = 0.3F,
                        .batch = kBatch,
                        .count = kCount,
                        .theta = theta.data(),
                        .gradient = gradient.data(),
                        .stride = kCount,
                        .loss = loss.data()});
    return Results{gradient.values(), loss.values()};
  });
}

TEST_F(CudaLayerOps, ZeroSizeIsANoOp) {
  // All pointers are null: an access to memory would be reported as an error below at the latest.
  Backend& backend = *cuda_;
  backend.activation({});
  backend.activation_backward({});
  backend.add({});
  backend.multiply({});
  for (ConvolutionShape shape :
       {ConvolutionShape{0, 1, 1, 1, 1, 1, 1, 1}, {1, 0, 1, 1, 1, 1, 1, 1}}) {
    backend.convolution({.shape = shape});
    backend.convolution_backward_input({.shape = shape});
  }
  backend.convolution_backward_weights({.shape = {0, 1, 1, 1, 1, 1, 1, 1}});
  backend.convolution_backward_weights({.shape = {1, 1, 1, 1, 0, 1, 1, 1}});
  backend.pool({.shape = {.images = 0, .height = 1, .width = 1, .channels = 1}});
  backend.pool_backward({.shape = {.images = 0, .height = 1, .width = 1, .channels = 1}});
  for (const auto& [batch, rows, columns] :
       {std::tuple{0, 1, 1}, std::tuple{1, 0, 1}, std::tuple{1, 1, 0}}) {
    backend.batch_norm({.batch = batch, .rows = rows, .columns = columns});
    backend.batch_norm_backward({.batch = batch, .rows = rows, .columns = columns});
    backend.layer_norm({.batch = batch, .rows = rows, .columns = columns});
    backend.layer_norm_backward({.batch = batch, .rows = rows, .columns = columns});
    backend.mean_squared_error({.batch = batch, .rows = rows, .columns = columns});
  }
  backend.l2_penalty({.batch = 1, .count = 0});
  backend.clipped_squares({.batch = 1, .count = 0});
  backend.synchronize();
}

}  // namespace
}  // namespace l2o
