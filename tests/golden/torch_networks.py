#!/usr/bin/env python3
"""The networks of tests/optimizee/torch_networks_test.cpp in PyTorch, written by hand.

    python3 tests/golden/torch_networks.py DATA_DIRECTORY NETWORK.trace...

A trace holds theta_0, the draws of every minibatch's rows and the losses of 20 steps of Adam. The same
theta_0, minibatches and steps must give the same losses here. Exit code 0: equal; 1: different; 77:
PyTorch or numpy is not installed.
"""

import json
import os
import struct
import sys

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    print(error)
    sys.exit(77)

TOLERANCE = 1e-4  # relative to the loss
TYPES = {"U8": np.uint8, "F32": np.float32}


def read(path):
    """Reads the tensors of a safetensors file as numpy arrays."""
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*entry["data_offsets"])], TYPES[entry["dtype"]])
        .reshape(entry["shape"])
        .copy()
        for name, entry in header.items()
    }


class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x):
        return self.block(x) + x


class SamePadding(nn.Module):
    """(K - 1) // 2 zeros above and to the left; K // 2 below and to the right."""

    def __init__(self, kernel):
        super().__init__()
        self.before, self.after = (kernel - 1) // 2, kernel // 2

    def forward(self, x):
        return F.pad(x, (self.before, self.after, self.before, self.after))


class ImageLayerNorm(nn.Module):
    """nn.LayerNorm over channels, height and width."""

    def __init__(self, *shape):
        super().__init__()
        self.norm = nn.LayerNorm(shape)

    def forward(self, x):
        return self.norm(x)


def deep_tanh():
    layers = []
    for inputs in (20, 30, 30, 30):
        layers += [nn.Linear(inputs, 30), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(30, 65))


def batch_norm_pooled():
    def block(channels):
        return [
            nn.Conv2d(channels, 8, 5, padding=2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]

    dense = [nn.Linear(8 * 9, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 5)]
    return nn.Sequential(*block(3), *block(8), nn.Flatten(), *dense)


def residual():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        Residual(
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
        ),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


MODELS = {
    "softmax_regression_65": lambda: nn.Linear(20, 65),
    "sigmoid_mlp": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(196, 20), nn.Sigmoid(), nn.Linear(20, 10)
    ),
    "deep_tanh": deep_tanh,
    "regression": lambda: nn.Sequential(nn.Linear(9, 16), nn.Softplus(), nn.Linear(16, 4)),
    "autoencoder": lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear(196, 24),
        nn.ELU(),
        nn.Linear(24, 8),
        nn.ELU(),
        nn.Linear(8, 24),
        nn.ReLU(),
        nn.Linear(24, 196),
    ),
    "valid_convolutions": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 5),
    ),
    "batch_norm_pooled": batch_norm_pooled,
    "residual": residual,
    "layer_norm_gelu": lambda: nn.Sequential(
        nn.Linear(20, 32), nn.LayerNorm(32), nn.GELU(), nn.Linear(32, 16), nn.GELU(), nn.Linear(16, 65)
    ),
    "one_row": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1),
        ImageLayerNorm(4, 7, 7),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(196, 10),
        nn.Tanh(),
        nn.Linear(10, 10),
    ),
    "class_pair": lambda: nn.Sequential(nn.Flatten(), nn.Linear(196, 12), nn.ReLU(), nn.Linear(12, 2)),
    "grey_images": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 36, 5)
    ),
    "overlapping_pools": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.AvgPool2d(2, stride=1),
        nn.Flatten(),
        nn.Linear(6 * 16, 5),
    ),
    "small_standardised": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 36, 9), nn.Sigmoid(), nn.Linear(9, 5)
    ),
    "weight_decay": lambda: nn.Sequential(
        nn.Linear(9, 16), nn.ReLU(), Residual(nn.Linear(16, 16), nn.GELU()), nn.Linear(16, 4)
    ),
    "even_kernel": lambda: nn.Sequential(
        SamePadding(4),
        nn.Conv2d(3, 6, 4, stride=2),
        nn.Softplus(),
        SamePadding(2),
        nn.Conv2d(6, 6, 2),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(6 * 36, 5),
    ),
}

FILES = {
    "sigmoid_mlp": "grey",
    "autoencoder": "grey",
    "one_row": "grey",
    "class_pair": "grey",
    "regression": "targets",
    "weight_decay": "targets",
    "softmax_regression_65": "classes",
    "deep_tanh": "classes",
    "layer_norm_gelu": "classes",
}


def data_of(name, directory):
    """Inputs (images as [n, channels, height, width] in [0, 1]), and labels or targets."""
    file = read(os.path.join(directory, FILES.get(name, "colour") + ".safetensors"))
    inputs, labels = file["inputs"], file.get("labels", file.get("targets"))
    if name == "class_pair":
        kept = np.isin(labels, (7, 3))
        inputs, labels = inputs[kept], np.where(labels[kept] == 7, 0, 1)
    if name == "grey_images":
        inputs = np.floor(inputs @ np.array([0.299, 0.587, 0.114]) + 0.5)[..., None]
    if name == "small_standardised":
        inputs = np.floor(inputs.reshape(-1, 6, 2, 6, 2, 3).mean((2, 4)) + 0.5)
    if file["inputs"].dtype == np.uint8:
        inputs = inputs / 255.0
    if name == "small_standardised":
        inputs = (inputs - inputs.mean((0, 1, 2))) / inputs.std((0, 1, 2))
    inputs = torch.tensor(inputs, dtype=torch.float32)
    if inputs.ndim == 3:
        inputs = inputs[:, None]
    elif inputs.ndim == 4:
        inputs = inputs.permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(labels)
    return inputs, labels if labels.is_floating_point() else labels.long()


def load(model, trace):
    """Loads theta_0 into the model's layers, which have the same order. Images are channels-last in l2o."""
    names = [name for name in trace if name not in ("rows", "losses")]
    used = set()

    def take(kind, number, part):
        used.add(f"{kind}{number}.{part}")
        return torch.tensor(trace[f"{kind}{number}.{part}"])

    counts = {}
    shape = None  # of the image that reaches a dense layer: channels, height, width
    modules = [m for m in model.modules() if not list(m.children())]
    hooks = []
    image = {}
    for module in modules:
        if isinstance(module, nn.Flatten):
            hooks.append(module.register_forward_hook(lambda m, x, y: image.update({m: x[0].shape})))
    model.eval()
    with torch.no_grad():
        model(load.example)
    model.train()
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        for module in modules:
            if isinstance(module, nn.Flatten):
                shape = image[module][1:]
            kind = {
                nn.Linear: "dense",
                nn.Conv2d: "conv",
                nn.BatchNorm1d: "batch_norm",
                nn.BatchNorm2d: "batch_norm",
                nn.LayerNorm: "layer_norm",
            }.get(type(module))
            if kind is None:
                continue
            number = counts.get(kind, 0)
            counts[kind] = number + 1
            if kind == "dense":
                weight = take(kind, number, "weight").T
                if shape is not None and len(shape) == 3:
                    channels, height, width = shape
                    weight = weight.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
                    weight = weight.reshape(weight.shape[0], -1)
                shape = None
                module.weight.copy_(weight)
                module.bias.copy_(take(kind, number, "bias"))
            elif kind == "conv":
                module.weight.copy_(take(kind, number, "weight").permute(3, 2, 0, 1))
                module.bias.copy_(take(kind, number, "bias"))
            else:
                scale, shift = take(kind, number, "scale"), take(kind, number, "shift")
                if scale.ndim == 3:
                    scale, shift = scale.permute(2, 0, 1), shift.permute(2, 0, 1)
                module.weight.copy_(scale)
                module.bias.copy_(shift)
    return used == set(names)


def losses_of(name, directory, trace):
    inputs, labels = data_of(name, directory)
    torch.manual_seed(0)
    model = MODELS[name]()
    load.example = inputs[:2]
    if not load(model, trace):
        print(f"{name}: the parameters differ")
        return None
    if name == "autoencoder":  # its output is a row of single-channel pixels, so the order is the same
        labels = inputs.flatten(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for draws in trace["rows"]:
        rows = torch.tensor(np.floor(draws.astype(np.float64) * len(inputs)).astype(np.int64))
        output, wanted = model(inputs[rows]), labels[rows]
        loss = F.mse_loss(output, wanted) if wanted.is_floating_point() else F.cross_entropy(output, wanted)
        if name == "weight_decay":
            loss = loss + 0.5 * 0.01 * sum((p**2).sum() for p in model.parameters())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return np.array(losses)


def main(directory, *traces):
    torch.set_num_threads(1)
    agreed = len(traces) == len(MODELS)
    for path in traces:
        name = os.path.basename(path).removesuffix(".trace")
        trace = read(path)
        theirs = losses_of(name, directory, trace)
        worst = np.inf if theirs is None else np.max(np.abs(trace["losses"] / theirs - 1.0))
        print(f"{name}: largest difference {worst:.1e} of the loss")
        agreed = agreed and worst < TOLERANCE
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
