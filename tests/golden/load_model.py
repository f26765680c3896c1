#!/usr/bin/env python3
"""Proves that PyTorch's own modules load a model file by name and give the same updates.

    python3 tests/golden/load_model.py [MODEL.safetensors UPDATES.txt]...

UPDATES.txt has one line "gradient update" per step of one coordinate that starts with a zero state.
Exit code 0: equal; 1: not; 77: PyTorch or safetensors is not installed.
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
    inputs = 1 if metadata["preprocessing"] == "identity" else 2
    hidden, layers = int(metadata["hidden"]), int(metadata["layers"])
    modules = torch.nn.ModuleDict(
        {"lstm": torch.nn.LSTM(inputs, hidden, num_layers=layers), "linear": torch.nn.Linear(hidden, 1)}
    )
    modules.load_state_dict(tensors, strict=True)
    return metadata, modules


def preprocess(gradient, metadata):
    if metadata["preprocessing"] == "identity":
        return [gradient]
    p = float(metadata["p"])
    if abs(gradient) >= math.exp(-p):
        return [math.log(abs(gradient)) / p, math.copysign(1.0, gradient)]
    return [-1.0, math.exp(p) * gradient]


def updates_agree(model, updates):
    metadata, modules = load(model)
    with open(updates) as file:
        steps = [tuple(map(float, line.split())) for line in file]
    inputs = torch.tensor([[preprocess(gradient, metadata)] for gradient, _ in steps])
    with torch.no_grad():
        outputs, _ = modules["lstm"](inputs)
        ours = torch.tensor([update for _, update in steps])
        theirs = float(metadata["output_scale"]) * modules["linear"](outputs).flatten()
    worst = (ours - theirs).abs().max().item() / theirs.abs().max().item()
    print(f"{model}: {len(steps)} updates, largest difference {worst:.1e} of the largest update")
    return len(steps) > 0 and worst < 1e-5


def main(*files):
    pairs = list(zip(files[::2], files[1::2]))
    agreed = [updates_agree(model, updates) for model, updates in pairs]
    return 0 if agreed and all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
