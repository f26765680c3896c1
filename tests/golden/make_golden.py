#!/usr/bin/env python3
"""Golden values of the learned rule, computed by PyTorch in float64: nn.LSTM, nn.Linear and autograd.

    python3 tests/golden/make_golden.py > tests/golden/lstm.txt

Weights, gradients and states are numbers that golden_test.cpp generates with the same formulas, so
that the file contains only results. Per case: a line with the fields of CASES and the sizes, then
theta [T+1, N], the final state [N, S] and the meta-gradient [P], in the order of
host/optimizer/optimizer.h. The rule is computed from docs/math.md, section 2.
"""

import math

import torch

COORDINATES, STEPS = 3, 5
EPSILON = 1e-8
# hidden, layers, preprocessing, p, output, output scale, weight scale
CASES = [
    (20, 2, "log_and_sign", 10.0, "linear", 0.125, 0.5),
    (4, 1, "identity", 10.0, "linear", 1.0, 0.5),
    (5, 2, "identity", 10.0, "linear", 0.5, 0.5),
    (8, 3, "log_and_sign", 5.0, "linear", 0.125, 0.5),
    (4, 1, "moments", 10.0, "linear", 0.5, 0.5),
    (4, 2, "adam_moments", 10.0, "linear", 0.5, 0.5),
    (5, 1, "log_and_sign", 10.0, "tanh", 0.5, 0.5),
    (6, 1, "moments", 10.0, "tanh", 0.25, 0.5),
    (5, 2, "adam_moments", 10.0, "modulated", 0.125, 0.5),
    (10, 1, "adam_moments", 10.0, "modulated", 0.0625, 8.0),  # clips o_0 on both sides
]
INPUTS = {"identity": 1, "log_and_sign": 2, "moments": 2, "adam_moments": 4}
WEIGHTS, TRACE, STATE, THETA, LOSS_WEIGHTS = range(5)


def synthetic(stream, index):
    """A 16-bit number in [-1, 1) without a visible pattern."""
    bits = (index * 2654435761 + stream * 40503 + 12345) & 0xFFFFFFFF
    bits = ((bits ^ (bits >> 15)) * 2246822519) & 0xFFFFFFFF
    bits ^= bits >> 13
    return (bits >> 16) / 32768.0 - 1.0


def tensor(stream, shape, scale, start=0):
    count = math.prod(shape)
    values = [scale * synthetic(stream, start + i) for i in range(count)]
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def log_and_sign(gradient, p):
    large = gradient.abs() >= math.exp(-p)
    logarithm = torch.where(large, gradient.abs(), torch.ones_like(gradient)).log() / p
    first = torch.where(large, logarithm, -torch.ones_like(gradient))
    second = torch.where(large, gradient.sign(), math.exp(p) * gradient)
    return torch.stack([first, second], dim=-1)


def start_moments(kind, raw):
    """Turns raw numbers [N, 3 or 5] into moments and an age that gradients can produce."""
    if kind == "moments":
        m, v, age = raw.unbind(-1)
        return [m, m**2 + v**2, (60 * age.abs()).floor()]
    m, v, slow_m, slow_v, age = raw.unbind(-1)
    return [m, m**2 + v**2, slow_m, m**2 + slow_m**2 + slow_v**2, (60 * age.abs()).floor()]


def average(decay, before, value):
    return decay * before + (1 - decay) * value


def inverse_root(decay, second_moment, age):
    return 1 / ((second_moment / (1 - decay**age)).sqrt() + EPSILON)


def moments(gradient, state):
    """Returns the inputs for a gradient [N] and the new state."""
    m, v, age = state
    m, v, age = average(0.95, m, gradient), average(0.95, v, gradient**2), age + 1
    r = inverse_root(0.95, v, age)
    return torch.stack([m / (1 - 0.95**age) * r, gradient * r], dim=-1), [m, v, age]


def adam_moments(gradient, state):
    """Also returns Adam's direction [N]."""
    m, v, slow_m, slow_v, age = state
    m, v, age = average(0.9, m, gradient), average(0.95, v, gradient**2), age + 1
    slow_m, slow_v = average(0.99, slow_m, gradient), average(0.999, slow_v, gradient**2)
    fast, slow = inverse_root(0.95, v, age), inverse_root(0.999, slow_v, age)
    corrected = m / (1 - 0.9**age)
    inputs = [corrected * fast, gradient * fast, 3 * slow_m * slow, 0.3 * (fast / slow).log()]
    return torch.stack(inputs, dim=-1), corrected * slow, [m, v, slow_m, slow_v, age]


def preprocess(kind, p, gradients, state):
    """Returns the inputs [T, N, inputs], Adam's directions [T, N] or None, and the new state."""
    if kind == "identity":
        return gradients.unsqueeze(-1), None, state
    if kind == "log_and_sign":
        return log_and_sign(gradients, p), None, state
    inputs, directions = [], []
    for gradient in gradients:
        if kind == "moments":
            row, state = moments(gradient, state)
        else:
            row, direction, state = adam_moments(gradient, state)
            directions.append(direction)
        inputs.append(row)
    return torch.stack(inputs), torch.stack(directions) if directions else None, state


def update(kind, scale, outputs, directions):
    """The update [T, N] from the linear layer's outputs [T, N, 1 or 2]."""
    if kind == "linear":
        return scale * outputs[..., 0]
    if kind == "tanh":
        return scale * outputs[..., 0].tanh()
    factors = outputs[..., 0].clamp(-6, 3).exp()
    return -scale * (factors * directions + outputs[..., 1].tanh())


def write(name, values):
    values = values.detach().flatten().tolist()
    print(name, len(values))
    for start in range(0, len(values), 6):
        print(" ".join(f"{value:.13g}" for value in values[start : start + 6]))


def make_case(hidden, layers, kind, p, output, output_scale, weight_scale):
    lstm = torch.nn.LSTM(INPUTS[kind], hidden, num_layers=layers, dtype=torch.float64)
    linear = torch.nn.Linear(hidden, 2 if output == "modulated" else 1, dtype=torch.float64)
    phi = []  # in the engine's order; bias_hh stays zero
    for layer in range(layers):
        phi += [getattr(lstm, f"{part}_l{layer}") for part in ("weight_ih", "weight_hh", "bias_ih")]
        torch.nn.init.zeros_(getattr(lstm, f"bias_hh_l{layer}"))
    phi += [linear.weight, linear.bias]
    start = 0
    for parameter in phi:
        parameter.data = tensor(WEIGHTS, parameter.shape, weight_scale, start)
        start += parameter.numel()

    trace = tensor(TRACE, (STEPS + 1, COORDINATES), 1.0)
    # Three magnitudes of gradients, so that both branches of log_and_sign are taken.
    decades = torch.arange((STEPS + 1) * COORDINATES).reshape(trace.shape) % 3
    trace = trace * 2.0 ** (-8.0 * decades)
    loss_weights = tensor(LOSS_WEIGHTS, (STEPS + 1,), 1.0).abs()
    theta_0 = tensor(THETA, (COORDINATES,), 1.0)
    # A coordinate's state: [layer][h, c][unit], then the moments.
    lstm_size = 2 * layers * hidden
    state = tensor(STATE, (COORDINATES, lstm_size + {"moments": 3, "adam_moments": 5}.get(kind, 0)), 0.5)
    own = start_moments(kind, state[:, lstm_size:]) if kind.endswith("moments") else []
    # [coordinate][layer][h, c][unit] -> [h, c][layer, coordinate, unit]
    h, c = state[:, :lstm_size].reshape(COORDINATES, layers, 2, hidden).permute(2, 1, 0, 3).contiguous()

    inputs, directions, own = preprocess(kind, p, trace[:STEPS], own)
    hidden_states, (h, c) = lstm(inputs, (h, c))
    updates = update(output, output_scale, linear(hidden_states), directions)
    theta = torch.cat([theta_0.unsqueeze(0), theta_0 + updates.cumsum(0)])
    # The gradients are constants, so the derivative of this is the meta-gradient.
    (loss_weights.unsqueeze(1) * trace * theta).sum().backward()

    print("case", hidden, layers, kind, p, output, output_scale, weight_scale, COORDINATES, STEPS)
    write("theta", theta)
    lstm_state = torch.stack([h, c], dim=1).permute(2, 0, 1, 3).reshape(COORDINATES, lstm_size)
    write("state", torch.cat([lstm_state, *(values.unsqueeze(-1) for values in own)], dim=1))
    write("meta_gradient", torch.cat([parameter.grad.flatten() for parameter in phi]))


for case in CASES:
    make_case(*case)
