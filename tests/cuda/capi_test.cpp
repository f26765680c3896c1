// The C API in a CUDA context: the same as in a CPU context, with tensors in device memory.
#include <gtest/gtest.h>
#include <l2o/l2o.h>

#include <cmath>
#include <vector>

#include "host/backend/buffer.h"
#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"
#include "tests/cuda/cuda_device.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

using test::Owned;

Owned<l2o_context> cuda_context() {
  return test::context([](l2o_context_options& options) {
    options.backend = L2O_BACKEND_CUDA;
    options.precision = L2O_PRECISION_F32;
  });
}

/// Of a shape with tensor-core kernels.
Owned<l2o_optimizer> tensor_core_rule() {
  return test::optimizer("hidden = 8\noutput_init = \"truncated_normal\"\n");
}

class CudaCApi : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
    backend_ = test::cuda_backend();
  }
  /// A copy in device memory, accessible to every context of the device.
  Buffer<float> on_device(const std::vector<float>& values) {
    Buffer<float> buffer(*backend_, values.size());
    buffer.upload(values);
    return buffer;
  }

  std::unique_ptr<Backend> backend_;
};

/// The same run on both devices, on the same random gradients.
class CudaCApiBoth : public CudaCApi {
 protected:
  static constexpr std::size_t kN = 70;

  void SetUp() override {
    CudaCApi::SetUp();
    if (IsSkipped()) return;
    rule_ = tensor_core_rule();
    cuda_ = cuda_context();
    cpu_ = test::cpu_context();
    cuda_run_ = test::run(cuda_, rule_, kN);
    cpu_run_ = test::run(cpu_, rule_, kN);
    parameters_ = numbers_.uniform(kN, -1.0F, 1.0F);
    device_parameters_ = std::make_unique<Buffer<float>>(on_device(parameters_));
  }
  void step() {
    const std::vector<float> gradient = numbers_.gradients(kN);
    const Buffer<float> device_gradient = on_device(gradient);
    ASSERT_OK(l2o_run_step(cuda_run_.get(), device_gradient.data(), device_parameters_->data()));
    ASSERT_OK(l2o_run_step(cpu_run_.get(), gradient.data(), parameters_.data()));
    ASSERT_OK(l2o_context_synchronize(cuda_.get()));
  }
  void expect_the_same_parameters() const {
    const std::vector<float> got = device_parameters_->download();
    for (std::size_t i = 0; i < kN; ++i) EXPECT_NEAR(got[i], parameters_[i], 1e-5) << i;
  }

  test::Numbers numbers_{3};
  Owned<l2o_optimizer> rule_;
  Owned<l2o_context> cuda_, cpu_;
  Owned<l2o_run> cuda_run_, cpu_run_;
  std::vector<float> parameters_;
  std::unique_ptr<Buffer<float>> device_parameters_;
};

TEST_F(CudaCApiBoth, RunMatchesACpuRun) {
  for (int t = 0; t < 4; ++t) step();
  expect_the_same_parameters();

  // Its state can be exported and imported into a run on the CPU.
  std::vector<float> state(l2o_run_state_size(cuda_run_.get()));
  ASSERT_OK(l2o_run_get_state(cuda_run_.get(), state.data(), state.size()));
  EXPECT_OK(l2o_run_set_state(cpu_run_.get(), state.data(), state.size()));
}

TEST_F(CudaCApiBoth, ScalesApplyToEachStep) {
  for (int t = 0; t < 4; ++t) {
    const float update_scale = 1.0F - 0.25F * static_cast<float>(t);
    for (l2o_run* run : {cuda_run_.get(), cpu_run_.get()}) {
      ASSERT_OK(l2o_run_set_scales(run, update_scale, 3.0F, 0.1F));
    }
    step();
  }
  expect_the_same_parameters();
}

TEST_F(CudaCApi, StepWithNanIsSkipped) {
  const Owned<l2o_optimizer> rule = tensor_core_rule();
  const Owned<l2o_context> context = cuda_context();
  const Owned<l2o_run> run = test::run(context, rule, 3);
  const Buffer<float> gradient = on_device({1.0F, std::nanf(""), 0.5F});
  Buffer<float> parameters = on_device({1.0F, 2.0F, 3.0F});
  ASSERT_OK(l2o_run_step(run.get(), gradient.data(), parameters.data()));
  ASSERT_OK(l2o_context_synchronize(context.get()));
  EXPECT_EQ(parameters.download(), (std::vector{1.0F, 2.0F, 3.0F}));
  std::uint64_t skipped = 0;
  EXPECT_OK(l2o_run_skipped_steps(run.get(), &skipped));
  EXPECT_EQ(skipped, 1U);
  ASSERT_OK(l2o_run_set_nan_policy(run.get(), L2O_NAN_ERROR));
  EXPECT_EQ(l2o_run_step(run.get(), gradient.data(), parameters.data()), L2O_NOT_FINITE);
}

TEST_F(CudaCApi, MetaGradientMatchesTheCpu) {
  constexpr std::size_t kN = 40, kT = 3;
  const Owned<l2o_optimizer> rule = tensor_core_rule();
  const Owned<l2o_context> cuda = cuda_context(), cpu = test::cpu_context();
  const std::vector<float> trace = test::Numbers(5).gradients((kT + 1) * kN);
  const std::vector<float> weights(kT + 1, 1.0F);
  const Buffer<float> device_trace = on_device(trace);
  std::vector<float> got(l2o_optimizer_meta_parameter_count(rule.get())), expected(got.size());
  ASSERT_OK(l2o_meta_gradient(cuda.get(), rule.get(), kN, kT, device_trace.data(), weights.data(),
                              nullptr, got.data()));
  ASSERT_OK(l2o_meta_gradient(cpu.get(), rule.get(), kN, kT, trace.data(), weights.data(), nullptr,
                              expected.data()));
  double error = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error += std::pow(double{got[i]} - double{expected[i]}, 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  EXPECT_LT(std::sqrt(error / norm), tolerance::kSplitMetaGradient);
}

TEST_F(CudaCApi, TrainerLearns) {
  const Owned<l2o_context> context = cuda_context();
  Owned<l2o_optimizee> optimizee;
  ASSERT_OK(l2o_optimizee_create(context.get(),
                                 "name = \"quadratic\"\nfunctions = 2\ndimension = 3\n", 2, nullptr,
                                 optimizee.out()));
  Owned<l2o_trainer> trainer;
  ASSERT_OK(l2o_trainer_create(context.get(),
                               "[optimizer]\nhidden = 8\n[train]\nepisodes = 3\nsteps = 4\n"
                               "unroll_length = 2\n",
                               optimizee.get(), trainer.out()));
  l2o_train_report report;
  l2o_train_report_init(&report);
  for (int episode = 1; episode <= 3; ++episode) {
    ASSERT_OK(l2o_trainer_step(trainer.get(), &report));
    EXPECT_EQ(report.episode, episode);
    EXPECT_TRUE(std::isfinite(report.meta_loss));
    EXPECT_EQ(report.skipped_updates, 0);
  }
}

}  // namespace
}  // namespace l2o
