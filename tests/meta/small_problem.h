// Fixtures for the tests of host/meta: a small batch of optimizees and an LSTM whose output is not
// zero.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "host/backend/backend.h"
#include "host/core/config.h"
#include "host/meta/unroll.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/optimizer.h"
#include "tests/support/tolerances.h"

namespace l2o::test {

inline std::unique_ptr<Backend> cpu(int threads = 2) {
  return make_backend({DeviceKind::kCpu, threads});
}

/// `keys`: the [task] table.
inline std::unique_ptr<Optimizee> optimizee(Backend& backend, int tasks, const std::string& keys) {
  ConfigReader options = ConfigReader::from_text(keys, "test");
  auto made = make_optimizee({backend, tasks, ""}, options);
  options.finish();
  return made;
}

/// A member of a mixture.
struct Part {
  std::string task;  ///< the [task] table
  int tasks;
  double weight = 1.0;
  double scale = 1.0;
};

inline const LossWeights kAll;

/// A meta-gradient is a sum over coordinates and steps in float32: its error is small relative to
/// its norm, not relative to each element.
template <class Number>
void expect_near_in_norm(const std::vector<double>& expected, const std::vector<Number>& actual,
                         double tolerance = tolerance::kMetaGradient) {
  ASSERT_EQ(expected.size(), actual.size());
  double difference = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(expected[i] - double{actual[i]}, 2);
    norm += std::pow(expected[i], 2);
  }
  EXPECT_GT(norm, 0.0);
  EXPECT_LE(std::sqrt(difference), tolerance * std::sqrt(norm));
}

inline const std::string kSmallQuadratic = R"(
name = "quadratic"
functions = 3
dimension = 5
)";

inline Optimizer small_lstm(int layers = 2, int hidden = 4,
                            Preprocessing preprocessing = Preprocessing::kLogAndSign) {
  LstmConfig lstm;
  lstm.layers = layers;
  lstm.hidden = hidden;
  lstm.preprocessing = preprocessing;
  return make_lstm_optimizer(lstm, OutputInit::kTruncatedNormal, 7);
}

}  // namespace l2o::test
