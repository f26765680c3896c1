#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "tests/optimizee/batch.h"
#include "tests/support/error_of.h"
#include "tests/support/small_mnist.h"

namespace l2o {
namespace {

constexpr std::size_t kRows = 16;  // of a minibatch

/// The network and its gradient in double, one row at a time, from the description alone:
/// parameters layer by layer, W [inputs, outputs] and then the bias.
struct ReferenceMlp {
  std::vector<std::size_t> sizes;  // inputs, hidden layers, classes
  std::string activation;

  struct Result {
    double loss = 0.0;
    std::vector<double> gradient;
  };

  double value(double z) const {
    if (activation == "relu") return z > 0.0 ? z : 0.0;
    if (activation == "tanh") return std::tanh(z);
    return 1.0 / (1.0 + std::exp(-z));
  }
  double slope(double z) const {
    if (activation == "relu") return z > 0.0 ? 1.0 : 0.0;
    if (activation == "tanh") return 1.0 / (std::cosh(z) * std::cosh(z));
    return value(z) * value(-z);
  }

  /// Adds the loss and gradient of one row, times `weight`.
  void add_row(const std::vector<double>& input, int label, double weight, const float* theta,
               Result& result) const {
    const std::size_t layers = sizes.size() - 1;
    std::vector<std::vector<double>> z(layers);
    std::vector<std::vector<double>> in(layers + 1);
    std::vector<std::size_t> offset(layers);
    in[0] = input;
    std::size_t at = 0;
    for (std::size_t l = 0; l < layers; ++l) {
      offset[l] = at;
      const std::size_t bias = at + sizes[l] * sizes[l + 1];
      for (std::size_t j = 0; j < sizes[l + 1]; ++j) {
        double sum = theta[bias + j];
        for (std::size_t i = 0; i < sizes[l]; ++i)
          sum += in[l][i] * theta[at + i * sizes[l + 1] + j];
        z[l].push_back(sum);
        in[l + 1].push_back(l + 1 < layers ? value(sum) : sum);
      }
      at = bias + sizes[l + 1];
    }
    result.gradient.resize(at);

    double sum = 0.0;
    for (const double logit : in[layers]) sum += std::exp(logit);
    result.loss += weight * (std::log(sum) - in[layers][static_cast<std::size_t>(label)]);
    std::vector<double> adjoint;
    for (const double logit : in[layers]) adjoint.push_back(weight * std::exp(logit) / sum);
    adjoint[static_cast<std::size_t>(label)] -= weight;
    for (std::size_t l = layers; l-- > 0;) {
      std::vector<double> below(sizes[l]);
      for (std::size_t j = 0; j < sizes[l + 1]; ++j) {
        const double dz = l + 1 < layers ? adjoint[j] * slope(z[l][j]) : adjoint[j];
        result.gradient[offset[l] + sizes[l] * sizes[l + 1] + j] += dz;
        for (std::size_t i = 0; i < sizes[l]; ++i) {
          result.gradient[offset[l] + i * sizes[l + 1] + j] += in[l][i] * dz;
          below[i] += theta[offset[l] + i * sizes[l + 1] + j] * dz;
        }
      }
      adjoint = below;
    }
  }
};

std::string options(const std::string& layers, const std::string& activation) {
  return "name = 'mlp'\nbatch_size = 16\nlayers = " + layers + "\nactivation = '" + activation +
         "'";
}

TEST(Mlp, MatchesDouble) {
  const SmallMnist data;
  const TaskRange range{.seed = 31, .first = 2};
  constexpr std::uint32_t kTasks = 2;
  constexpr std::uint32_t kEvaluation = 3;
  const struct {
    const char* layers;
    std::vector<std::size_t> sizes;
  } shapes[] = {{"[20]", {25, 20, 10}}, {"[7, 13]", {25, 7, 13, 10}}, {"[]", {25, 10}}};
  for (const auto& shape : shapes) {
    for (const char* activation : {"sigmoid", "relu", "tanh"}) {
      Batch batch(options(shape.layers, activation), data.path(), kTasks, range);
      const std::size_t n = batch.coordinates();
      std::vector<float> theta = uniform_numbers(1, kTasks * n);
      const Batch::Evaluation result = batch.evaluate(theta, kEvaluation);
      for (std::uint32_t task = 0; task < kTasks; ++task) {
        const RandomKey draws{range.seed, RandomPurpose::kMinibatch, range.first + task,
                              kEvaluation};
        ReferenceMlp::Result expected;
        for (std::size_t row = 0; row < kRows; ++row) {
          const auto source = static_cast<std::size_t>(
              std::floor(double{uniform_from_bits(random_bits(draws, row))} * SmallMnist::kRows));
          std::vector<double> input;
          for (std::size_t i = 0; i < SmallMnist::kRowSize; ++i) {
            input.push_back(data.train_inputs[source * SmallMnist::kRowSize + i] / 255.0);
          }
          ReferenceMlp{shape.sizes, activation}.add_row(
              input, data.train_labels[source], 1.0 / kRows, theta.data() + task * n, expected);
        }
        ASSERT_EQ(expected.gradient.size(), n);
        // Sums of some 30 float terms of order 1, through at most three layers: 3 * 30 * 2^-24 =
        // 5e-6. No pre-activation of these draws is so near to 0 that relu's kink matters.
        EXPECT_NEAR(result.loss[task], expected.loss, 1e-5) << shape.layers << activation;
        for (std::size_t i = 0; i < n; ++i) {
          ASSERT_NEAR(result.gradient[task * n + i], expected.gradient[i], 1e-5)
              << shape.layers << activation << ", coordinate " << i;
        }
      }
    }
  }
}

TEST(Mlp, EveryEvaluationHasAMinibatchOfItsOwn) {
  const SmallMnist data;
  Batch batch("name = 'mnist'", data.path(), 2, {.seed = 1, .first = 0});
  const std::vector<float> theta = batch.initial_parameters();
  const Batch::Evaluation first = batch.evaluate(theta, 0);
  EXPECT_EQ(batch.evaluate(theta, 0), first);
  EXPECT_NE(batch.evaluate(theta, 1).loss, first.loss);
  EXPECT_NE(first.loss[0], first.loss[1]) << "nor do tasks share one";
}

TEST(Mlp, SplitsAreDifferentImages) {
  const SmallMnist data;
  const auto loss_on = [&](const std::string& split) {
    Batch batch("name = 'mnist'\nsplit = '" + split + "'", data.path(), 1, {});
    return batch.evaluate(batch.initial_parameters()).loss;
  };
  EXPECT_EQ(loss_on("train"), loss_on("train"));
  EXPECT_NE(loss_on("train"), loss_on("test"));
}

TEST(Mlp, StartsAsThePaperSays) {
  const SmallMnist data;
  Batch batch("name = 'mnist'", data.path(), 8, {.seed = 1, .first = 0});
  ASSERT_EQ(batch.coordinates(), 25U * 20 + 20 + 20 * 10 + 10);
  const std::vector<float> theta = batch.initial_parameters();
  const RandomKey stream{
      .seed = 1, .purpose = RandomPurpose::kInitialParameters, .task = 0, .step = 0};
  EXPECT_EQ(theta, batch.normal_draws(stream, 8, batch.coordinates(), 0.01F));
  double mean = 0.0;
  double square = 0.0;
  for (const float value : theta) {
    mean += value / static_cast<double>(theta.size());
    square += double{value} * value / static_cast<double>(theta.size());
  }
  // 5,840 draws of N(0, 0.01^2), weights and biases: bounds at five standard errors.
  EXPECT_NEAR(mean, 0.0, 5 * 0.01 / std::sqrt(5840.0));
  EXPECT_NEAR(square, 1e-4, 5 * 1e-4 * std::sqrt(2.0 / 5840.0));
  // All classes are nearly equally likely.
  for (const float loss : batch.evaluate(theta).loss) EXPECT_NEAR(loss, std::log(10.0), 0.1);
}

TEST(Mlp, MissingDataIsAnInputError) {
  const TemporaryDirectory empty;
  const ThrownError error = error_of([&] { Batch("name = 'mnist'", empty.path(), 1, {}); });
  EXPECT_EQ(error.status, Status::kInputOutput);
  EXPECT_TRUE(error.says("train-images-idx3-ubyte")) << error.message;
}

}  // namespace
}  // namespace l2o
