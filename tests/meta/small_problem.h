// Fixtures for the tests of host/meta: a small batch of optimizees and an LSTM whose output is not
// zero.
#pragma once

#include <memory>
#include <string>

#include "host/backend/backend.h"
#include "host/core/config.h"
#include "host/optimizee/optimizee.h"
#include "host/optimizer/optimizer.h"

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
