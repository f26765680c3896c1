"""Meta-training on an objective written in PyTorch: seconds of an episode in one process, in turn.

    python3 bench/peers/torch_objective.py [--tasks 64] [--coordinates 1000] [--rounds 5]

batched      l2o.torch.Objective: all tasks by one vmap, the rule and its meta-gradient by the engine
one by one   the same objective as an l2o.Objective: autograd, task by task
PyTorch      everything in PyTorch: the same vmap, the rule as LSTM cells, the meta-gradient by autograd;
             the fastest of its variants here, coordinates as rows or as columns

The default rule, 2 layers of 20 units, and the defaults of training: 100 steps in unrolls of 20.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from torch.func import grad_and_value, vmap

import l2o
from l2o.torch import Objective
from problem import HIDDEN, SHAPES
from torch_rules import ColumnRule, RowRule

STEPS, UNROLL = 100, 20

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--tasks", type=int, default=64)
parser.add_argument("--coordinates", type=int, default=1000)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=torch.get_num_threads())
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
TASKS, N = arguments.tasks, arguments.coordinates


def loss(parameters, task):
    x = parameters["x"]
    return ((x * task["a"] - task["y"]) ** 2).mean() + torch.tanh(x).pow(2).mean()


objective = Objective(
    loss,
    init=lambda generator: {"x": torch.zeros(N)},
    sample=lambda generator: {
        "a": torch.randn(N, generator=generator),
        "y": torch.randn(N, generator=generator),
    },
)


class OneByOne(l2o.Objective):
    coordinates = N

    def sample(self, seed, task):
        return objective.sample(seed, task, 1).drawn[0]

    def initial_parameters(self, task):
        return np.zeros(N, np.float32)

    def value_and_gradient(self, task, evaluation, parameters):
        x = torch.tensor(parameters, requires_grad=True)
        value = loss({"x": x}, task)
        value.backward()
        return value.item(), x.grad.numpy()


def engine(function):
    context = l2o.Context("cpu", threads=arguments.threads)
    optimizee = l2o.Optimizee(function, tasks=TASKS, context=context)
    trainer = l2o.Trainer(optimizee, {"train": {"steps": STEPS, "unroll_length": UNROLL}})
    return trainer.step


def pytorch(make_rule):
    random = np.random.default_rng(1)
    phi = {name: 0.1 * random.standard_normal(shape).astype(np.float32) for name, shape in SHAPES}
    rule = make_rule(phi)
    meta_optimizer = torch.optim.Adam(rule.parameters(), lr=3e-3)
    evaluate = vmap(grad_and_value(loss))
    shape = (HIDDEN, TASKS * N) if rule.columns else (TASKS * N, HIDDEN)
    episodes = iter(range(10**9))

    def episode():
        task = objective.sample(1, TASKS * next(episodes), TASKS).stacked
        theta, state = torch.zeros(TASKS * N), [torch.zeros(shape) for _ in range(4)]
        for _ in range(STEPS // UNROLL):
            theta, state = theta.detach(), [part.detach() for part in state]
            surrogate = 0.0  # its derivative with respect to phi is the meta-gradient: gradients are constants
            for t in range(UNROLL + 1):
                gradients, _ = evaluate({"x": theta.detach().view(TASKS, N)}, task)
                gradient = gradients["x"].reshape(-1)
                surrogate = surrogate + torch.dot(gradient, theta)
                if t < UNROLL:
                    update, *state = rule(gradient, *state)
                    theta = theta + update
            meta_optimizer.zero_grad()
            surrogate.backward()
            meta_optimizer.step()

    return episode


contestants = {
    "batched": engine(objective),
    "one by one": engine(OneByOne()),
    "PyTorch, rows": pytorch(RowRule),
    "PyTorch, columns": pytorch(ColumnRule),
}
times = {name: [] for name in contestants}
for round_number in range(arguments.rounds + 1):  # the first one warms up
    for name, episode in contestants.items():
        began = time.perf_counter()
        episode()
        if round_number > 0:
            times[name].append(time.perf_counter() - began)
seconds = {name: statistics.median(values) for name, values in times.items()}
for name, value in seconds.items():
    print(f"{name:17} {value:8.3f} s  {value / seconds['batched']:6.2f}")
