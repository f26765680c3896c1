/* A custom meta-training loop, around a function that only this program can evaluate: run the
 * optimizer, keep the gradients it saw, and let the library turn them into a gradient of its
 * meta-parameters.
 *
 *   ./external_meta_gradient
 */
#include <l2o/l2o.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 8, kUnroll = 10, kUnrolls = 3, kEpisodes = 200 };

/* f = mean of log cosh(slope (theta - target)), a smooth |theta - target|. */
struct task {
  float target[N], slope[N];
};

static float draw(uint32_t* state) { /* in [0, 1): the LCG of Numerical Recipes */
  *state = *state * 1664525U + 1013904223U;
  return (float)(*state >> 8) / 16777216.0F;
}

static struct task new_task(uint32_t* random) {
  struct task task;
  int i;
  for (i = 0; i < N; ++i) {
    task.target[i] = 2.0F * draw(random) - 1.0F;
    task.slope[i] = 0.5F + 4.0F * draw(random);
  }
  return task;
}

static float evaluate(const struct task* task, const float* theta, float* gradient) {
  float loss = 0.0F;
  int i;
  for (i = 0; i < N; ++i) {
    const float z = task->slope[i] * (theta[i] - task->target[i]);
    loss += logf(coshf(z)) / N;
    gradient[i] = task->slope[i] * tanhf(z) / N;
  }
  return loss;
}

static void check(l2o_status status) {
  if (status == L2O_OK) return;
  fprintf(stderr, "%s: %s\n", l2o_status_name(status), l2o_last_error_message());
  exit(1);
}

static float* floats(size_t count) {
  float* values = calloc(count, sizeof(float));
  if (values == NULL) exit(1);
  return values;
}

int main(void) {
  float trace[(kUnroll + 1) * N], weights[kUnroll + 1], theta[N];
  float first_losses = 0.0F, last_losses = 0.0F; /* sums over the first and last 20 episodes */
  uint32_t random = 1;
  l2o_context* context = NULL;
  l2o_optimizer* optimizer = NULL;
  l2o_run* run = NULL;
  float *start_state, *state, *meta_gradient;
  size_t state_count, meta_count;
  int episode, unroll, t, i;
  check(l2o_context_create(NULL, &context));
  check(l2o_optimizer_create("hidden = 10\nlayers = 1\n", &optimizer));
  check(l2o_run_create(context, optimizer, N, &run));
  /* With a silently skipped step, the unroll would not match the trace. */
  check(l2o_run_set_nan_policy(run, L2O_NAN_ERROR));
  state_count = l2o_run_state_size(run);
  meta_count = l2o_optimizer_meta_parameter_count(optimizer);
  start_state = floats(state_count);
  state = floats(state_count);
  meta_gradient = floats(meta_count);
  for (t = 0; t <= kUnroll; ++t) weights[t] = 1.0F;

  for (episode = 0; episode < kEpisodes; ++episode) {
    const struct task task = new_task(&random);
    float loss = 0.0F;
    for (i = 0; i < N; ++i) theta[i] = 0.0F;
    for (i = 0; i < (int)state_count; ++i) state[i] = 0.0F;
    for (unroll = 0; unroll < kUnrolls; ++unroll) {
      /* The current meta-parameters, and the state carried over from the previous unroll. */
      check(l2o_run_reset(run));
      check(l2o_run_set_state(run, state, state_count));
      memcpy(start_state, state, state_count * sizeof(float));
      for (t = 0; t < kUnroll; ++t) {
        evaluate(&task, theta, trace + t * N);
        check(l2o_run_step(run, trace + t * N, theta));
      }
      loss = evaluate(&task, theta, trace + kUnroll * N);
      check(l2o_run_get_state(run, state, state_count));

      check(l2o_meta_gradient(context, optimizer, N, kUnroll, trace, weights, start_state,
                              meta_gradient));
      check(l2o_optimizer_apply_meta_gradient(optimizer, meta_gradient, meta_count, 0.01F));
    }
    if (episode < 20) first_losses += loss / 20;
    if (episode >= kEpisodes - 20) last_losses += loss / 20;
  }
  printf("mean final loss of the first 20 episodes %g, of the last 20 %g\n", first_losses,
         last_losses);

  free(start_state);
  free(state);
  free(meta_gradient);
  l2o_run_destroy(run);
  l2o_optimizer_destroy(optimizer);
  l2o_context_destroy(context);
  return last_losses < 0.3F * first_losses ? 0 : 1;
}
