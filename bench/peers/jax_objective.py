"""Meta-training on the same objective written in JAX, PyTorch and numpy, in one process, in turn.

    python3 bench/peers/jax_objective.py [--tasks 64] [--coordinates 1000] [--rounds 5]

evaluation   milliseconds of one evaluation of all tasks, with the copies from and to the engine's memory
episode      seconds of an episode, with the rule and its meta-gradient: the default rule, 2 layers of 20
             units, and the defaults of training, 100 steps in unrolls of 20

All three evaluate the tasks together; in numpy the gradient is written by hand. The best times of all rounds.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
import torch

import l2o
import l2o.jax
import l2o.torch

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--tasks", type=int, default=64)
parser.add_argument("--coordinates", type=int, default=1000)
parser.add_argument("--rounds", type=int, default=5, help="rounds of one episode each, or of 200 evaluations")
parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="JAX uses all cores")
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
TASKS, N = arguments.tasks, arguments.coordinates


def in_jax():
    def loss(x, task):
        a, y = task
        return ((x * a - y) ** 2).mean() + (jnp.tanh(x) ** 2).mean()

    return l2o.jax.Objective(
        loss,
        init=lambda key: jnp.zeros(N),
        sample=lambda key: tuple(jax.random.normal(part, (N,)) for part in jax.random.split(key)),
    )


def in_torch():
    def loss(parameters, task):
        x, (a, y) = parameters["x"], task
        return ((x * a - y) ** 2).mean() + torch.tanh(x).pow(2).mean()

    return l2o.torch.Objective(
        loss,
        init=lambda generator: {"x": torch.zeros(N)},
        sample=lambda generator: tuple(torch.randn(2, N, generator=generator)),
    )


class InNumpy(l2o.BatchObjective):
    coordinates = N

    def sample(self, seed, first_task, tasks):
        numbers = range(first_task, first_task + tasks)
        draws = [np.random.default_rng((seed, number)).standard_normal((2, N)) for number in numbers]
        return np.stack(draws, axis=1).astype(np.float32)

    def initial_parameters(self, batch, tasks):
        return np.zeros((tasks, N), np.float32)

    def value_and_gradient(self, batch, evaluation, x):
        a, y = batch
        residual, bent = x * a - y, np.tanh(x)
        losses = (residual**2).mean(axis=1) + (bent**2).mean(axis=1)
        return losses, (2 / N) * (residual * a + bent * (1 - bent**2))


def evaluation(objective):
    """A function that evaluates like the engine, in memory with the same alignment."""
    memory = np.zeros(2 * TASKS * N * 4 + TASKS * 4 + 64, np.uint8)
    parameters = memory.ctypes.data + -memory.ctypes.data % 64
    gradients = parameters + TASKS * N * 4
    losses = gradients + TASKS * N * 4
    batch = objective.sample(1, 0, TASKS)

    def evaluate():
        x = objective.read_memory(parameters, (TASKS, N))
        values, derivatives = objective.value_and_gradient(batch, 0, x)
        objective.write_memory(losses, (TASKS,), values, "losses")
        objective.write_memory(gradients, (TASKS, N), derivatives, "gradients")
        return memory  # this function keeps it alive

    return evaluate


def episode(objective):
    context = l2o.Context("cpu", threads=arguments.threads)
    return l2o.Trainer(l2o.Optimizee(objective, tasks=TASKS, context=context), {}).step


objectives = {"JAX": in_jax(), "PyTorch": in_torch(), "numpy": InNumpy()}
for title, unit, scale, make, calls in (
    ("evaluation", "us", 1e6, evaluation, 200),
    ("episode", "s", 1, episode, 1),
):
    functions = {name: make(objective) for name, objective in objectives.items()}
    times = {name: [] for name in functions}
    for round_number in range(arguments.rounds + 1):  # the first one warms up
        for name, function in functions.items():
            for _ in range(calls):
                began = time.perf_counter()
                function()
                if round_number > 0:
                    times[name].append(time.perf_counter() - began)
    for name, seconds in times.items():
        ratio = min(seconds) / min(times["JAX"])
        print(f"{title:11} {name:8} {min(seconds) * scale:9.3f} {unit:2}  {ratio:6.2f}", flush=True)
