// Ops on GPUs of different sizes: sums have the same bits, and so do ops with more blocks than run
// concurrently.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/cuda/on_both.h"
#include "tests/emulation/emulation.h"

namespace l2o {
namespace {

using test::numbers;
using test::OnBackend;
using test::Results;

/// So large that doubles of this magnitude are 2 apart.
constexpr float kHuge = 1e16F;

/// `rows` rows of `columns` numbers below 1, except that the first and the last row are huge with
/// opposite signs: numbers added to them are rounded to integers, so a different grouping gives a
/// different sum.
std::vector<float> touchy(std::uint32_t stream, int rows, int columns) {
  std::vector<float> values = numbers(stream, std::int64_t{rows} * columns);
  std::fill_n(values.begin(), columns, kHuge);
  std::fill_n(values.end() - columns, columns, -kHuge);
  return values;
}

/// All ops with a sum, in chunks.
Results sums(Backend& backend) {
  constexpr int kRows = 3000, kColumns = 6, kFunctions = 20'000;
  OnBackend<float> logits(backend, numbers(1, kRows * kColumns));
  OnBackend<std::uint16_t> labels(backend, std::vector<std::uint16_t>(kRows, 2));
  OnBackend<float> loss(backend, {0.0F}), quadratic_loss(backend, {0.0F, 0.0F});
  backend.softmax_cross_entropy({.batch = 1,
                                 .rows = kRows,
                                 .classes = kColumns,
                                 .logits = logits.data(),
                                 .labels = labels.data(),
                                 .loss = loss.data()});
  OnBackend<float> adjoint(backend, touchy(9, kRows, kColumns));
  OnBackend<float> bias_gradient(backend, numbers(2, kColumns));
  backend.bias_activation_backward({.activation = Activation::kIdentity,
                                    .batch = 1,
                                    .rows = kRows,
                                    .columns = kColumns,
                                    .adjoint = adjoint.data(),
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
                     .gradient = gradient.data(),
                     .stride = kFunctions,
                     .loss = quadratic_loss.data()});
  constexpr int kLarge = 140;
  // The first and the last row are equal, so that the gradients of the huge residuals are opposite.
  std::vector<float> rows = numbers(7, kLarge * kLarge);
  std::copy_n(rows.begin(), kLarge, rows.end() - kLarge);
  OnBackend<float> matrix(backend, rows), large_targets(backend, touchy(10, kLarge, 1)),
      large_gradient(backend, numbers(8, kLarge)), large_loss(backend, {0.0F});
  backend.quadratic({.batch = 1,
                     .functions = 1,
                     .dimension = kLarge,
                     .matrices = matrix.data(),
                     .targets = large_targets.data(),
                     .theta = theta.data(),
                     .gradient = large_gradient.data(),
                     .loss = large_loss.data()});
  return {logits.values(),   loss.values(),       bias_gradient.values(), quadratic_loss.values(),
          gradient.values(), large_loss.values(), large_gradient.values()};
}

TEST(GridSize, DoesNotChangeABitOfASum) {
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
