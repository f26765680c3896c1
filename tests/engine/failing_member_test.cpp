// The training loop when a member of a mixture fails.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "host/engine/training_loop.h"
#include "host/optimizee/callback.h"

namespace l2o {
namespace {

constexpr std::int64_t kCoordinates = 40;

/// f = sum of (x - 1)^2, but NaN from evaluation `fails_from` on; gradients stay finite.
std::unique_ptr<Optimizee> squares(std::uint32_t fails_from) {
  ObjectiveFunctions functions;
  functions.coordinates = kCoordinates;
  functions.initial_parameters = [](int, float* theta) { std::fill_n(theta, kCoordinates, 0.0F); };
  functions.value_and_gradient = [=](std::uint32_t evaluation, int, const float* theta, float* loss,
                                     float* gradient) {
    *loss = 0.0F;
    for (std::int64_t i = 0; i < kCoordinates; ++i) {
      *loss += (theta[i] - 1.0F) * (theta[i] - 1.0F);
      gradient[i] = 2.0F * (theta[i] - 1.0F);
    }
    if (evaluation >= fails_from) *loss = std::numeric_limits<float>::quiet_NaN();
  };
  return make_callback_optimizee(std::move(functions), 1);
}

TrainingConfig by_member() {
  ConfigReader reader = ConfigReader::from_text(R"(
[optimizer]
layers = 1
hidden = 4
preprocessing = "adam_moments"
output = "modulated"
[train]
episodes = 2
steps = 20
unroll_length = 5
[meta_optimizer]
member_clip_norm = 1.0
)",
                                                "test");
  return read_loop_config(reader, 1);
}

constexpr std::uint32_t kNever = 1'000'000;

TEST(FailingMember, IsExcludedAndRestartsWhileOthersContinue) {
  const auto backend = make_backend({.device = DeviceKind::kCpu, .threads = 1});
  const TrainingConfig config = by_member();
  const auto good = squares(kNever);
  // An unroll of 5 steps has 6 evaluations: the third unroll of every episode fails.
  const auto bad = squares(12);
  TrainingLoop loop(
      *backend, config, make_initial_model(config, ""),
      {{.optimizee = good.get(), .name = "good"}, {.optimizee = bad.get(), .name = "bad"}});
  while (!loop.run_unroll()) {
  }
  EXPECT_EQ(loop.position().member_episodes, (std::vector<std::int64_t>{1, 1}));
  EXPECT_EQ(loop.position().member_unrolls, (std::vector<std::int64_t>{0, 1}));
  const EpisodeReport report = loop.finish_episode();
  EXPECT_EQ(report.skipped, 0);
  EXPECT_EQ(report.member_failures, (std::vector<std::int64_t>{0, 1}));
  EXPECT_TRUE(std::isfinite(report.meta_loss));
  EXPECT_TRUE(std::isfinite(report.member_norms[1]));  // mean over the unrolls that succeeded
}

TEST(FailingMember, CausesSkippedUpdatesIfItIsTheOnlyMember) {
  const auto backend = make_backend({.device = DeviceKind::kCpu, .threads = 1});
  const TrainingConfig config = by_member();
  const auto bad = squares(0);
  TrainingLoop loop(*backend, config, make_initial_model(config, ""), {{.optimizee = bad.get()}});
  while (!loop.run_unroll()) {
  }
  const EpisodeReport report = loop.finish_episode();
  EXPECT_EQ(report.skipped, 4);
  EXPECT_EQ(report.member_failures, (std::vector<std::int64_t>{4}));
  EXPECT_TRUE(std::isnan(report.member_losses[0]));
  EXPECT_TRUE(std::isnan(report.final_loss));
}

}  // namespace
}  // namespace l2o
