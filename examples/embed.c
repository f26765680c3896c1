/* Minimizes Rosenbrock's valley with a trained optimizer.
 *
 *   cc embed.c -o embed $(pkg-config --cflags --libs l2o) && ./embed models/quadratic.safetensors
 */
#include <l2o/l2o.h>
#include <stdio.h>

/* f = (1 - x)^2 + 10 (y - x^2)^2, with its minimum at (1, 1); returns f and fills its gradient. */
static float valley(const float* at, float* gradient) {
  const float x = at[0], bend = at[1] - x * x;
  gradient[0] = -2.0F * (1.0F - x) - 40.0F * x * bend;
  gradient[1] = 20.0F * bend;
  return (1.0F - x) * (1.0F - x) + 10.0F * bend * bend;
}

/* Gradients here are a few hundred times as large as those that the rule was trained on. */
static const float kGradientScale = 1.0F / 256.0F;

static int failed(l2o_status status) {
  if (status != L2O_OK) fprintf(stderr, "%s: %s\n", l2o_status_name(status), l2o_last_error_message());
  return status != L2O_OK;
}

int main(int argc, char** argv) {
  l2o_context* context = NULL;
  l2o_optimizer* optimizer = NULL;
  l2o_run* run = NULL;
  float at[2] = {-0.5F, 0.5F}, gradient[2];
  float first, last = 0.0F;
  int step;
  if (argc != 2) {
    fprintf(stderr, "usage: embed MODEL\n");
    return 2;
  }
  if (failed(l2o_context_create(NULL, &context)) ||
      failed(l2o_optimizer_load(argv[1], &optimizer)) ||
      failed(l2o_run_create(context, optimizer, 2, &run)) ||
      failed(l2o_run_set_scales(run, 1.0F, kGradientScale, 0.0F))) {
    return 1;
  }

  first = valley(at, gradient);
  for (step = 0; step < 100; ++step) {
    if (failed(l2o_run_step(run, gradient, at))) return 1;
    last = valley(at, gradient);
  }
  printf("f went from %g to %g, at (%g, %g)\n", first, last, at[0], at[1]);

  l2o_run_destroy(run);
  l2o_optimizer_destroy(optimizer);
  l2o_context_destroy(context);
  return last < first ? 0 : 1;
}
