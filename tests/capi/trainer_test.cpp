#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>

#include "tests/capi/objective.h"
#include "tests/support/temporary_directory.h"

namespace l2o {
namespace {

using test::cpu_context;
using test::expect_refused;
using test::meta_parameters;
using test::optimizer;
using test::Owned;
using test::Targets;

std::string training_with(const std::string& steps) {
  return "seed = 3\n"
         "[optimizer]\nlayers = 1\nhidden = 8\n"
         "[train]\nepisodes = 60\nunroll_length = 10\nsteps = " +
         steps + "\n[meta_optimizer]\nlearning_rate = 0.03\n";
}
const std::string kTraining = training_with("20");

constexpr std::size_t kTasks = 4;

struct Training {
  Owned<l2o_context> context = cpu_context();
  Targets targets{kTasks};
  Owned<l2o_optimizee> optimizee = targets.optimizee(context);
  Owned<l2o_trainer> trainer;

  explicit Training(const std::string& config = kTraining) {
    EXPECT_OK(l2o_trainer_create(context.get(), config.c_str(), optimizee.get(), trainer.out()));
  }

  l2o_train_report step() {
    l2o_train_report report;
    l2o_train_report_init(&report);
    EXPECT_OK(l2o_trainer_step(trainer.get(), &report));
    return report;
  }
  std::vector<float> phi() {
    Owned<l2o_optimizer> now;
    EXPECT_OK(l2o_trainer_optimizer(trainer.get(), now.out()));
    return meta_parameters(now);
  }
  /// Mean over the batch of the loss after 20 steps on tasks of another stream.
  double final_loss() {
    Owned<l2o_optimizer> now;
    EXPECT_OK(l2o_trainer_optimizer(trainer.get(), now.out()));
    std::vector<float> losses(kTasks * 21);
    EXPECT_OK(l2o_evaluate(context.get(), now.get(), optimizee.get(), 99, 0, 20, losses.data(),
                           losses.size()));
    double sum = 0.0;
    for (std::size_t task = 0; task < kTasks; ++task) sum += losses[task * 21 + 20];
    return sum / kTasks;
  }
};

TEST(Trainer, FunctionsOfABatchTrainToTheSameBits) {
  Training by_task;
  Targets targets(kTasks);
  const l2o_objective batch = targets.batch_objective();
  const Owned<l2o_optimizee> optimizee = targets.optimizee(by_task.context, batch);
  Owned<l2o_trainer> trainer;
  ASSERT_OK(
      l2o_trainer_create(by_task.context.get(), kTraining.c_str(), optimizee.get(), trainer.out()));
  for (int episode = 0; episode < 3; ++episode) {
    by_task.step();
    ASSERT_OK(l2o_trainer_step(trainer.get(), nullptr));
  }
  Owned<l2o_optimizer> trained;
  ASSERT_OK(l2o_trainer_optimizer(trainer.get(), trained.out()));
  EXPECT_EQ(meta_parameters(trained), by_task.phi());
}

// The functions called by a program that was compiled with the header of version 0.1.
#undef l2o_objective_init
#undef l2o_context_options_init

TEST(Trainer, ProgramsOfVersion01KeepRunning) {
  l2o_context_options options;
  std::memset(&options, 0x5a, sizeof(options));
  l2o_context_options_init(&options);
  EXPECT_EQ(options.size, offsetof(l2o_context_options, is_interrupted));
  Targets targets(1);
  const l2o_objective filled = targets.objective();
  l2o_objective old;
  std::memset(&old, 0x5a, sizeof(old));
  l2o_objective_init(&old);
  old.user = filled.user;
  old.coordinates = filled.coordinates;
  old.sample = filled.sample;
  old.initial_parameters = filled.initial_parameters;
  old.value_and_gradient = filled.value_and_gradient;
  // The bytes after the smaller structs belong to the program.
  const std::string after(sizeof(old) - old.size, 0x5a);
  EXPECT_EQ(std::memcmp(&old.sample_batch, after.data(), after.size()), 0);
  EXPECT_EQ(std::memcmp(&options.is_interrupted, after.data(), sizeof(options) - options.size), 0);

  Owned<l2o_context> context;
  ASSERT_OK(l2o_context_create(&options, context.out()));
  const Owned<l2o_optimizee> optimizee = targets.optimizee(context, old);
  Owned<l2o_trainer> trainer;
  ASSERT_OK(l2o_trainer_create(context.get(), kTraining.c_str(), optimizee.get(), trainer.out()));
  EXPECT_OK(l2o_trainer_step(trainer.get(), nullptr));
}

TEST(Trainer, LearnsACallersObjective) {
  Training training;
  const double untrained = training.final_loss();
  l2o_train_report report;
  for (int episode = 1; episode <= 60; ++episode) {
    report = training.step();
    EXPECT_EQ(report.episode, episode);
    EXPECT_EQ(report.episodes, 60);
  }
  EXPECT_EQ(report.skipped_updates, 0);
  EXPECT_LT(training.final_loss(), 0.1 * untrained);

  // After the end of the schedule its last rate applies.
  const double last_rate = training.step().learning_rate;
  EXPECT_DOUBLE_EQ(last_rate, 0.03 * 0.01);
  EXPECT_DOUBLE_EQ(training.step().learning_rate, last_rate);
}

TEST(Trainer, ResumesBitForBit) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("checkpoint");
  Training through, first, second;
  for (int episode = 0; episode < 10; ++episode) through.step();

  for (int episode = 0; episode < 4; ++episode) first.step();
  ASSERT_OK(l2o_trainer_save(first.trainer.get(), path.c_str()));
  ASSERT_OK(l2o_trainer_resume(second.trainer.get(), path.c_str()));
  EXPECT_EQ(second.phi(), first.phi());
  l2o_train_report report;
  for (int episode = 4; episode < 10; ++episode) report = second.step();
  EXPECT_EQ(report.episode, 10);
  EXPECT_EQ(second.phi(), through.phi());
}

TEST(Trainer, RefusesACheckpointOfAnotherTrainer) {
  const TemporaryDirectory directory;
  const std::string path = directory.file("checkpoint");
  Training first;
  first.step();
  ASSERT_OK(l2o_trainer_save(first.trainer.get(), path.c_str()));

  Training other("seed = 4\n[optimizer]\nlayers = 1\nhidden = 8\n");
  const std::vector<float> before = other.phi();
  expect_refused(l2o_trainer_resume(other.trainer.get(), path.c_str()), L2O_BAD_DATA,
                 "another configuration");
  const std::string damaged = directory.write("damaged", std::string("L2OTRAIN, not"));
  expect_refused(l2o_trainer_resume(other.trainer.get(), damaged.c_str()), L2O_BAD_DATA, "damaged");
  expect_refused(l2o_trainer_resume(other.trainer.get(), directory.file("none").c_str()),
                 L2O_INPUT_OUTPUT, "none");
  EXPECT_EQ(other.phi(), before);
}

TEST(Trainer, ACheckpointBelongsToItsOptimizee) {
  const Owned<l2o_context> context = cpu_context();
  const TemporaryDirectory directory;
  const std::string path = directory.file("checkpoint");
  float inputs[] = {0.5F, -0.5F, 1.0F, 2.0F};
  l2o_data data;
  l2o_data_init(&data);
  data.rows = data.channels = data.target_size = 2;
  data.inputs = data.targets = inputs;
  const auto trainer_on = [&](const std::string& layers, Owned<l2o_trainer>& trainer) {
    const std::string config = "name = \"network\"\nloss = \"mse\"\nlayers = " + layers;
    Owned<l2o_optimizee> optimizee;
    EXPECT_OK(
        l2o_optimizee_create_with_data(context.get(), config.c_str(), 1, &data, optimizee.out()));
    EXPECT_OK(l2o_trainer_create(context.get(), kTraining.c_str(), optimizee.get(), trainer.out()));
  };
  Owned<l2o_trainer> first, same, other_config, other_data;
  trainer_on("[\"dense 2\", \"relu\"]", first);
  EXPECT_OK(l2o_trainer_step(first.get(), nullptr));
  EXPECT_OK(l2o_trainer_save(first.get(), path.c_str()));
  trainer_on("[\"dense 2\", \"relu\"]", same);
  EXPECT_OK(l2o_trainer_resume(same.get(), path.c_str()));
  trainer_on("[\"dense 2\", \"tanh\"]", other_config);
  expect_refused(l2o_trainer_resume(other_config.get(), path.c_str()), L2O_BAD_DATA,
                 "another optimizee");
  inputs[0] = 0.25F;
  trainer_on("[\"dense 2\", \"relu\"]", other_data);
  expect_refused(l2o_trainer_resume(other_data.get(), path.c_str()), L2O_BAD_DATA,
                 "another optimizee");
}

TEST(Trainer, RollsBackAnEpisodeThatACallbackStopped) {
  Training training, undisturbed;
  training.step();
  undisturbed.step();
  // After the first unroll of the episode, whose meta-update has been applied.
  training.targets.fail_at_evaluation =
      training.targets.evaluations + static_cast<int>(kTasks) * 14;
  expect_refused(l2o_trainer_step(training.trainer.get(), nullptr), L2O_FAILURE,
                 "value_and_gradient returned 7");
  EXPECT_EQ(training.phi(), undisturbed.phi());
  EXPECT_EQ(training.step().episode, 2);
  undisturbed.step();
  EXPECT_EQ(training.phi(), undisturbed.phi());
}

/// With episodes that do not end where a step of the trainer does.
const std::string kIndependent = training_with("[20, 60]");

TEST(Trainer, OptimizeesAreFreeBetweenTwoSteps) {
  Training training(kIndependent), undisturbed(kIndependent);
  for (int i = 0; i < 6; ++i) {
    const double loss = training.step().final_loss;
    EXPECT_EQ(loss, undisturbed.step().final_loss) << "step " << i;
    training.final_loss();  // draws other tasks
  }
  EXPECT_EQ(training.phi(), undisturbed.phi());
}

TEST(Trainer, ARollbackThatFailsIsFinishedByTheNextCall) {
  Training training(kIndependent), undisturbed(kIndependent);
  for (int i = 0; i < 2; ++i) {
    training.step();
    undisturbed.step();
  }
  // The step stops within an unroll, and its rollback and the next call's cannot draw the tasks.
  training.targets.fail_at_evaluation =
      training.targets.evaluations + static_cast<int>(kTasks) * 14;
  training.targets.failing_samples = 2;
  expect_refused(l2o_trainer_step(training.trainer.get(), nullptr), L2O_FAILURE,
                 "value_and_gradient returned 7");
  Owned<l2o_optimizer> now;
  expect_refused(l2o_trainer_optimizer(training.trainer.get(), now.out()), L2O_FAILURE,
                 "sample returned 8");
  EXPECT_EQ(training.targets.failing_samples, 0);
  EXPECT_EQ(training.phi(), undisturbed.phi());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(training.step().final_loss, undisturbed.step().final_loss);
  }
  EXPECT_EQ(training.phi(), undisturbed.phi());
}

TEST(Trainer, TaskNumbersDoNotWrapAround) {
  Training training;
  Owned<l2o_trainer> trainer;
  expect_refused(l2o_trainer_create(training.context.get(), "[train]\nepisodes = 2000000000\n",
                                    training.optimizee.get(), trainer.out()),
                 L2O_INVALID_ARGUMENT, "fewer than 2^32 tasks");
}

TEST(Trainer, ReportsDivergence) {
  Training training;
  // Losses are non-finite from the start.
  l2o_objective endless = training.targets.objective();
  endless.value_and_gradient = [](void*, std::size_t, std::uint32_t, const float*, float* loss,
                                  float* gradient, void*) {
    *loss = HUGE_VALF;
    for (std::size_t i = 0; i < Targets::kCoordinates; ++i) gradient[i] = 0.0F;
    return 0;
  };
  Owned<l2o_optimizee> optimizee;
  ASSERT_OK(l2o_optimizee_create_callback(training.context.get(), &endless, 1, optimizee.out()));
  Owned<l2o_trainer> trainer;
  ASSERT_OK(l2o_trainer_create(training.context.get(), "[train]\nmax_skipped_updates = 2\n",
                               optimizee.get(), trainer.out()));
  EXPECT_OK(l2o_trainer_step(trainer.get(), nullptr));
  l2o_train_report report;
  l2o_train_report_init(&report);
  expect_refused(l2o_trainer_step(trainer.get(), &report), L2O_DIVERGED, "diverged");
  EXPECT_EQ(report.episode, 2);
  EXPECT_EQ(report.skipped_updates, 2);
}

TEST(Trainer, RefusesUnsupportedConfigurations) {
  Training training;
  const auto refuse = [&](const std::string& config, const std::string& part) {
    Owned<l2o_trainer> trainer;
    expect_refused(l2o_trainer_create(training.context.get(), config.c_str(),
                                      training.optimizee.get(), trainer.out()),
                   L2O_INVALID_ARGUMENT, part);
  };
  refuse("[task]\nname = \"quadratic\"\n", "task");
  refuse("[evaluation]\nruns = 3\n", "evaluation");
  refuse("[train]\ncheckpoint_every = 3\n", "checkpoint_every");
  refuse("[train]\ntasks = 5\n", "the optimizee has 4 tasks");
  const Owned<l2o_context> other = cpu_context();
  Owned<l2o_trainer> trainer;
  expect_refused(l2o_trainer_create(other.get(), "", training.optimizee.get(), trainer.out()),
                 L2O_INVALID_ARGUMENT, "another context");
}

TEST(Trainer, OutlivesItsSources) {
  Owned<l2o_trainer> trainer;
  Targets targets(kTasks);
  {
    const Owned<l2o_context> context = cpu_context();
    const Owned<l2o_optimizee> optimizee = targets.optimizee(context);
    ASSERT_OK(l2o_trainer_create(context.get(), kTraining.c_str(), optimizee.get(), trainer.out()));
  }
  EXPECT_OK(l2o_trainer_step(trainer.get(), nullptr));
}

TEST(Interruption, EndsLongCallsAndRollsBackTheEpisode) {
  struct Answer {
    int value = 0;
    int asked = 0;
  } answer;
  const Owned<l2o_context> context = test::context([&](l2o_context_options& options) {
    options.is_interrupted = [](void* user) {
      auto& self = *static_cast<Answer*>(user);
      ++self.asked;
      return self.value;
    };
    options.user = &answer;
  });
  Targets targets(kTasks);
  const Owned<l2o_optimizee> optimizee = targets.optimizee(context);
  Owned<l2o_trainer> trainer;
  ASSERT_OK(l2o_trainer_create(context.get(), kTraining.c_str(), optimizee.get(), trainer.out()));
  const auto is_asked_during = [&](const auto& call) {  // about ten times a second
    const int before = answer.asked;
    l2o_status status = L2O_OK;
    while (answer.asked == before) status = call();
    return status;
  };
  std::vector<float> losses(kTasks * 21);
  const Owned<l2o_optimizer> rule = optimizer();
  const auto evaluate = [&] {
    return l2o_evaluate(context.get(), rule.get(), optimizee.get(), 1, 0, 20, losses.data(),
                        losses.size());
  };
  EXPECT_OK(is_asked_during(evaluate));
  answer.value = 1;
  expect_refused(is_asked_during(evaluate), L2O_INTERRUPTED, "interrupted");
  Training untouched;
  l2o_train_report report;
  l2o_train_report_init(&report);
  const auto step = [&] {
    const l2o_status status = l2o_trainer_step(trainer.get(), &report);
    if (status == L2O_OK) untouched.step();
    return status;
  };
  expect_refused(is_asked_during(step), L2O_INTERRUPTED, "interrupted");
  answer.value = 0;
  ASSERT_OK(step());
  Owned<l2o_optimizer> trained;
  ASSERT_OK(l2o_trainer_optimizer(trainer.get(), trained.out()));
  EXPECT_EQ(meta_parameters(trained), untouched.phi());
}

}  // namespace
}  // namespace l2o
