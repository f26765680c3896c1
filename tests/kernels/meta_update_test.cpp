#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/launchers.h"

namespace l2o {
namespace {

/// phi with its Adam state; runs one meta-update per call.
struct MetaOptimizer {
  std::vector<float> meta, first, second;
  std::int64_t updates = 0;
  float clip_norm = 0.0F;
  std::vector<float> losses;

  explicit MetaOptimizer(const std::vector<float>& start)
      : meta(start), first(start.size(), 0.0F), second(start.size(), 0.0F) {}

  MetaUpdateReport update(const std::vector<float>& gradient, float learning_rate) {
    MetaUpdateReport report = {-1.0F, -1};
    cpu::ThreadPool pool(1);
    cpu::meta_update({.size = std::int64_t(meta.size()),
                      .meta = meta.data(),
                      .first_moment = first.data(),
                      .second_moment = second.data(),
                      .updates = &updates,
                      .meta_gradient = gradient.data(),
                      .loss_count = std::int64_t(losses.size()),
                      .losses = losses.data(),
                      .learning_rate = &learning_rate,
                      .clip_norm = clip_norm,
                      .report = &report},
                     pool);
    return report;
  }
};

TEST(MetaUpdate, EqualsAdam) {
  MetaOptimizer optimizer({1.0F, -2.0F, 0.5F});
  const std::vector<std::vector<float>> gradients = {
      {0.1F, -3.0F, 0.0F}, {0.2F, 1.0F, 1e-3F}, {-0.4F, 2.0F, -5.0F}, {0.0F, 0.0F, 1.0F}};
  double theta[] = {1.0, -2.0, 0.5}, m[3] = {}, v[3] = {};
  int t = 0;
  for (const std::vector<float>& gradient : gradients) {
    ++t;
    const float rate = 0.01F / float(t);
    const MetaUpdateReport report = optimizer.update(gradient, rate);
    double norm = 0.0;
    for (int i = 0; i < 3; ++i) {
      const double g = gradient[std::size_t(i)];
      norm = std::hypot(norm, g);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      theta[i] -= rate * (m[i] / (1.0 - std::pow(0.9, t))) /
                  (std::sqrt(v[i] / (1.0 - std::pow(0.999, t))) + 1e-8);
      EXPECT_NEAR(optimizer.meta[std::size_t(i)], theta[i], 1e-6) << "update " << t;
    }
    EXPECT_FLOAT_EQ(report.gradient_norm, float(norm));
    EXPECT_EQ(report.applied, 1);
    EXPECT_EQ(optimizer.updates, t);
  }
}

TEST(MetaUpdate, FirstUpdateEqualsTheRateForAnyGradientScale) {
  for (const float scale : {1e-4F, 1.0F, 1e15F}) {
    MetaOptimizer optimizer({0.0F, 0.0F});
    optimizer.update({scale, -scale}, 0.01F);
    EXPECT_NEAR(optimizer.meta[0], -0.01F, 2e-6F) << scale;
    EXPECT_NEAR(optimizer.meta[1], 0.01F, 2e-6F) << scale;
  }
}

TEST(MetaUpdate, ClippingScalesTheWholeGradient) {
  MetaOptimizer clipped({0.0F, 0.0F}), scaled({0.0F, 0.0F});
  clipped.clip_norm = 1.0F;
  const MetaUpdateReport report = clipped.update({30.0F, -40.0F}, 0.1F);
  EXPECT_FLOAT_EQ(report.gradient_norm, 50.0F);  // before clipping
  scaled.update({0.6F, -0.8F}, 0.1F);
  for (int i = 0; i < 2; ++i) {
    EXPECT_FLOAT_EQ(clipped.first[std::size_t(i)], scaled.first[std::size_t(i)]);
    EXPECT_FLOAT_EQ(clipped.second[std::size_t(i)], scaled.second[std::size_t(i)]);
  }
  MetaOptimizer below({0.0F, 0.0F});
  below.clip_norm = 100.0F;
  below.update({30.0F, -40.0F}, 0.1F);
  EXPECT_FLOAT_EQ(below.first[0], 3.0F);
}

TEST(MetaUpdate, SkipsNonFiniteGradients) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // The last one is finite, but its square would make the second moment infinite forever.
  for (const float bad : {kInfinity, -kInfinity, std::nanf(""), 3e38F}) {
    MetaOptimizer optimizer({1.0F, 2.0F});
    optimizer.update({0.1F, 0.2F}, 0.01F);
    const MetaOptimizer before = optimizer;
    const MetaUpdateReport report = optimizer.update({0.1F, bad}, 0.01F);
    EXPECT_EQ(report.applied, 0);
    EXPECT_EQ(optimizer.meta, before.meta);
    EXPECT_EQ(optimizer.first, before.first);
    EXPECT_EQ(optimizer.second, before.second);
    EXPECT_EQ(optimizer.updates, before.updates);
    EXPECT_EQ(optimizer.update({0.1F, 0.2F}, 0.01F).applied, 1);
  }
}

TEST(MetaUpdate, SkipsNonFiniteLosses) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    MetaOptimizer optimizer({1.0F, 2.0F});
    optimizer.losses = {0.5F, 3e38F, 0.25F};
    EXPECT_EQ(optimizer.update({0.1F, 0.2F}, 0.01F).applied, 1);
    const MetaOptimizer before = optimizer;
    optimizer.losses[1] = bad;
    EXPECT_EQ(optimizer.update({0.1F, 0.2F}, 0.01F).applied, 0);
    EXPECT_EQ(optimizer.meta, before.meta);
    EXPECT_EQ(optimizer.updates, before.updates);
  }
}

TEST(MetaUpdate, ClippingMakesAHugeGradientUsable) {
  MetaOptimizer optimizer({0.0F});
  optimizer.clip_norm = 1.0F;
  EXPECT_EQ(optimizer.update({3e38F}, 0.01F).applied, 1);
  EXPECT_NEAR(optimizer.meta[0], -0.01F, 1e-6F);
}

TEST(MetaUpdate, NoMetaParameters) {
  MetaOptimizer optimizer({});
  EXPECT_EQ(optimizer.update({}, 0.01F).gradient_norm, 0.0F);
}

}  // namespace
}  // namespace l2o
