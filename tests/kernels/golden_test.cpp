// The cell in float64, the reference, and the float32 launchers against golden values computed by
// PyTorch in float64 (tests/golden/make_golden.py).

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cells/cell_list.h"
#include "kernels/cpu/launchers.h"
#include "tests/support/to_reference.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using Values = std::vector<double>;

/// The same formula as in make_golden.py.
enum Stream : std::uint32_t { kWeights, kTrace, kState, kTheta, kLossWeights };
double synthetic(Stream stream, std::uint32_t index) {
  std::uint32_t bits = index * 2654435761U + stream * 40503U + 12345U;
  bits = (bits ^ (bits >> 15)) * 2246822519U;
  bits ^= bits >> 13;
  return (bits >> 16) / 32768.0 - 1.0;
}
Values synthetic_values(Stream stream, int size, double scale) {
  Values values;
  for (int i = 0; i < size; ++i) values.push_back(scale * synthetic(stream, std::uint32_t(i)));
  return values;
}

struct GoldenCase {
  CellConfig cell;
  int n = 0, steps = 0;
  // Inputs.
  Values phi, trace, loss_weights, theta_0, start_state;  // trace [T+1, N], start_state [N, S]
  // Results.
  Values theta, state, meta_gradient;  // theta [T+1, N], state [N, S]

  int state_size() const { return cell_state_size(cell); }
};

Values read_values(std::istream& in, const std::string& name) {
  std::string found;
  std::size_t count = 0;
  in >> found >> count;
  if (found != name) throw std::runtime_error("expected " + name + ", found " + found);
  Values values(count);
  for (double& value : values) in >> value;
  return values;
}

/// The value of an enum whose names are `names`.
template <class Enum, std::size_t kCount>
Enum read_enum(std::istream& in, const char* const (&names)[kCount]) {
  std::string name;
  in >> name;
  const auto found = std::find(std::begin(names), std::end(names), name);
  if (found == std::end(names)) throw std::runtime_error("unknown name in the file: " + name);
  return static_cast<Enum>(found - std::begin(names));
}

std::vector<GoldenCase> read_cases() {
  std::ifstream in(L2O_SOURCE_DIR "/tests/golden/lstm.txt");
  std::vector<GoldenCase> cases;
  std::string word;
  while (in >> word) {
    if (word != "case") throw std::runtime_error("expected case, found " + word);
    GoldenCase golden;
    LstmConfig& lstm = golden.cell.lstm;
    double weight_scale = 0.0;
    in >> lstm.hidden >> lstm.layers;
    lstm.preprocessing = read_enum<Preprocessing>(in, kPreprocessingNames);
    in >> lstm.p;
    lstm.output = read_enum<Output>(in, kOutputNames);
    in >> lstm.output_scale >> weight_scale >> golden.n >> golden.steps;
    golden.theta = read_values(in, "theta");
    golden.state = read_values(in, "state");
    golden.meta_gradient = read_values(in, "meta_gradient");

    golden.phi = synthetic_values(kWeights, cell_meta_size(golden.cell), weight_scale);
    golden.trace = synthetic_values(kTrace, (golden.steps + 1) * golden.n, 1.0);
    for (std::size_t i = 0; i < golden.trace.size(); ++i) {
      golden.trace[i] *= std::pow(2.0, -8.0 * double(i % 3));
    }
    golden.loss_weights = synthetic_values(kLossWeights, golden.steps + 1, 1.0);
    for (double& weight : golden.loss_weights) weight = std::abs(weight);
    golden.theta_0 = synthetic_values(kTheta, golden.n, 1.0);
    golden.start_state = synthetic_values(kState, golden.n * golden.state_size(), 0.5);
    for (int i = 0; i < golden.n; ++i) {
      test::make_moments_possible(lstm, golden.start_state.data() + i * golden.state_size());
    }
    cases.push_back(golden);
  }
  return cases;
}

class Golden : public testing::TestWithParam<int> {
 protected:
  const GoldenCase golden = read_cases().at(std::size_t(GetParam()));
};

/// Norm of the error relative to the norm of the golden values.
template <class T>
double relative_error(const std::vector<T>& actual, const Values& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double distance = 0.0, length = 0.0;
  for (std::size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    distance += std::pow(double(actual[i]) - expected[i], 2);
    length += std::pow(expected[i], 2);
  }
  return std::sqrt(distance / length);
}

constexpr double kFloat64Bound = 1e-12;  // the file has 13 digits

TEST_P(Golden, CellInFloat64) {
  Values theta = golden.theta_0, thetas = theta, state = golden.start_state;
  std::vector<Values> states = {state};  // before each step
  for (int t = 0; t < golden.steps; ++t) {
    for (int i = 0; i < golden.n; ++i) {
      theta[i] += LstmCell::forward(golden.cell, golden.phi.data(), golden.trace[t * golden.n + i],
                                    state.data() + i * golden.state_size());
    }
    thetas.insert(thetas.end(), theta.begin(), theta.end());
    states.push_back(state);
  }
  EXPECT_LT(relative_error(thetas, golden.theta), kFloat64Bound);
  EXPECT_LT(relative_error(state, golden.state), kFloat64Bound);

  Values meta_gradient(golden.phi.size(), 0.0);
  for (int i = 0; i < golden.n; ++i) {
    const auto weighted_gradient = [&](int t) {
      return golden.loss_weights[t] * golden.trace[t * golden.n + i];
    };
    Values adjoint(std::size_t(golden.state_size()), 0.0);
    double lambda = weighted_gradient(golden.steps);
    for (int t = golden.steps - 1; t >= 0; --t) {
      LstmCell::backward(golden.cell, golden.phi.data(), golden.trace[t * golden.n + i],
                         states[t].data() + i * golden.state_size(), lambda, adjoint.data(),
                         [&](int k, double value) { meta_gradient[k] += value; });
      lambda += weighted_gradient(t);
    }
  }
  EXPECT_LT(relative_error(meta_gradient, golden.meta_gradient), kFloat64Bound);
}

TEST_P(Golden, Reference) {
  const LstmConfig& config = golden.cell.lstm;
  const reference::Lstm lstm = test::to_reference(config, golden.phi);
  reference::Unroll unroll;
  unroll.weights = golden.loss_weights;
  for (int t = 0; t <= golden.steps; ++t) {
    const auto row = golden.trace.begin() + t * golden.n;
    unroll.trace.emplace_back(row, row + golden.n);
  }
  Values final_theta, final_state;
  for (int i = 0; i < golden.n; ++i) {
    const auto own = golden.start_state.begin() + i * golden.state_size();
    Values state(own, own + golden.state_size());
    unroll.start_state.push_back(state);
    double theta = golden.theta_0[i];
    for (int t = 0; t < golden.steps; ++t) {
      theta += reference::step(lstm, golden.trace[t * golden.n + i], state).update;
    }
    final_theta.push_back(theta);
    final_state.insert(final_state.end(), state.begin(), state.end());
  }
  EXPECT_LT(relative_error(final_theta, Values(golden.theta.end() - golden.n, golden.theta.end())),
            kFloat64Bound);
  EXPECT_LT(relative_error(final_state, golden.state), kFloat64Bound);
  EXPECT_LT(relative_error(reference::meta_gradient(lstm, unroll), golden.meta_gradient),
            kFloat64Bound);
}

// ------------------------------------------------------------------- the float32 launchers

/// A family of launchers.
struct Launchers {
  std::size_t (*packed_bytes)(const CellConfig&);
  void (*pack)(const PackArgs&);
  void (*step)(const StepArgs&, cpu::ThreadPool&);
  std::size_t (*scratch_bytes)(const UnrollBackwardArgs&, int);
  void (*unroll_backward)(const UnrollBackwardArgs&, cpu::ThreadPool&);
};
constexpr Launchers kGeneric = {cpu::generic_packed_bytes, cpu::generic_pack, cpu::generic_step,
                                cpu::generic_unroll_backward_scratch_bytes,
                                cpu::generic_unroll_backward};
constexpr Launchers kTuned = {
    [](const CellConfig& cell) { return cpu::lstm_packed_bytes(cell.lstm); }, cpu::lstm_pack,
    cpu::lstm_step, cpu::lstm_unroll_backward_scratch_bytes, cpu::lstm_unroll_backward};

/// Memory as a backend allocates it: aligned to 64 bytes.
struct AlignedBytes {
  explicit AlignedBytes(std::size_t size) : lines(size / sizeof(Line) + 1) {}
  void* data() { return lines.data(); }
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> lines;
};

void expect_float32_launchers(const GoldenCase& golden, const Launchers& launchers) {
  const std::vector<float> phi(golden.phi.begin(), golden.phi.end());
  const std::vector<float> trace(golden.trace.begin(), golden.trace.end());
  const std::vector<float> weights(golden.loss_weights.begin(), golden.loss_weights.end());
  const int n = golden.n, state_size = golden.state_size();
  ASSERT_LE(n, kTile) << "a case must fit into one tile";
  AlignedBytes start(sizeof(float) * kTile * std::size_t(state_size));
  auto* start_state = static_cast<float*>(start.data());
  for (int i = 0; i < n; ++i) {
    for (int s = 0; s < state_size; ++s) {
      start_state[s * kTile + i] = float(golden.start_state[i * state_size + s]);
    }
  }
  cpu::ThreadPool pool(2);
  AlignedBytes packed(launchers.packed_bytes(golden.cell));
  launchers.pack({.cell = golden.cell, .meta = phi.data(), .packed = packed.data()});

  AlignedBytes moving = start;
  auto* state = static_cast<float*>(moving.data());
  std::vector<float> theta(golden.theta_0.begin(), golden.theta_0.end()), thetas = theta;
  for (int t = 0; t < golden.steps; ++t) {
    launchers.step({.cell = golden.cell,
                    .n = n,
                    .packed = packed.data(),
                    .gradient = trace.data() + t * n,
                    .state = state,
                    .theta = theta.data()},
                   pool);
    thetas.insert(thetas.end(), theta.begin(), theta.end());
  }
  std::vector<float> final_state;
  for (int i = 0; i < n; ++i) {
    for (int s = 0; s < state_size; ++s) final_state.push_back(state[s * kTile + i]);
  }
  EXPECT_LT(relative_error(thetas, golden.theta), tolerance::kLstmUpdate);
  EXPECT_LT(relative_error(final_state, golden.state), tolerance::kLstmState);

  std::vector<float> meta_gradient(phi.size());
  UnrollBackwardArgs args = {.cell = golden.cell,
                             .n = n,
                             .unroll_length = golden.steps,
                             .segment_length = 2,
                             .packed = packed.data(),
                             .trace = trace.data(),
                             .weights = weights.data(),
                             .start_state = start_state,
                             .meta_gradient = meta_gradient.data()};
  AlignedBytes scratch(launchers.scratch_bytes(args, pool.threads()));
  args.scratch = scratch.data();
  launchers.unroll_backward(args, pool);
  EXPECT_LT(relative_error(meta_gradient, golden.meta_gradient), tolerance::kMetaGradient);
}

TEST_P(Golden, GenericDriver) { expect_float32_launchers(golden, kGeneric); }
TEST_P(Golden, TunedKernels) { expect_float32_launchers(golden, kTuned); }

constexpr int kCases = 10;
INSTANTIATE_TEST_SUITE_P(Cases, Golden, testing::Range(0, kCases));

TEST(GoldenFile, HasAllCases) {
  const std::vector<GoldenCase> cases = read_cases();
  EXPECT_EQ(cases.size(), std::size_t{kCases});
  for (std::size_t k = 0; k < std::size(kPreprocessingNames); ++k) {
    EXPECT_TRUE(std::ranges::any_of(cases, [&](const GoldenCase& golden) {
      return golden.cell.lstm.preprocessing == static_cast<Preprocessing>(k);
    })) << kPreprocessingNames[k];
  }
  for (std::size_t k = 0; k < std::size(kOutputNames); ++k) {
    EXPECT_TRUE(std::ranges::any_of(cases, [&](const GoldenCase& golden) {
      return golden.cell.lstm.output == static_cast<Output>(k);
    })) << kOutputNames[k];
  }
}

TEST(GoldenFile, UnknownNamesAreRejected) {
  std::istringstream in("adam_moments log_and_sgn");
  EXPECT_EQ(read_enum<Preprocessing>(in, kPreprocessingNames), Preprocessing::kAdamMoments);
  EXPECT_THROW(read_enum<Preprocessing>(in, kPreprocessingNames), std::runtime_error);
}

}  // namespace
}  // namespace l2o
