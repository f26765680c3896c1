// The tensor-core kernels have the same bits for every order of threads and on GPUs of every size.
// Also tests these tests: they must detect mistakes injected into the hardware.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "tests/cuda/cuda_device.h"
#include "tests/cuda/lstm_on_device.h"
#include "tests/emulation/emulation.h"

namespace l2o {
namespace {

using emulation::settings;

/// theta, the state and the meta-gradient of a run, bit by bit.
std::vector<float> everything(Precision precision, const LstmShape& shape) {
  const auto backend = test::cuda_backend(precision);
  const LstmProblem problem(shape);
  test::LstmOnDevice device(*backend, problem, shape);
  const auto steps = device.run_steps(shape.steps);
  std::vector<float> all = steps.theta;
  for (const auto& state : steps.state) all.insert(all.end(), state.begin(), state.end());
  const std::vector<float> gradient = device.meta_gradient();
  all.insert(all.end(), gradient.begin(), gradient.end());
  return all;
}

constexpr LstmShape kShape{.hidden = 20, .layers = 2, .n = 300, .steps = 3};

constexpr LstmShape kModulated{.hidden = 20,
                               .layers = 1,
                               .preprocessing = Preprocessing::kAdamMoments,
                               .n = 300,
                               .steps = 3,
                               .output = Output::kModulated};

class TensorCoreOrder : public testing::TestWithParam<std::tuple<Precision, LstmShape>> {
 protected:
  Precision precision() const { return std::get<0>(GetParam()); }
  const LstmShape& shape() const { return std::get<1>(GetParam()); }

 private:
  const emulation::RestoreSettings restore_;
};

TEST_P(TensorCoreOrder, NeverChangesABit) {
  const std::vector<float> expected = everything(precision(), shape());
  for (const std::uint64_t seed : {0, 2, 3, 4, 5, 6}) {
    settings.seed = seed;
    EXPECT_EQ(everything(precision(), shape()), expected) << "seed " << seed;
  }
}

TEST_P(TensorCoreOrder, GpuSizeNeverChangesABit) {
  const std::vector<float> expected = everything(precision(), shape());
  for (const int multiprocessors : {1, 2, 3, 132}) {
    settings.multiprocessors = multiprocessors;
    EXPECT_EQ(everything(precision(), shape()), expected) << multiprocessors << " multiprocessors";
  }
}

/// GPUs with less shared memory per block compute the gradient through device memory.
TEST_P(TensorCoreOrder, AGpuWithLittleSharedMemoryIsAsExact) {
  const auto errors = [&] {
    const auto backend = test::cuda_backend(precision());
    const LstmProblem problem(shape());
    test::LstmOnDevice device(*backend, problem, shape());
    return test::lstm_errors(problem, shape(), device.start_state(),
                             device.run_steps(shape().steps), device.meta_gradient());
  };
  const test::LstmErrors fused = errors();
  settings.shared_bytes = (shape().layers == 1 ? 40 : 99) << 10;
  const test::LstmErrors segmented = errors();
  EXPECT_EQ(segmented.state, fused.state);
  EXPECT_LT(segmented.meta_gradient, 2.0 * fused.meta_gradient);
}

INSTANTIATE_TEST_SUITE_P(Precisions, TensorCoreOrder,
                         testing::Combine(testing::Values(Precision::kF32, Precision::kMixed,
                                                          Precision::kHalf),
                                          testing::Values(kShape, kModulated)),
                         [](const auto& test) {
                           return std::string(precision_name(std::get<0>(test.param))) + "_" +
                                  output_name(std::get<1>(test.param).output);
                         });

class Mistakes : public testing::Test {
 protected:
  /// Whether the current mutations change the result for one of several orders.
  static bool shows_in_some_order(const std::vector<float>& expected) {
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      settings.seed = seed;
      if (everything(Precision::kMixed, kShape) != expected) return true;
    }
    return false;
  }
  const emulation::RestoreSettings restore_;
};

/// A step back has two barriers: before the gradient of the weights, and before the next staging.
TEST_F(Mistakes, MissingBarrierIsDetected) {
  const std::vector<float> expected = everything(Precision::kMixed, kShape);
  EXPECT_FALSE(shows_in_some_order(expected));
  settings.mutations.barrier_period = 2;
  for (const int dropped : {0, 1}) {
    settings.mutations.dropped_barrier = dropped;
    EXPECT_TRUE(shows_in_some_order(expected)) << "barrier " << dropped;
  }
}

TEST_F(Mistakes, SwappedFragmentsAreDetected) {
  const std::vector<float> expected = everything(Precision::kMixed, kShape);
  settings.mutations.swap_product_halves = true;
  EXPECT_NE(everything(Precision::kMixed, kShape), expected);
}

TEST_F(Mistakes, MissingCopyIsDetected) {
  const std::vector<float> expected = everything(Precision::kMixed, kShape);
  settings.mutations.skip_copies = true;
  EXPECT_NE(everything(Precision::kMixed, kShape), expected);
}

TEST_F(Mistakes, DivergentShuffleIsAFault) {
  settings.mutations.skip_shuffles = true;
  EXPECT_THROW(everything(Precision::kMixed, kShape), emulation::EmulationFault);
}

TEST_F(Mistakes, MisalignedRowsAreAFault) {
  settings.mutations.misalign_rows = true;
  EXPECT_THROW(everything(Precision::kMixed, kShape), emulation::EmulationFault);
}

}  // namespace
}  // namespace l2o
