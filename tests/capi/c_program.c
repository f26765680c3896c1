/* The interface as used by a C99 program: everything once, with only the header. Exits 0 if everything is
 * as expected, else with the number of the failing line. */
#include <l2o/l2o.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 5

#define CHECK(condition)                                                                        \
  do {                                                                                          \
    if (!(condition)) {                                                                         \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, l2o_last_error_message());     \
      exit(1);                                                                                  \
    }                                                                                           \
  } while (0)

#define OK(call) CHECK((call) == L2O_OK)

static int start(void* user, size_t slot, float* parameters, void* stream) {
  (void)user;
  (void)slot;
  (void)stream;
  for (int i = 0; i < N; ++i) parameters[i] = 1.0F;
  return 0;
}

static int square(void* user, size_t slot, uint32_t evaluation, const float* parameters,
                  float* loss, float* gradient, void* stream) {
  (void)slot;
  (void)evaluation;
  (void)stream;
  ++*(int*)user;
  *loss = 0.0F;
  for (int i = 0; i < N; ++i) {
    *loss += parameters[i] * parameters[i];
    gradient[i] = 2.0F * parameters[i];
  }
  return 0;
}

static void use_a_run(l2o_context* context, const l2o_optimizer* optimizer) {
  const float gradient[N] = {0.5F, -0.5F, 0.0F, 1e-3F, 10.0F};
  float parameters[N] = {0};
  const size_t sizes[2] = {2, 3};
  const float* gradients[2];
  float* tensors[2];
  l2o_run* run = NULL;
  uint64_t skipped = 7;
  size_t state_size;
  float* state;

  OK(l2o_run_create_multi(context, optimizer, 2, sizes, &run));
  OK(l2o_run_set_nan_policy(run, L2O_NAN_ERROR));
  OK(l2o_run_set_scales(run, 0.5F, 1.0F, 0.01F));
  OK(l2o_run_step(run, gradient, parameters));
  CHECK(parameters[0] != 0.0F);
  gradients[0] = gradient;
  gradients[1] = gradient + 2;
  tensors[0] = parameters;
  tensors[1] = parameters + 2;
  OK(l2o_run_step_multi(run, 2, gradients, tensors));
  OK(l2o_run_skipped_steps(run, &skipped));
  CHECK(skipped == 0);

  state_size = l2o_run_state_size(run);
  CHECK(state_size == l2o_optimizer_state_size(optimizer) * N);
  state = malloc(state_size * sizeof(float));
  CHECK(state != NULL);
  OK(l2o_run_get_state(run, state, state_size));
  CHECK(state[0] != 0.0F);
  OK(l2o_run_reset(run));
  OK(l2o_run_set_state(run, state, state_size));
  free(state);
  l2o_run_destroy(run);
  CHECK(l2o_run_reset(run) == L2O_INVALID_ARGUMENT);
  CHECK(strstr(l2o_last_error_message(), "destroyed") != NULL);
}

/* The state of l2o_step is caller-owned memory. */
static void step_own_state(l2o_context* context, const l2o_optimizer* optimizer) {
  const float gradient[N] = {0.5F, -0.5F, 0.0F, 1e-3F, 10.0F};
  float parameters[N] = {0};
  uint64_t skipped = 0;
  l2o_tensor tensor;
  l2o_step_options options;
  const size_t bytes = l2o_state_bytes(context, optimizer, N);
  char* memory;
  CHECK(bytes >= N * l2o_optimizer_state_size(optimizer) * sizeof(float));
  tensor.n = N;
  tensor.gradient = gradient;
  tensor.parameters = parameters;
  memory = malloc(bytes + 64);
  CHECK(memory != NULL);
  tensor.state = memory + (64 - (uintptr_t)memory % 64);
  memset(tensor.state, 0, bytes);
  l2o_step_options_init(&options);
  options.update_scale = 0.5F;
  options.skipped_steps = &skipped;
  OK(l2o_step(context, optimizer, 1, &tensor, &options));
  OK(l2o_step(context, optimizer, 1, &tensor, NULL));
  CHECK(parameters[0] != 0.0F && skipped == 0);
  CHECK(strstr(l2o_optimizer_description(optimizer), "hidden = 4") != NULL);
  free(memory);
}

static void use_a_meta_gradient(l2o_context* context, l2o_optimizer* optimizer) {
  const float trace[3 * N] = {1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5};
  const float weights[3] = {1, 1, 1};
  const size_t count = l2o_optimizer_meta_parameter_count(optimizer);
  float* phi = malloc(count * sizeof(float));
  float* gradient = malloc(count * sizeof(float));
  double norm = 0.0;
  CHECK(count > 0 && phi != NULL && gradient != NULL);
  OK(l2o_meta_gradient(context, optimizer, N, 2, trace, weights, NULL, gradient));
  for (size_t i = 0; i < count; ++i) norm += (double)gradient[i] * gradient[i];
  CHECK(norm > 0.0 && isfinite(norm));
  OK(l2o_optimizer_apply_meta_gradient(optimizer, gradient, count, 0.01F));
  OK(l2o_optimizer_get_meta_parameters(optimizer, phi, count));
  OK(l2o_optimizer_set_meta_parameters(optimizer, phi, count));
  free(phi);
  free(gradient);
}

static int start_batch(void* user, size_t tasks, float* parameters, void* stream) {
  for (size_t slot = 0; slot < tasks; ++slot) start(user, slot, parameters + slot * N, stream);
  return 0;
}

static int square_batch(void* user, uint32_t evaluation, size_t tasks, const float* parameters,
                        float* losses, float* gradients, void* stream) {
  for (size_t slot = 0; slot < tasks; ++slot) {
    square(user, slot, evaluation, parameters + slot * N, losses + slot, gradients + slot * N,
           stream);
  }
  return 0;
}

static void train_batch(l2o_context* context) {
  int calls = 0;
  l2o_objective objective;
  l2o_optimizee* own = NULL;
  l2o_trainer* trainer = NULL;
  l2o_objective_init(&objective);
  objective.user = &calls;
  objective.coordinates = N;
  objective.initial_parameters_batch = start_batch;
  objective.value_and_gradient_batch = square_batch;
  OK(l2o_optimizee_create_callback(context, &objective, 2, &own));
  OK(l2o_trainer_create(context, "[train]\nsteps = 4\nunroll_length = 2\n", own, &trainer));
  OK(l2o_trainer_step(trainer, NULL));
  CHECK(calls == 2 * 6);
  l2o_trainer_destroy(trainer);
  l2o_optimizee_destroy(own);
}

static void train(l2o_context* context, const char* directory) {
  int calls = 0;
  float losses[2 * 6];
  char path[4096];
  l2o_objective objective;
  l2o_optimizee *own = NULL, *simple = NULL;
  l2o_trainer* trainer = NULL;
  l2o_optimizer* trained = NULL;
  l2o_train_report report;

  l2o_objective_init(&objective);
  objective.user = &calls;
  objective.coordinates = N;
  objective.initial_parameters = start;
  objective.value_and_gradient = square;
  OK(l2o_optimizee_create_callback(context, &objective, 2, &own));
  OK(l2o_trainer_create(context, "[train]\nsteps = 4\nunroll_length = 2\n", own, &trainer));
  l2o_train_report_init(&report);
  OK(l2o_trainer_step(trainer, &report));
  CHECK(report.episode == 1 && report.meta_loss > 0.0 && calls == 2 * 6);

  snprintf(path, sizeof(path), "%s/checkpoint", directory);
  OK(l2o_trainer_save(trainer, path));
  OK(l2o_trainer_resume(trainer, path));
  OK(l2o_trainer_optimizer(trainer, &trained));
  snprintf(path, sizeof(path), "%s/model.safetensors", directory);
  OK(l2o_optimizer_save(trained, path));
  l2o_optimizer_destroy(trained);
  OK(l2o_optimizer_load(path, &trained));

  OK(l2o_optimizee_create(context, "name = \"simple\"\ndimension = 3\n", 2, NULL, &simple));
  OK(l2o_evaluate(context, trained, simple, 1, 0, 5, losses, 2 * 6));
  CHECK(losses[0] == 3.0F && losses[6] == 3.0F);
  l2o_optimizee_destroy(own);
  l2o_optimizee_destroy(simple);
  l2o_trainer_destroy(trainer);
  l2o_optimizer_destroy(trained);
}

int main(int argc, char** argv) {
  l2o_context_options options;
  l2o_context* context = NULL;
  l2o_optimizer* optimizer = NULL;
  CHECK(argc == 2);
  CHECK(l2o_backend_available(L2O_BACKEND_CPU) == 1);
  CHECK(strcmp(l2o_status_name(L2O_BUSY), "L2O_BUSY") == 0);
  CHECK(strlen(l2o_version()) >= 5);
  CHECK(strcmp(l2o_last_error_message(), "") == 0);

  l2o_context_options_init(&options);
  options.backend = L2O_BACKEND_CPU;
  options.threads = 1;
  OK(l2o_context_create(&options, &context));
  OK(l2o_context_synchronize(context));
  OK(l2o_optimizer_create("hidden = 4\noutput_init = \"truncated_normal\"\n", &optimizer));
  use_a_run(context, optimizer);
  step_own_state(context, optimizer);
  use_a_meta_gradient(context, optimizer);
  train(context, argv[1]);
  train_batch(context);
  l2o_optimizer_destroy(optimizer);
  l2o_context_destroy(context);
  l2o_context_destroy(NULL);
  return 0;
}
