#!/usr/bin/env python3
"""Meta-trains an optimizer on a network in JAX, then compares it with Adam on new networks.

    python3 examples/jax_meta_train.py --out runs/mine        half a minute on two cores; rerun to resume
"""
import argparse

import jax
import jax.numpy as jnp
import l2o
import optax
from l2o.jax import Objective, learned_optimizer

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", required=True, help="run directory")
parser.add_argument("--episodes", type=int, default=100)
arguments = parser.parse_args()

STEPS = 100
TEACHER = jax.random.normal(jax.random.key(1), (16, 4))


def init(key):
    first, second = jax.random.split(key)
    return {
        "hidden": {"w": jax.random.normal(first, (16, 24)) / 4, "b": jnp.zeros(24)},
        "output": {"w": jax.random.normal(second, (24, 4)) / 5, "b": jnp.zeros(4)},
    }


def minibatch(_, key):
    inputs = jax.random.normal(key, (32, 16))
    return inputs, (inputs @ TEACHER).argmax(axis=1)


def loss(params, batch):
    inputs, labels = batch
    hidden = jnp.tanh(inputs @ params["hidden"]["w"] + params["hidden"]["b"])
    logits = hidden @ params["output"]["w"] + params["output"]["b"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


rule = {"layers": 1, "hidden": 20, "preprocessing": "adam_moments", "output": "modulated"}
config = {"optimizer": rule, "train": {"episodes": arguments.episodes, "steps": STEPS}}
objective = Objective(loss, init, minibatch=minibatch)
trained = l2o.meta_train(objective, config, tasks=16, run_directory=arguments.out)


def final_loss(optimizer, networks=16):
    """The mean loss of new networks over the last tenth of their training. Every optimizer trains the same
    networks. All networks are updated together, as one array, which any coordinatewise optimizer allows."""
    batch = objective.sample(seed=2, first_task=0, tasks=networks)
    params = objective.initial_parameters(batch, networks)  # [networks, coordinates]
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    curve = []
    for step in range(STEPS):
        losses, gradients = objective.value_and_gradient(batch, step, params)
        updates, state = update(gradients, state)
        params = optax.apply_updates(params, updates)
        curve.append(losses.mean())
    return jnp.stack(curve[-STEPS // 10 :]).mean()


print(f"learned     {final_loss(learned_optimizer(trained.optimizer)):.4f}")
for rate in (0.001, 0.01, 0.1):
    print(f"adam {rate:<6} {final_loss(optax.adam(rate)):.4f}")
