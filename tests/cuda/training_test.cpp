// Meta-training on a CUDA device: compared to the CPU, with and without recording, and repeated.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "host/engine/task_config.h"
#include "host/engine/training_loop.h"
#include "host/meta/meta_optimizer.h"
#include "host/meta/unroll.h"
#include "tests/cuda/cuda_device.h"
#include "tests/support/small_mnist.h"
#include "tests/support/tolerances.h"

namespace l2o {
namespace {

/// One optimizee of each kind that has its own ops.
struct Task {
  const char* name;
  const char* keys;
  int tasks;
};
constexpr Task kTasks[] = {
    {"quadratic", "name = \"quadratic\"\nfunctions = 3\ndimension = 5\n", 4},
    {"mnist", "name = \"mnist\"\nlayers = [3]\nbatch_size = 8\n", 2},
};

class CudaTraining : public testing::TestWithParam<Task> {
 protected:
  void SetUp() override {
    if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
  }

  std::unique_ptr<Optimizee> optimizee(Backend& backend) const {
    ConfigReader options = ConfigReader::from_text(GetParam().keys, "test");
    return make_optimizee({backend, GetParam().tasks, data_.path()}, options);
  }

  static Optimizer initial() {
    return make_lstm_optimizer({.layers = 2, .hidden = 8}, OutputInit::kTruncatedNormal, 3);
  }
  static TrainingConfig config(int tasks) {
    TrainingConfig config;
    config.rules.front().lstm = initial().cell.lstm;
    config.episodes = 2;
    config.episode.truncation = {.num_steps = 7, .unroll_length = 3};  // unrolls of 3, 3 and 1
    config.tasks = tasks;
    return config;
  }

  struct Run {
    std::vector<EpisodeReport> episodes;
    std::vector<float> meta_parameters;
  };
  Run train(Backend& backend) const {
    const auto task = optimizee(backend);
    TrainingLoop loop(backend, config(GetParam().tasks), make_model(initial()),
                      {{.optimizee = task.get()}});
    Run run;
    while (loop.position().episode < 2) {
      if (loop.run_unroll()) run.episodes.push_back(loop.finish_episode());
    }
    run.meta_parameters = loop.model().only_rule().meta_parameters;
    return run;
  }

  SmallMnist data_;
};

/// Relative distance of two vectors by their Euclidean norms.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0.0, norm = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += std::pow(double{a[i]} - double{b[i]}, 2);
    norm += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(error / norm);
}

TEST_P(CudaTraining, AgreesWithTheCpu) {
  const auto cpu = make_backend({.device = DeviceKind::kCpu, .threads = 1});
  const Run expected = train(*cpu);
  const Run got = train(*test::cuda_backend(Precision::kF32));
  ASSERT_EQ(got.episodes.size(), expected.episodes.size());
  for (std::size_t i = 0; i < got.episodes.size(); ++i) {
    const EpisodeReport &a = got.episodes[i], &b = expected.episodes[i];
    EXPECT_NEAR(a.meta_loss / b.meta_loss, 1.0, tolerance::kEpisodeLoss) << "episode " << i;
    EXPECT_NEAR(a.final_loss / b.final_loss, 1.0, tolerance::kEpisodeLoss) << "episode " << i;
    EXPECT_EQ(a.skipped, 0);
  }
}

TEST_P(CudaTraining, MetaGradientAgreesWithTheCpu) {
  const auto meta_gradient = [&](Backend& backend) {
    const auto task = optimizee(backend);
    DeviceOptimizer optimizer(backend, initial());
    Unroll unroll(backend, {optimizer.cell()}, {{.optimizee = task.get()}},
                  {.num_steps = 6, .unroll_length = 6}, {}, 0);
    unroll.start_episode({{.seed = 5, .first = 0}});
    unroll.forward(optimizer, 0);
    Buffer<float> gradient(backend, optimizer.meta_parameters().size());
    unroll.backward(optimizer, gradient.data());
    return gradient.download();
  };
  const auto cpu = make_backend({.device = DeviceKind::kCpu, .threads = 1});
  EXPECT_LT(distance(meta_gradient(*test::cuda_backend(Precision::kF32)), meta_gradient(*cpu)),
            tolerance::kSplitMetaGradient);
}

TEST_P(CudaTraining, RepeatsBitForBit) {
  for (const Precision precision : {Precision::kF32, Precision::kMixed, Precision::kHalf}) {
    const Run first = train(*test::cuda_backend(precision));
    const Run second = train(*test::cuda_backend(precision));
    EXPECT_EQ(first.meta_parameters, second.meta_parameters) << precision_name(precision);
    EXPECT_EQ(first.episodes.back().final_loss, second.episodes.back().final_loss);
  }
}

TEST_P(CudaTraining, IsTheSameWithAndWithoutARecording) {
  const auto backend = test::cuda_backend();
  const auto run = [&](bool recorded) {
    const auto task = optimizee(*backend);
    DeviceOptimizer optimizer(*backend, initial());
    MetaOptimizer meta_optimizer(*backend, {}, optimizer.meta_parameters().size());
    const Truncation truncation{.num_steps = 8, .unroll_length = 3};
    Unroll unroll(*backend, {optimizer.cell()}, {{.optimizee = task.get()}}, truncation, {}, 0);
    const auto follow = [&] {
      unroll.backward(optimizer, meta_optimizer.meta_gradient());
      meta_optimizer.update(optimizer, unroll.device_losses(), unroll.loss_count());
    };
    std::vector<float> losses;
    for (std::uint32_t episode = 0; episode < 2; ++episode) {
      unroll.start_episode({{.seed = 1, .first = episode * 4}});
      for (int k = 0; k < truncation.unrolls(); ++k) {
        meta_optimizer.set_learning_rate(0.01 / (k + 1));
        if (recorded) {
          unroll.forward_and(optimizer, {k}, follow);
        } else {
          unroll.forward(optimizer, k);
          follow();
        }
        for (const float loss : unroll.losses()) losses.push_back(loss);
        EXPECT_EQ(meta_optimizer.report().applied, 1);
      }
    }
    for (const float value : optimizer.meta_parameters().download()) losses.push_back(value);
    return losses;
  };
  EXPECT_EQ(run(true), run(false));
}

/// A run captured on a device continues there as if it had not been interrupted.
TEST_P(CudaTraining, ContinuesFromACheckpoint) {
  const auto backend = test::cuda_backend(Precision::kHalf);
  const Run expected = train(*backend);
  const auto task = optimizee(*backend);
  TrainingLoop first(*backend, config(GetParam().tasks), make_model(initial()),
                     {{.optimizee = task.get()}});
  for (int unroll = 0; unroll < 2; ++unroll) first.run_unroll();
  const TrainingCheckpoint checkpoint = first.capture();

  const auto task_again = optimizee(*backend);
  TrainingLoop second(*backend, config(GetParam().tasks), make_model(initial()),
                      {{.optimizee = task_again.get()}});
  second.restore(checkpoint);
  while (second.position().episode < 2) {
    if (second.run_unroll()) second.finish_episode();
  }
  EXPECT_EQ(second.model().only_rule().meta_parameters, expected.meta_parameters);
}

/// Features used to train a general rule: a mixture of members with their own episodes, random
/// lengths, schedules, the logarithm of the loss, and gradient clipping per member.
class CudaGeneralTraining : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_cuda_device()) GTEST_SKIP() << "no CUDA device";
  }

  static constexpr const char* kConfig = R"(
[[task]]
name = "quadratic"
functions = 3
dimension = 5
tasks = 4
[[task]]
name = "mnist"
layers = [3]
batch_size = 8
tasks = 2
random_scaling = 1.0
scale_level = "tensor"
[optimizer]
layers = 1
hidden = 8
preprocessing = "adam_moments"
output = "modulated"
[train]
episodes = 3
steps = [4, 16]
unroll_length = 4
schedule = "mixed"
loss = "log"
loss_weights = "linear"
[meta_optimizer]
member_clip_norm = 0.5
)";

  struct Run {
    std::vector<EpisodeReport> episodes;
    std::vector<float> meta_parameters;
  };
  Run train(Backend& backend) const {
    ConfigReader reader = ConfigReader::from_text(kConfig, "test");
    const TrainingConfig config = read_loop_config(reader, 1);
    const Model initial = make_initial_model(config, "");
    const Mixture mixture(backend, read_members(reader, config.tasks), data_.path(),
                          initial.groups(), config.task_alignment());
    TrainingLoop loop(backend, config, initial, mixture.members());
    Run run;
    while (loop.position().episode < config.episodes) {
      if (loop.run_unroll()) run.episodes.push_back(loop.finish_episode());
    }
    run.meta_parameters = loop.model().only_rule().meta_parameters;
    return run;
  }

  SmallMnist data_;
};

TEST_F(CudaGeneralTraining, AgreesWithTheCpu) {
  const auto cpu = make_backend({.device = DeviceKind::kCpu, .threads = 1});
  const Run expected = train(*cpu), got = train(*test::cuda_backend(Precision::kF32));
  ASSERT_EQ(got.episodes.size(), expected.episodes.size());
  for (std::size_t i = 0; i < got.episodes.size(); ++i) {
    const EpisodeReport &a = got.episodes[i], &b = expected.episodes[i];
    ASSERT_EQ(a.member_losses.size(), 2U);
    for (std::size_t m = 0; m < a.member_losses.size(); ++m) {
      EXPECT_NEAR(a.member_losses[m], b.member_losses[m], tolerance::kEpisodeLoss)
          << "log of the loss, episode " << i << ", member " << m;
      EXPECT_EQ(a.member_failures[m], 0);
    }
  }
}

TEST_F(CudaGeneralTraining, RepeatsBitForBit) {
  for (const Precision precision : {Precision::kF32, Precision::kMixed, Precision::kHalf}) {
    const Run first = train(*test::cuda_backend(precision));
    const Run second = train(*test::cuda_backend(precision));
    EXPECT_EQ(first.meta_parameters, second.meta_parameters) << precision_name(precision);
  }
}

INSTANTIATE_TEST_SUITE_P(Tasks, CudaTraining, testing::ValuesIn(kTasks),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace l2o
