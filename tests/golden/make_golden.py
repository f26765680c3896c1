#!/usr/bin/env python3
"""Golden values of the learned rule, computed by PyTorch in float64: nn.LSTM, nn.Linear and autograd.

    python3 tests/golden/make_golden.py > tests/golden/lstm.txt

Weights, gradients and states are numbers that golden_test.cpp generates with the same formula, exact
in float32, so that the file contains only results. Per case: the shape, then theta [T+1, N], the final
state [N, S] and the meta-gradient [P], in the order of host/optimizer/optimizer.h.
"""

import math

import torch

COORDINATES, STEPS = 3, 5
# hidden, layers, preprocessing, p, output scale
CASES = [
    (20, 2, "log_and_sign", 10.0, 0.125),
    (4, 1, "identity", 10.0, 1.0),
    (5, 2, "identity", 10.0, 0.5),
    (8, 3, "log_and_sign", 5.0, 0.125),
]
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


def preprocess(gradient, kind, p):
    if kind == "identity":
        return gradient.unsqueeze(-1)
    large = gradient.abs() >= math.exp(-p)
    logarithm = torch.where(large, gradient.abs(), torch.ones_like(gradient)).log() / p
    first = torch.where(large, logarithm, -torch.ones_like(gradient))
    second = torch.where(large, gradient.sign(), math.exp(p) * gradient)
    return torch.stack([first, second], dim=-1)


def write(name, values):
    values = values.detach().flatten().tolist()
    print(name, len(values))
    for start in range(0, len(values), 6):
        print(" ".join(f"{value:.13g}" for value in values[start : start + 6]))


def make_case(hidden, layers, kind, p, output_scale):
    inputs = 1 if kind == "identity" else 2
    lstm = torch.nn.LSTM(inputs, hidden, num_layers=layers, dtype=torch.float64)
    linear = torch.nn.Linear(hidden, 1, dtype=torch.float64)
    phi = []  # in the engine's order; bias_hh stays zero
    for layer in range(layers):
        phi += [getattr(lstm, f"{part}_l{layer}") for part in ("weight_ih", "weight_hh", "bias_ih")]
        torch.nn.init.zeros_(getattr(lstm, f"bias_hh_l{layer}"))
    phi += [linear.weight, linear.bias]
    start = 0
    for parameter in phi:
        parameter.data = tensor(WEIGHTS, parameter.shape, 0.5, start)
        start += parameter.numel()

    trace = tensor(TRACE, (STEPS + 1, COORDINATES), 1.0)
    # Three magnitudes of gradients, so that both branches of log_and_sign are taken.
    decades = torch.arange((STEPS + 1) * COORDINATES).reshape(trace.shape) % 3
    trace = trace * 2.0 ** (-8.0 * decades)
    loss_weights = tensor(LOSS_WEIGHTS, (STEPS + 1,), 1.0).abs()
    theta_0 = tensor(THETA, (COORDINATES,), 1.0)
    # [coordinate][layer][h, c][unit] -> [layer, coordinate, unit]
    state = tensor(STATE, (COORDINATES, layers, 2, hidden), 0.5).permute(2, 1, 0, 3).contiguous()

    outputs, (h, c) = lstm(preprocess(trace[:STEPS], kind, p), (state[0], state[1]))
    updates = output_scale * linear(outputs).squeeze(-1)
    theta = torch.cat([theta_0.unsqueeze(0), theta_0 + updates.cumsum(0)])
    # The gradients are constants, so the derivative of this is the meta-gradient.
    (loss_weights.unsqueeze(1) * trace * theta).sum().backward()

    print("case", hidden, layers, kind, p, output_scale, COORDINATES, STEPS)
    write("theta", theta)
    write("state", torch.stack([h, c], dim=1).permute(2, 0, 1, 3))
    write("meta_gradient", torch.cat([parameter.grad.flatten() for parameter in phi]))


for case in CASES:
    make_case(*case)
