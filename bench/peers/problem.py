"""The work of every contestant, as files, and its correct results, in float64.

The rule is the coordinatewise LSTM of docs/math.md: L = 2 layers of H = 20 units, log_and_sign
input with p = 10, output scale 0.1, unrolls of T = 20 steps with all loss weights 1. Two operations:

  step              theta += update for every coordinate; the state advances
  unroll_backward   d sum_t f(theta[t]) / d phi along one unroll: forward over the T steps from the
                    start state, then backward; gradients along solid edges only, so the gradient trace
                    is data and the adjoint of update[t] is lambda[t] = sum of grad[t+1..T]

Files of float32, row-major: phi [P], trace [T+1, N], state [S, N], theta [N]. phi is in the
engine's order (host/optimizer/optimizer.h): per layer weight_ih [4H, in], weight_hh [4H, H],
bias [4H], gates i, f, g, o; then linear.weight [H] and linear.bias [1]. A state's S = 80 values are
h and c of layer 1, then h and c of layer 2.
"""

import os

import numpy as np

LAYERS, HIDDEN, INPUTS = 2, 20, 2
P, OUTPUT_SCALE, STEPS = 10.0, 0.1, 20
SHAPES = [
    (name, shape)
    for layer, width in ((1, INPUTS), (2, HIDDEN))
    for name, shape in (
        (f"weight_ih_{layer}", (4 * HIDDEN, width)),
        (f"weight_hh_{layer}", (4 * HIDDEN, HIDDEN)),
        (f"bias_{layer}", (4 * HIDDEN,)),
    )
] + [("out_weight", (HIDDEN,)), ("out_bias", (1,))]
STATE = 2 * LAYERS * HIDDEN


def write(directory, n, period=None, seed=1):
    """Writes a synthetic problem for n coordinates. With a period, which divides n, the first `period` of
    them repeat: then a reference for one period holds for all."""
    distinct = period or n
    rng = np.random.default_rng(seed)

    def normal(shape, sigma=1.0):
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma)

    phi = {}
    for name, shape in SHAPES:
        fan_in = HIDDEN if name.startswith("out") else HIDDEN + (INPUTS if name.endswith("1") else HIDDEN)
        phi[name] = normal(shape, fan_in**-0.5)
        if name.startswith("bias"):
            phi[name][HIDDEN : 2 * HIDDEN] += 1  # the forget gate
    # Magnitudes over six decades, so that both branches of log_and_sign occur.
    shape = (STEPS + 1, distinct)
    trace = normal(shape) * np.exp(-14 * rng.random(shape, dtype=np.float32))
    state = normal((STATE, distinct), 0.4)
    _save(directory, "phi", np.concatenate([phi[name].ravel() for name, _ in SHAPES]))
    for name, array in (("trace", trace), ("state", state), ("theta", normal((1, distinct)))):
        _save(directory, name, np.tile(array, n // distinct))


def _save(directory, name, array):
    array.astype(np.float32).tofile(os.path.join(directory, name + ".f32"))


class Problem:
    """Coordinates first .. first + count - 1 of the files in a directory."""

    def __init__(self, directory, first, count):
        def load(name, rows):
            whole = np.memmap(os.path.join(directory, name + ".f32"), np.float32, "r")
            return np.array(whole.reshape(rows, -1)[:, first : first + count])  # a copy, writable

        self.n = count
        self.trace = load("trace", STEPS + 1)  # [T+1, n]
        self.state = load("state", STATE)  # [S, n]
        self.theta = load("theta", 1)[0]  # [n]
        self.phi = unflatten(np.fromfile(os.path.join(directory, "phi.f32"), np.float32))

    def states(self):
        """h1, c1, h2, c2, each [H, n]."""
        return self.state.reshape(2 * LAYERS, HIDDEN, self.n)

    def update_adjoints(self):
        """lambda [T, n]: the adjoint of update[t] is the sum of grad[t+1..T]."""
        return np.cumsum(self.trace[:0:-1], axis=0)[::-1].copy()


def unflatten(flat):
    """phi [P] -> {name: array}."""
    parts, at = {}, 0
    for name, shape in SHAPES:
        size = int(np.prod(shape))
        parts[name] = flat[at : at + size].reshape(shape)
        at += size
    assert at == flat.size
    return parts


def flatten(parts):
    """{name: array-like} -> phi [P], float32."""
    return np.concatenate([np.asarray(parts[name], np.float32).ravel() for name, _ in SHAPES])


# ------------------------------------------------------------------------------ float64 reference


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _preprocess(gradient):
    """[n] -> [2, n]"""
    magnitude = np.abs(gradient)
    large = magnitude >= np.exp(-P)
    logarithm = np.log(np.where(large, magnitude, 1)) / P
    return np.stack(
        [np.where(large, logarithm, -1), np.where(large, np.sign(gradient), np.exp(P) * gradient)]
    )


def _forward(phi, trace, state, theta):
    """T steps; returns theta [n], the state [S, n] and, per step and layer, the values for backward."""
    h1, c1, h2, c2 = state.reshape(2 * LAYERS, HIDDEN, -1)
    h, c, tape = [h1, h2], [c1, c2], []
    for t in range(STEPS):
        x, layers = _preprocess(trace[t]), []
        for k in range(LAYERS):
            w_ih, w_hh = phi[f"weight_ih_{k + 1}"], phi[f"weight_hh_{k + 1}"]
            z = w_ih @ x + w_hh @ h[k] + phi[f"bias_{k + 1}"][:, None]
            i, f, g, o = z.reshape(4, HIDDEN, -1)
            i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
            new_c = f * c[k] + i * g
            layers.append((x, h[k], c[k], i, f, g, o, np.tanh(new_c)))
            c[k], h[k] = new_c, o * np.tanh(new_c)
            x = h[k]
        theta = theta + OUTPUT_SCALE * (phi["out_weight"] @ x + phi["out_bias"])
        tape.append((layers, x))
    return theta, np.concatenate([h[0], c[0], h[1], c[1]]), tape


def reference_step(problem):
    """theta [n] and state [S, n] after T steps, in float64."""
    phi = {name: part.astype(np.float64) for name, part in problem.phi.items()}
    theta, state, _ = _forward(phi, *(a.astype(np.float64) for a in (problem.trace, problem.state, problem.theta)))
    return np.concatenate([theta, state.ravel()])


def reference_unroll_backward(problem):
    """The meta-gradient [P] by explicit back-propagation through time, in float64."""
    phi = {name: part.astype(np.float64) for name, part in problem.phi.items()}
    trace, state = problem.trace.astype(np.float64), problem.state.astype(np.float64)
    _, _, tape = _forward(phi, trace, state, np.zeros(problem.n))
    dphi = {name: np.zeros(shape) for name, shape in SHAPES}
    dh = [np.zeros((HIDDEN, problem.n)) for _ in range(LAYERS)]
    dc = [np.zeros((HIDDEN, problem.n)) for _ in range(LAYERS)]
    adjoint = np.zeros(problem.n)
    for t in reversed(range(STEPS)):
        layers, top = tape[t]
        adjoint = adjoint + trace[t + 1]
        du = OUTPUT_SCALE * adjoint
        dphi["out_weight"] += top @ du
        dphi["out_bias"] += du.sum()
        dx = phi["out_weight"][:, None] * du
        for k in reversed(range(LAYERS)):
            x, h, c, i, f, g, o, tanh_c = layers[k]
            dh_total = dh[k] + dx
            dc_total = dc[k] + dh_total * o * (1 - tanh_c**2)
            dz = np.concatenate(
                [
                    dc_total * g * i * (1 - i),
                    dc_total * c * f * (1 - f),
                    dc_total * i * (1 - g**2),
                    dh_total * tanh_c * o * (1 - o),
                ]
            )
            dphi[f"weight_ih_{k + 1}"] += dz @ x.T
            dphi[f"weight_hh_{k + 1}"] += dz @ h.T
            dphi[f"bias_{k + 1}"] += dz.sum(axis=1)
            dx = phi[f"weight_ih_{k + 1}"].T @ dz
            dh[k] = phi[f"weight_hh_{k + 1}"].T @ dz
            dc[k] = dc_total * f
    return np.concatenate([dphi[name].ravel() for name, _ in SHAPES])
