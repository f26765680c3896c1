#!/usr/bin/env python3
"""Checks that PyTorch's own modules load a model file by name and give the same updates.

    python3 tests/golden/load_model.py [MODEL.safetensors UPDATES.txt]...

UPDATES.txt has one line "gradient update" per step of one coordinate, starting with a zero state.
Exit code 0: equal; 1: different; 77: PyTorch or safetensors is not installed.
"""

import math
import sys

try:
    import torch
    from safetensors import safe_open
except ImportError as error:
    print(error)
    sys.exit(77)


def load(path):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    inputs = {"identity": 1, "log_and_sign": 2, "adam_moments": 4}[metadata["preprocessing"]]
    outputs = 2 if metadata.get("output") == "modulated" else 1
    hidden, layers = int(metadata["hidden"]), int(metadata["layers"])
    modules = torch.nn.ModuleDict(
        {"lstm": torch.nn.LSTM(inputs, hidden, num_layers=layers), "linear": torch.nn.Linear(hidden, outputs)}
    )
    modules.load_state_dict(tensors, strict=True)
    return metadata, modules


def log_and_sign(gradient, p):
    if abs(gradient) >= math.exp(-p):
        return [math.log(abs(gradient)) / p, math.copysign(1.0, gradient)]
    return [-1.0, math.exp(p) * gradient]


def adam_moments(gradients):
    """The inputs of every step, and Adam's directions."""
    inputs, directions = [], []
    m = v = slow_m = slow_v = 0.0
    for age, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
        slow_m, slow_v = 0.99 * slow_m + 0.01 * g, 0.999 * slow_v + 0.001 * g * g
        corrected = m / (1 - 0.9**age)
        fast = math.sqrt(v / (1 - 0.95**age)) + 1e-8
        slow = math.sqrt(slow_v / (1 - 0.999**age)) + 1e-8
        inputs.append([corrected / fast, g / fast, 3 * slow_m / slow, 0.3 * math.log(slow / fast)])
        directions.append(corrected / slow)
    return inputs, directions


def preprocess(gradients, metadata):
    if metadata["preprocessing"] == "adam_moments":
        return adam_moments(gradients)
    if metadata["preprocessing"] == "identity":
        return [[gradient] for gradient in gradients], None
    return [log_and_sign(gradient, float(metadata["p"])) for gradient in gradients], None


def apply_output(outputs, directions, metadata):
    form = metadata.get("output", "linear")
    if form == "linear":
        return outputs[:, 0]
    if form == "tanh":
        return outputs[:, 0].tanh()
    return -(outputs[:, 0].clip(-6, 3).exp() * torch.tensor(directions) + outputs[:, 1].tanh())


def updates_agree(model, updates):
    metadata, modules = load(model)
    with open(updates) as file:
        steps = [tuple(map(float, line.split())) for line in file]
    inputs, directions = preprocess([gradient for gradient, _ in steps], metadata)
    with torch.no_grad():
        hidden, _ = modules["lstm"](torch.tensor(inputs))
        outputs = apply_output(modules["linear"](hidden), directions, metadata)
        ours = torch.tensor([update for _, update in steps])
        theirs = float(metadata["output_scale"]) * outputs
    worst = (ours - theirs).abs().max().item() / theirs.abs().max().item()
    print(f"{model}: {len(steps)} updates, largest difference {worst:.1e} of the largest update")
    return len(steps) > 0 and worst < 1e-5


def main(*files):
    pairs = list(zip(files[::2], files[1::2]))
    agreed = [updates_agree(model, updates) for model, updates in pairs]
    return 0 if agreed and all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
