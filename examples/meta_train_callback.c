/* Meta-trains an optimizer on a custom family of functions, given as callbacks: valleys like
 * Rosenbrock's, each with its own shape and start. Saves the model and prints its improvement.
 *
 *   ./meta_train_callback model.safetensors
 */
#include <l2o/l2o.h>
#include <stdint.h>
#include <stdio.h>

enum { kTasks = 16, kSteps = 50, kEpisodes = 250 };

/* The task in each slot of the batch: f = (a - x)^2 + b (y - x^2)^2, from (start_x, start_y). */
struct valley {
  float a, b, start_x, start_y;
};
static struct valley valleys[kTasks];

/* A number in [0, 1) that depends only on its arguments: the same task is the same function. */
static float draw(uint64_t seed, uint32_t task, uint32_t which) {
  uint64_t bits = seed ^ ((uint64_t)task << 32 | which);
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9U;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBU;
  return (float)((bits ^ (bits >> 31)) >> 40) / 16777216.0F;
}

static int sample(void* user, size_t slot, uint64_t seed, uint32_t task) {
  struct valley* valley = (struct valley*)user + slot;
  valley->a = 0.5F + draw(seed, task, 0);
  valley->b = 5.0F + 10.0F * draw(seed, task, 1);
  valley->start_x = 2.0F * draw(seed, task, 2) - 1.0F;
  valley->start_y = 2.0F * draw(seed, task, 3) - 1.0F;
  return 0;
}

static int initial_parameters(void* user, size_t slot, float* at, void* stream) {
  const struct valley* valley = (const struct valley*)user + slot;
  (void)stream; /* the context of this program is on the CPU */
  at[0] = valley->start_x;
  at[1] = valley->start_y;
  return 0;
}

static int value_and_gradient(void* user, size_t slot, uint32_t evaluation, const float* at,
                              float* loss, float* gradient, void* stream) {
  const struct valley* valley = (const struct valley*)user + slot;
  const float short_of = valley->a - at[0], bend = at[1] - at[0] * at[0];
  (void)evaluation; /* there are no minibatches */
  (void)stream;
  *loss = short_of * short_of + valley->b * bend * bend;
  gradient[0] = -2.0F * short_of - 4.0F * valley->b * at[0] * bend;
  gradient[1] = 2.0F * valley->b * bend;
  return 0;
}

static int failed(l2o_status status) {
  if (status != L2O_OK) fprintf(stderr, "%s: %s\n", l2o_status_name(status), l2o_last_error_message());
  return status != L2O_OK;
}

/* Returns the mean loss after kSteps steps on tasks that training never saw, or -1 on failure. */
static double mean_final_loss(l2o_context* context, const l2o_optimizer* optimizer,
                              l2o_optimizee* optimizee) {
  static float losses[kTasks][kSteps + 1];
  const uint64_t seed_of_tests = 12345;
  double sum = 0.0;
  int task;
  if (failed(l2o_evaluate(context, optimizer, optimizee, seed_of_tests, 0, kSteps, losses[0],
                          kTasks * (kSteps + 1)))) {
    return -1.0;
  }
  for (task = 0; task < kTasks; ++task) sum += losses[task][kSteps];
  return sum / kTasks;
}

int main(int argc, char** argv) {
  const char* config =
      "[train]\nepisodes = 250\nsteps = 50\nunroll_length = 10\n"
      "[meta_optimizer]\nlearning_rate = 0.01\nclip_norm = 1.0\n";
  l2o_context_options options;
  l2o_objective objective;
  l2o_context* context = NULL;
  l2o_optimizee* optimizee = NULL;
  l2o_trainer* trainer = NULL;
  l2o_optimizer *untrained = NULL, *trained = NULL;
  l2o_train_report report;
  double before, after;
  int episode;
  if (argc != 2) {
    fprintf(stderr, "usage: meta_train_callback MODEL\n");
    return 2;
  }

  l2o_context_options_init(&options);
  options.backend = L2O_BACKEND_CPU;
  l2o_objective_init(&objective);
  objective.user = valleys;
  objective.coordinates = 2;
  objective.sample = sample;
  objective.initial_parameters = initial_parameters;
  objective.value_and_gradient = value_and_gradient;
  if (failed(l2o_context_create(&options, &context)) ||
      failed(l2o_optimizee_create_callback(context, &objective, kTasks, &optimizee)) ||
      failed(l2o_trainer_create(context, config, optimizee, &trainer)) ||
      failed(l2o_trainer_optimizer(trainer, &untrained))) {
    return 1;
  }

  l2o_train_report_init(&report);
  for (episode = 0; episode < kEpisodes; ++episode) {
    if (failed(l2o_trainer_step(trainer, &report))) return 1;
    if (report.episode % 50 == 0) {
      printf("episode %d of %d: final loss %g\n", (int)report.episode, (int)report.episodes,
             report.final_loss);
    }
  }
  if (failed(l2o_trainer_optimizer(trainer, &trained)) ||
      failed(l2o_optimizer_save(trained, argv[1]))) {
    return 1;
  }
  before = mean_final_loss(context, untrained, optimizee);
  after = mean_final_loss(context, trained, optimizee);
  printf("on fresh tasks: %g untrained, %g trained\n", before, after);

  l2o_optimizer_destroy(untrained);
  l2o_optimizer_destroy(trained);
  l2o_trainer_destroy(trainer);
  l2o_optimizee_destroy(optimizee);
  l2o_context_destroy(context);
  return after >= 0.0 && after < 0.2 * before ? 0 : 1;
}
