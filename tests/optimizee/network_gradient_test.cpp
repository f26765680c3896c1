// Every layer, alone and in networks of five layers, compared with the same network in double: the
// loss, and the gradient by central differences there.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/optimizee/batch.h"
#include "tests/reference/network_reference.h"
#include "tests/support/safetensors_builder.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::ReferenceLayer;
using test::ReferenceNetwork;
using test::ReferenceValues;

constexpr std::size_t kSetRows = 24, kRows = 4, kSide = 6, kChannels = 2, kClasses = 3;

struct Case {
  const char* name;
  std::vector<ReferenceLayer> layers;
  std::string loss = "cross_entropy";
};

std::vector<Case> cases() {
  using Layers = std::vector<ReferenceLayer>;
  std::vector<Case> all = {
      {"no_layer", {}},
      {"dense", {"dense 5"}},
      {"conv", {"conv 3 3"}},
      {"conv_even", {"conv 3 4"}},
      {"conv_stride", {"conv 2 3 stride 2"}},
      {"conv_valid", {"conv 3 3 valid"}},
      {"conv_valid_stride", {"conv 2 2 stride 3 valid"}},
      {"conv_one_pixel", {"conv 3 1"}},
      // After a convolution, so that their backward pass to the input is needed.
      {"conv_conv", {"conv 3 3", "conv 2 3 stride 2"}},
      {"conv_conv_valid", {"conv 3 3", "conv 2 4 stride 2 valid"}},
      {"max_pool", {"conv 3 3", "max_pool 2"}},
      {"max_pool_overlapping", {"conv 3 3", "max_pool 3 stride 1"}},
      {"avg_pool", {"conv 3 3", "avg_pool 3"}},
      {"avg_pool_overlapping", {"conv 3 3", "avg_pool 3 stride 2"}},
      {"global_avg_pool", {"conv 3 3", "global_avg_pool"}},
      {"batch_norm", {"conv 3 3", "batch_norm"}},
      {"batch_norm_first", {"batch_norm"}},
      {"batch_norm_dense", {"dense 5", "batch_norm"}},
      {"layer_norm", {"conv 3 3", "layer_norm"}},
      {"layer_norm_first", {"layer_norm"}},
      {"layer_norm_dense", {"dense 5", "layer_norm"}},
      {"residual", {"conv 3 3", Layers{"conv 3 3"}}},
      {"residual_first", {Layers{"conv 2 3", "tanh"}}},
      {"residual_in_residual", {"dense 4", Layers{"dense 4", Layers{"dense 4", "gelu"}, "relu"}}},
      {"five_convolutional",
       {"conv 4 3", "batch_norm", "relu", "max_pool 2", "conv 3 3 valid", "gelu"}},
      {"five_residual",
       {"conv 3 3", "elu", Layers{"conv 3 3", "batch_norm", "softplus"}, "avg_pool 2", "dense 4"}},
      {"five_dense_mse",
       {"dense 6", "layer_norm", "gelu", "dense 5", "batch_norm", "sigmoid"},
       "mse"},
      {"five_autoencoder", {"dense 6", "tanh", "dense 3", "elu", "dense 6"}, "autoencoder"},
  };
  for (const char* activation : {"relu", "sigmoid", "tanh", "elu", "gelu", "softplus"}) {
    all.push_back({activation, {activation}});
    all.push_back({activation, {"dense 5", activation}});
    all.push_back({activation, {"conv 3 3", activation}});
    all.push_back({activation, {"conv 3 3", "batch_norm", activation}});
    all.push_back({activation, {"conv 3 3", "layer_norm", activation}});
    all.push_back({activation, {"dense 5", activation, activation}});
  }
  return all;
}

/// 24 rows of 6 x 6 x 2 values, with three classes and three targets.
struct Data {
  Data() {
    for (std::size_t row = 0; row < kSetRows; ++row) labels.push_back(static_cast<int>(row % 3));
    test::SafetensorsBuilder file;
    file.add("inputs", {kSetRows, kSide, kSide, kChannels}, inputs);
    file.add("labels", {kSetRows}, std::vector<std::int32_t>(labels.begin(), labels.end()));
    file.add("targets", {kSetRows, kClasses}, targets);
    directory.write("set.safetensors", file.bytes());
  }

  TemporaryDirectory directory;
  std::vector<float> inputs = uniform_numbers(1, kSetRows* kSide* kSide* kChannels);
  std::vector<float> targets = uniform_numbers(2, kSetRows* kClasses);
  std::vector<int> labels;
};

/// One task's minibatch of an evaluation, and the loss on it.
class ReferenceTask {
 public:
  ReferenceTask(const Case& network, const Data& data, const RandomKey& draws)
      : loss_(network.loss),
        network_(network.layers,
                 network.loss == "autoencoder" ? kSide * kSide * kChannels : kClasses) {
    for (std::size_t row = 0; row < kRows; ++row) {
      const auto source = static_cast<std::size_t>(
          std::floor(double{uniform_from_bits(random_bits(draws, row))} * kSetRows));
      std::copy_n(data.inputs.begin() + static_cast<std::ptrdiff_t>(source * inputs_.size()),
                  inputs_.size(),
                  inputs_.values.begin() + static_cast<std::ptrdiff_t>(row * inputs_.size()));
      labels_.push_back(data.labels[source]);
      for (std::size_t j = 0; j < kClasses; ++j) {
        targets_.push_back(double{data.targets[source * kClasses + j]});
      }
    }
  }

  double loss(const std::vector<double>& theta) {
    const ReferenceValues outputs = network_(inputs_, theta);
    if (loss_ == "cross_entropy") return test::cross_entropy(outputs, labels_);
    return test::mean_squared_error(outputs, loss_ == "mse" ? targets_ : inputs_.values);
  }

  /// Central differences: their error is of order 1e-12 times the third derivative, that of
  /// rounding of order 1e-10.
  std::vector<double> gradient(std::vector<double> theta) {
    constexpr double kStep = 1e-6;
    std::vector<double> gradient;
    for (double& value : theta) {
      const double at = value;
      value = at + kStep;
      const double above = loss(theta);
      value = at - kStep;
      gradient.push_back((above - loss(theta)) / (2.0 * kStep));
      value = at;
    }
    return gradient;
  }

 private:
  std::string loss_;
  ReferenceNetwork network_;
  ReferenceValues inputs_{kRows, kSide, kSide, kChannels};
  std::vector<int> labels_;
  std::vector<double> targets_;  // [R, kClasses]
};

TEST(NetworkGradient, MatchesTheSameNetworkInFloat64) {
  const Data data;
  const TaskRange range{.seed = 31, .first = 2};
  constexpr std::uint32_t kTasks = 2, kEvaluation = 3;
  for (const Case& network : cases()) {
    SCOPED_TRACE(network.name + (": " + ReferenceLayer::toml(network.layers)));
    Batch batch(
        fmt::format("name = 'network'\ndata = 'set.safetensors'\nbatch_size = {}\ninit = 'torch'\n"
                    "layers = {}\nloss = '{}'",
                    kRows, ReferenceLayer::toml(network.layers), network.loss),
        data.directory.path(), kTasks, range);
    const std::size_t n = batch.coordinates();
    std::vector<float> theta = batch.initial_parameters();
    const std::vector<float> moved = uniform_numbers(3, theta.size());
    for (std::size_t i = 0; i < theta.size(); ++i) theta[i] += 0.3F * moved[i];
    const Batch::Evaluation result = batch.evaluate(theta, kEvaluation);
    for (std::uint32_t task = 0; task < kTasks; ++task) {
      const auto begin = theta.begin() + static_cast<std::ptrdiff_t>(task * n);
      const std::vector<double> at(begin, begin + static_cast<std::ptrdiff_t>(n));
      ReferenceTask expected(
          network, data, {range.seed, RandomPurpose::kMinibatch, range.first + task, kEvaluation});
      const double loss = expected.loss(at);
      EXPECT_NEAR(result.loss[task], loss, tolerance::kNetworkLoss * std::max(1.0, loss));
      const std::vector<double> gradient = expected.gradient(at);
      double largest = 0.0;
      for (const double value : gradient) largest = std::max(largest, std::abs(value));
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(result.gradient[task * n + i], gradient[i],
                    tolerance::kNetworkGradient * largest)
            << "coordinate " << i << " of " << n << ", task " << task;
      }
    }
  }
}

}  // namespace
}  // namespace l2o
