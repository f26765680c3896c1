// Sums of the ops on cards of different size: they have the same bits, and so does what is spread
// over more blocks than run at once.
#include <gtest/gtest.h>

#include "tests/cuda/on_both.h"
#include "tests/emulation/emulation.h"

namespace l2o {
namespace {

using test::numbers;
using test::OnBackend;
using test::Results;

/// Every op with a sum, in chunks.
Results sums(Backend& backend) {
  constexpr int kRows = 3000, kColumns = 6, kFunctions = 20'000;
  OnBackend<float> logits(backend, numbers(1, kRows * kColumns));
  OnBackend<std::uint8_t> labels(backend, std::vector<std::uint8_t>(kRows, 2));
  OnBackend<float> loss(backend, {0.0F}), quadratic_loss(backend, {0.0F, 0.0F});
  backend.softmax_cross_entropy({.batch = 1,
                                 .rows = kRows,
                                 .classes = kColumns,
                                 .logits = logits.data(),
                                 .labels = labels.data(),
                                 .loss = loss.data()});
  OnBackend<float> bias_gradient(backend, numbers(2, kColumns));
  backend.bias_activation_backward({.activation = Activation::kIdentity,
                                    .batch = 1,
                                    .rows = kRows,
                                    .columns = kColumns,
                                    .adjoint = logits.data(),
                                    .bias_gradient = bias_gradient.data(),
                                    .bias_gradient_stride = kColumns});
  OnBackend<float> matrices(backend, numbers(3, 2 * kFunctions)),
      targets(backend, numbers(4, 2 * kFunctions)), theta(backend, numbers(5, 2 * kFunctions)),
      gradient(backend, numbers(6, 2 * kFunctions));
  backend.quadratic({.batch = 2,
                     .functions = kFunctions,
                     .dimension = 1,
                     .matrices = matrices.data(),
                     .targets = targets.data(),
                     .theta = theta.data(),
                     .loss = quadratic_loss.data(),
                     .gradient = gradient.data()});
  constexpr int kLarge = 140;
  OnBackend<float> matrix(backend, numbers(7, kLarge * kLarge)),
      large_gradient(backend, numbers(8, kLarge)), large_loss(backend, {0.0F});
  backend.quadratic({.batch = 1,
                     .functions = 1,
                     .dimension = kLarge,
                     .matrices = matrix.data(),
                     .targets = targets.data(),
                     .theta = theta.data(),
                     .loss = large_loss.data(),
                     .gradient = large_gradient.data()});
  return {logits.values(),   loss.values(),       bias_gradient.values(), quadratic_loss.values(),
          gradient.values(), large_loss.values(), large_gradient.values()};
}

TEST(GridSize, ChangesNoBitOfASum) {
  const emulation::RestoreSettings restore;
  Results expected;
  for (const int multiprocessors : {1, 2, 7, 150}) {
    emulation::settings.multiprocessors = multiprocessors;
    const Results results = sums(*test::cuda_backend());
    if (expected.empty()) expected = results;
    for (std::size_t i = 0; i < results.size(); ++i) {
      EXPECT_TRUE(test::same_bits(results[i], expected[i]))
          << multiprocessors << " multiprocessors, result " << i;
    }
  }
}

}  // namespace
}  // namespace l2o
