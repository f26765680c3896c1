// The LSTM with so many coordinates that blocks loop: several tiles per chunk and several chunks
// per block, and offsets that exceed 32 bits. Coordinates repeat with a period of 128, a block's
// tile, so that float64 has to compute only 128 of them; the others must be bit-identical.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "host/backend/buffer.h"
#include "tests/cuda/cuda_device.h"
#include "tests/cuda/lstm_on_device.h"

namespace l2o {
namespace {

constexpr int kPeriod = 128;

/// Repeats bytes[0 .. period) up to `size`.
void repeat(Backend& backend, std::byte* bytes, std::size_t period, std::size_t size) {
  for (std::size_t done = period; done < size; done *= 2) {
    backend.copy(bytes + done, bytes, std::min(done, size - done));
  }
}

/// A problem of kPeriod coordinates, repeated over n coordinates on a device.
class RepeatedLstm {
 public:
  RepeatedLstm(Backend& backend, const LstmShape& shape, std::int64_t n)
      : backend_(backend),
        shape_(shape),
        problem_(shape),
        cell_(problem_.config()),
        n_(n),
        meta_(backend, problem_.meta.size()),
        packed_(backend, backend.packed_bytes(cell_)),
        trace_(backend, static_cast<std::size_t>(shape.steps + 1) * static_cast<std::size_t>(n)),
        weights_(backend, problem_.weights.size()),
        start_state_(backend, backend.state_bytes(cell_, n)) {
    meta_.upload(problem_.meta);
    weights_.upload(problem_.weights);
    backend_.pack({.cell = cell_, .meta = meta_.data(), .packed = packed_.data()});
    for (int t = 0; t <= shape.steps; ++t) {
      float* const row = trace_.data() + t * n;
      backend_.upload(row, problem_.trace.data() + t * kPeriod, kPeriod * sizeof(float));
      repeat(backend_, reinterpret_cast<std::byte*>(row), kPeriod * sizeof(float),
             static_cast<std::size_t>(n) * sizeof(float));
    }
    std::vector<float> rows(problem_.start_state.front().size() * kPeriod);
    for (std::size_t i = 0; i < kPeriod; ++i) {
      for (std::size_t s = 0; s < problem_.start_state[i].size(); ++s) {
        rows[s * kPeriod + i] = problem_.start_state[i][s];
      }
    }
    backend_.import_state(cell_, kPeriod, rows.data(), start_state_.data());
    repeat(backend_, start_state_.data(), period_bytes(), start_state_.bytes());
  }

  /// Errors against float64 after all steps, for the first period. Expects the other periods to be
  /// equal to it: theta everywhere, the state of `checked` periods.
  test::LstmErrors errors(std::size_t checked) {
    const std::vector<std::vector<float>> start = first_states(start_state_);
    std::vector<float> meta_gradient = this->meta_gradient();
    Buffer<float> theta(backend_, static_cast<std::size_t>(n_));
    theta.fill_zero();
    for (int t = 0; t < shape_.steps; ++t) {
      backend_.step({.cell = cell_,
                     .n = n_,
                     .packed = packed_.data(),
                     .gradient = trace_.data() + t * n_,
                     .state = start_state_.data(),
                     .theta = theta.data()});
    }
    expect_repeats(theta.download());
    expect_states_repeat(checked);
    test::LstmOnDevice::AfterSteps after = {first_states(start_state_),
                                            std::vector<float>(kPeriod)};
    backend_.download(after.theta.data(), theta.data(), kPeriod * sizeof(float));

    // The meta-gradient is that of one period times their number; the remainder is subtracted.
    const double periods = static_cast<double>(n_ / kPeriod);
    const reference::Vector rest = meta_gradient_of_rest(start);
    for (std::size_t i = 0; i < meta_gradient.size(); ++i) {
      meta_gradient[i] = static_cast<float>((double{meta_gradient[i]} - rest[i]) / periods);
    }
    return test::lstm_errors(problem_, shape_, start, after, meta_gradient);
  }

 private:
  std::size_t period_bytes() const { return backend_.state_bytes(cell_, kPeriod); }

  std::vector<float> meta_gradient() {
    Buffer<float> result(backend_, problem_.meta.size());
    UnrollBackwardArgs args;
    args.cell = cell_;
    args.n = n_;
    args.unroll_length = shape_.steps;
    args.segment_length = backend_.plan_segment_length(cell_, shape_.steps, 0);
    args.packed = packed_.data();
    args.trace = trace_.data();
    args.weights = weights_.data();
    args.start_state = start_state_.data();
    args.meta_gradient = result.data();
    Buffer<std::byte> scratch(backend_, backend_.unroll_backward_scratch_bytes(args));
    args.scratch = scratch.data();
    backend_.unroll_backward(args);
    return result.download();
  }

  /// In float64, for the coordinates after the last whole period.
  reference::Vector meta_gradient_of_rest(const std::vector<std::vector<float>>& start) const {
    const auto rest = static_cast<std::size_t>(n_ % kPeriod);
    reference::Unroll unroll = problem_.reference_unroll();
    for (reference::Vector& row : unroll.trace) row.resize(rest);
    unroll.start_state.resize(rest);
    for (std::size_t i = 0; i < rest; ++i) {
      unroll.start_state[i].assign(start[i].begin(), start[i].end());
    }
    if (rest == 0) return reference::Vector(problem_.meta.size());
    return problem_.reference_meta_gradient(unroll);
  }

  /// States of the first period, [kPeriod][S].
  std::vector<std::vector<float>> first_states(const Buffer<std::byte>& buffer) const {
    const auto size = static_cast<std::size_t>(problem_.state_size());
    std::vector<float> rows(size * kPeriod);
    backend_.export_state(cell_, kPeriod, buffer.data(), rows.data());
    std::vector<std::vector<float>> state(kPeriod, std::vector<float>(size));
    for (std::size_t i = 0; i < kPeriod; ++i) {
      for (std::size_t s = 0; s < size; ++s) state[i][s] = rows[s * kPeriod + i];
    }
    return state;
  }

  void expect_repeats(const std::vector<float>& theta) const {
    std::size_t different = 0;
    for (std::size_t i = kPeriod; i < theta.size(); ++i) {
      different += theta[i] == theta[i % kPeriod] ? 0 : 1;
    }
    EXPECT_EQ(different, 0U) << "of " << theta.size() << " values of theta";
  }
  /// Checks whole periods, evenly spaced, including the last.
  void expect_states_repeat(std::size_t checked) const {
    const std::size_t size = period_bytes(), periods = start_state_.bytes() / size;
    std::vector<std::byte> first(size), other(size);
    backend_.download(first.data(), start_state_.data(), size);
    for (std::size_t k = 1; k <= std::min(checked, periods - 1); ++k) {
      const std::size_t period = k * (periods - 1) / std::min(checked, periods - 1);
      backend_.download(other.data(), start_state_.data() + period * size, size);
      EXPECT_EQ(other, first) << "coordinates from " << period * kPeriod;
    }
  }

  Backend& backend_;
  LstmShape shape_;
  LstmProblem problem_;
  CellConfig cell_;
  std::int64_t n_;
  Buffer<float> meta_;
  Buffer<std::byte> packed_;
  Buffer<float> trace_;    // [T+1, n]
  Buffer<float> weights_;  // [T+1]
  Buffer<std::byte> start_state_;
};

struct LargeCase {
  int hidden, layers;
  Precision precision;
};

class LargeLstm : public testing::TestWithParam<LargeCase> {
 protected:
  void SetUp() override {
    if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
    backend_ = test::cuda_backend(GetParam().precision);
  }

  void expect_agreement(std::int64_t n, int steps) const {
    const auto& [hidden, layers, precision] = GetParam();
    const LstmShape shape = {.hidden = hidden, .layers = layers, .n = kPeriod, .steps = steps};
    const test::LstmErrors errors = RepeatedLstm(*backend_, shape, n).errors(1000);
    const test::LstmBounds bounds = test::lstm_bounds(precision);
    EXPECT_LT(errors.state, bounds.state);
    EXPECT_LT(errors.theta, bounds.theta);
    EXPECT_LT(errors.meta_gradient, bounds.meta_gradient);
  }

  std::unique_ptr<Backend> backend_;
};

/// On 132 multiprocessors: 2 tiles per chunk and 9 chunks per block. The emulation has 4
/// multiprocessors, so few coordinates give several chunks per block; its smallest shape has chunks
/// of 2 tiles as well.
TEST_P(LargeLstm, AgreesWithFloat64) {
  if (!test::is_emulated(*backend_)) {
    expect_agreement(300'000, 4);
  } else if (GetParam().hidden == 8) {
    expect_agreement(270'000, 1);
  } else {
    expect_agreement(1'120, 4);
  }
}

/// 27 million coordinates with 80 values each: more than 2^31 values.
class HugeLstm : public LargeLstm {};
TEST_P(HugeLstm, AgreesWithFloat64) {
  constexpr std::int64_t kN = 27'000'000;
  constexpr int kSteps = 2;
  const auto& [hidden, layers, precision] = GetParam();
  const CellConfig cell = {.lstm = {.layers = layers, .hidden = hidden}};
  UnrollBackwardArgs args;
  args.cell = cell;
  args.n = kN;
  args.unroll_length = kSteps;
  args.segment_length = backend_->plan_segment_length(cell, kSteps, 0);
  const std::size_t bytes = backend_->state_bytes(cell, kN) +
                            backend_->unroll_backward_scratch_bytes(args) +
                            (kSteps + 2) * kN * sizeof(float);
  if (bytes + bytes / 8 > backend_->device().memory_bytes) {
    GTEST_SKIP() << fmt::format("it takes {:.1f} GB", static_cast<double>(bytes) * 1e-9);
  }
  expect_agreement(kN, kSteps);
}

std::string large_case_name(const testing::TestParamInfo<LargeCase>& test) {
  return fmt::format("h{}_l{}_{}", test.param.hidden, test.param.layers,
                     precision_name(test.param.precision));
}
// With tensor cores, in one kernel and in segments, and without tensor cores.
constexpr LargeCase kCases[] = {{20, 2, Precision::kF32},
                                {20, 2, Precision::kMixed},
                                {20, 2, Precision::kHalf},
                                {32, 2, Precision::kF32},
                                {21, 2, Precision::kF32}};
INSTANTIATE_TEST_SUITE_P(Shapes, LargeLstm, testing::ValuesIn(kCases), large_case_name);
INSTANTIATE_TEST_SUITE_P(Shapes, HugeLstm, testing::ValuesIn(kCases), large_case_name);
INSTANTIATE_TEST_SUITE_P(Small, LargeLstm, testing::Values(LargeCase{8, 1, Precision::kMixed}),
                         large_case_name);

}  // namespace
}  // namespace l2o
