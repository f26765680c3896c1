// The caller's floating-point mode: no result depends on it, and no call changes it.
#include <gtest/gtest.h>

#include <cfenv>
#include <string>
#include <vector>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "tests/capi/handle.h"
#include "tests/capi/numbers.h"

namespace l2o {
namespace {

/// Rounds upward and, if this test knows how, flushes denormals during its lifetime.
class StrangeMode {
 public:
  StrangeMode() {
    std::fegetenv(&before_);
    std::fesetround(FE_UPWARD);
#if defined(__SSE2__)
    _mm_setcsr(_mm_getcsr() | 0x8040U);
#endif
    control_ = control();
  }
  ~StrangeMode() { std::fesetenv(&before_); }
  StrangeMode(const StrangeMode&) = delete;
  StrangeMode& operator=(const StrangeMode&) = delete;

  bool is_unchanged() const { return std::fegetround() == FE_UPWARD && control() == control_; }

 private:
  static unsigned control() {
#if defined(__SSE2__)
    return _mm_getcsr() & 0xFFC0U;
#else
    return 0;
#endif
  }

  std::fenv_t before_ = {};
  unsigned control_ = 0;
};

using test::Owned;

constexpr std::size_t kCoordinates = 3000;
const std::string kConfig =
    "seed = 3\n[train]\nepisodes = 4\nsteps = 6\nunroll_length = 3\n"
    "[optimizer]\nlayers = 1\nhidden = 5\noutput_init = \"truncated_normal\"\n"
    "[meta_optimizer]\nlearning_rate = 0.01\n";

/// Drawn before the mode is set, since drawing rounds.
struct Inputs {
  std::vector<std::vector<float>> gradients;
  std::vector<float> trace;  // [4, kCoordinates]

  Inputs() {
    test::Numbers numbers(4);
    for (int t = 0; t < 5; ++t) {
      std::vector<float>& gradient =
          gradients.emplace_back(numbers.uniform(kCoordinates, -1.0F, 1.0F));
      for (std::size_t i = 0; i < kCoordinates; i += 3) gradient[i] *= 1e-39F;
    }
    trace = numbers.uniform(4 * kCoordinates, -1.0F, 1.0F);
  }
};

/// The bytes of the results of steps, a meta-gradient and its update, meta-training, an evaluation.
std::string results(const Inputs& inputs, int threads) {
  std::string all;
  const auto add = [&](const auto& values) {
    all.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
  };
  const Owned<l2o_context> context = test::cpu_context(threads);
  const Owned<l2o_optimizer> rule = test::optimizer();

  const Owned<l2o_run> run = test::run(context, rule, kCoordinates);
  std::vector<float> parameters(kCoordinates, 0.1F);
  EXPECT_OK(l2o_run_set_scales(run.get(), 0.7F, 1.3F, 0.01F));
  for (const std::vector<float>& gradient : inputs.gradients) {
    EXPECT_OK(l2o_run_step(run.get(), gradient.data(), parameters.data()));
  }
  add(parameters);
  add(test::state(run));

  const std::vector<float> weights(4, 1.0F);
  std::vector<float> meta_gradient(l2o_optimizer_meta_parameter_count(rule.get()));
  EXPECT_OK(l2o_meta_gradient(context.get(), rule.get(), kCoordinates, 3, inputs.trace.data(),
                              weights.data(), nullptr, meta_gradient.data()));
  add(meta_gradient);
  EXPECT_OK(l2o_optimizer_apply_meta_gradient(rule.get(), meta_gradient.data(),
                                              meta_gradient.size(), 0.003F));
  add(test::meta_parameters(rule));

  Owned<l2o_optimizee> optimizee;
  EXPECT_OK(l2o_optimizee_create(context.get(), "name = \"quadratic\"\ndimension = 7\n", 5, nullptr,
                                 optimizee.out()));
  Owned<l2o_trainer> trainer;
  EXPECT_OK(l2o_trainer_create(context.get(), kConfig.c_str(), optimizee.get(), trainer.out()));
  l2o_train_report report;
  l2o_train_report_init(&report);
  for (int episode = 0; episode < 4; ++episode) {
    EXPECT_OK(l2o_trainer_step(trainer.get(), &report));
    add(std::vector<double>{report.meta_loss, report.final_loss, report.learning_rate});
  }
  Owned<l2o_optimizer> trained;
  EXPECT_OK(l2o_trainer_optimizer(trainer.get(), trained.out()));
  add(test::meta_parameters(trained));

  std::vector<float> losses(5 * 9);
  EXPECT_OK(l2o_evaluate(context.get(), trained.get(), optimizee.get(), 2, 0, 8, losses.data(),
                         losses.size()));
  add(losses);
  return all;
}

TEST(FloatingPointMode, ChangesNoResultAndIsRestored) {
  const Inputs inputs;
  const std::string expected = results(inputs, 2);
  for (const int threads : {1, 2, 3}) {
    std::string actual;
    bool is_unchanged = false;
    {
      const StrangeMode mode;
      actual = results(inputs, threads);
      is_unchanged = mode.is_unchanged();
    }
    EXPECT_TRUE(is_unchanged);
    EXPECT_TRUE(actual == expected) << threads << " threads";
  }
}

TEST(FloatingPointMode, IsRestoredByFailingCalls) {
  const StrangeMode mode;
  l2o_optimizer* rule = nullptr;
  const l2o_status status = l2o_optimizer_load("/no/such/model", &rule);
  const bool is_unchanged = mode.is_unchanged();
  EXPECT_EQ(status, L2O_INPUT_OUTPUT);
  EXPECT_TRUE(is_unchanged);
}

}  // namespace
}  // namespace l2o
