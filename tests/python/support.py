"""Helpers shared by tests: rules with synthetic weights, synthetic gradients, runs of the examples."""

import importlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import l2o
import numpy as np

from reference import Rule

SEED = 20240601
ALL_RULES = [
    Rule(hidden, layers, preprocessing)
    for hidden, layers, preprocessing in itertools.product(
        (8, 20, 32), (1, 2, 3), ("log_and_sign", "identity")
    )
]


def synthetic_optimizer(rule, seed=SEED):
    """An optimizer of the rule's shape and its phi: all weights, including the output's, initialized as in torch."""
    optimizer = l2o.Optimizer(
        {
            "hidden": rule.hidden,
            "layers": rule.layers,
            "preprocessing": rule.preprocessing,
            "p": rule.p,
            "output_scale": rule.output_scale,
        }
    )
    bound = 1 / np.sqrt(rule.hidden)
    phi = np.random.default_rng(seed).uniform(-bound, bound, optimizer.meta_parameter_count)
    phi = phi.astype(np.float32)
    optimizer.set_meta_parameters(phi)
    return optimizer, phi


def synthetic_gradients(steps, n, seed=SEED):
    """[steps, n] float32 over eight decades, so that both branches of log_and_sign are taken."""
    random = np.random.default_rng(seed)
    signs = random.choice([-1.0, 1.0], (steps, n))
    return (signs * 10.0 ** random.uniform(-7, 1, (steps, n))).astype(np.float32)


def synthetic_state(optimizer, n, seed=SEED):
    shape = (optimizer.state_size, n)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def sign_descent_optimizer(step):
    """A rule with hand-written weights: steps of about -step * sign(gradient), with some
    memory of previous steps, so that it descends on any function without training."""
    hidden = 4
    optimizer = l2o.Optimizer({"hidden": hidden, "layers": 1, "output_scale": step})
    rule = Rule(hidden, 1, "log_and_sign")
    tensors = [np.zeros(shape, np.float32) for shape in rule.shapes()]
    w_ih, _, bias, w_out, _ = tensors
    gate = {name: slice(k * hidden, (k + 1) * hidden) for k, name in enumerate("ifgo")}
    bias[gate["i"]], bias[gate["f"]], bias[gate["o"]] = 6.0, -1.0, 6.0
    w_ih[gate["g"], 1] = 1.0  # reads the sign
    w_out[:] = -1.0 / hidden
    optimizer.set_meta_parameters(np.concatenate([tensor.ravel() for tensor in tensors]))
    return optimizer


def relative_error(ours, reference):
    """Largest difference, relative to the largest value of the reference."""
    return np.abs(ours - reference).max() / np.abs(reference).max()


def example_module(name):
    """Imports examples/NAME.py, which may import other examples."""
    directory = str(Path(__file__).parents[2] / "examples")
    if directory not in sys.path:
        sys.path.append(directory)
    return importlib.import_module(name)


def example_output(name, *arguments, **environment):
    """Runs examples/NAME and returns its stdout; fails if the program does, or hangs."""
    return subprocess.run(
        [sys.executable, Path(__file__).parents[2] / "examples" / name, *arguments],
        check=True, capture_output=True, text=True, timeout=300, env={**os.environ, **environment},
    ).stdout
