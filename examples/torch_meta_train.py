#!/usr/bin/env python3
"""Meta-trains an optimizer on a PyTorch network, then trains such a network with it.

    python3 examples/torch_meta_train.py --out runs/own        half a minute on two cores; rerun to resume
"""
import argparse

import l2o
import torch
from l2o.torch import LearnedOptimizer, module_objective
from torch import nn

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", required=True, help="directory of the run")
parser.add_argument("--episodes", type=int, default=100)
arguments = parser.parse_args()

make = lambda: nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 4))
TEACHER = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))


def minibatch(generator):
    inputs = torch.randn(32, 16, generator=generator)
    return inputs, (inputs @ TEACHER).argmax(dim=1)


def loss(network, batch):
    inputs, labels = batch
    return nn.functional.cross_entropy(network(inputs), labels)


rule = {"layers": 1, "hidden": 20, "preprocessing": "adam_moments", "output": "modulated"}
config = {"optimizer": rule, "train": {"episodes": arguments.episodes, "steps": 100}}
objective = module_objective(make, loss, minibatch)
trained = l2o.meta_train(objective, config, tasks=16, run_directory=arguments.out)

network, generator = make(), torch.Generator().manual_seed(2)
optimizer = LearnedOptimizer(network.parameters(), trained.optimizer)
for step in range(100):
    value = loss(network, minibatch(generator))
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
print(f"validation loss {trained.validation:.4f}, after 100 steps of a new network {value:.4f}")
