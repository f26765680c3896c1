#!/usr/bin/env python3
"""Trains a small network with a learned optimizer, in PyTorch.

    python3 examples/torch_mnist.py --model models/mnist.safetensors --data DIR

DIR contains MNIST's training images and labels, train-images-idx3-ubyte and train-labels-idx1-ubyte,
plain or .gz. Without --data, synthetic images of the same size are used: noisy copies of ten random
patterns. The network, 784-20-10 with sigmoid units, and the minibatches of 128 images are those for
which models/mnist.safetensors was trained.
"""

import argparse
import gzip
from pathlib import Path

import torch
from torch import nn

from l2o.torch import LearnedOptimizer

SIDE, CLASSES, BATCH = 28, 10, 128
REPORT_EVERY = 10


def read_idx(directory, name):
    """Reads an array of bytes in MNIST's format: two zeros, type, rank, extents, values."""
    path = Path(directory) / name
    data = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
    rank = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return torch.frombuffer(bytearray(data[4 + 4 * rank :]), dtype=torch.uint8).reshape(shape)


def mnist(directory):
    images = read_idx(directory, "train-images-idx3-ubyte").reshape(-1, SIDE * SIDE)
    return images / 255, read_idx(directory, "train-labels-idx1-ubyte").long()


def synthetic_data(rows=4096):
    patterns = torch.rand(CLASSES, SIDE * SIDE)
    labels = torch.randint(CLASSES, (rows,))
    return (patterns[labels] + 0.5 * torch.randn(rows, SIDE * SIDE)).clamp(0, 1), labels


def make_network():
    network = nn.Sequential(nn.Linear(SIDE * SIDE, 20), nn.Sigmoid(), nn.Linear(20, CLASSES))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.01)
    return network


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/mnist.safetensors")
    parser.add_argument("--data", help="directory with MNIST's files; default: synthetic data")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cosine", action="store_true", help="decay the learning rate to 0 along a cosine")
    arguments = parser.parse_args()

    torch.manual_seed(arguments.seed)
    images, labels = mnist(arguments.data) if arguments.data else synthetic_data()
    network = make_network()
    optimizer = LearnedOptimizer(network.parameters(), arguments.model)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, arguments.steps)
    for step in range(arguments.steps + 1):
        batch = torch.randint(len(images), (BATCH,))
        loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
        if step % REPORT_EVERY == 0 or step == arguments.steps:
            print(f"step {step:4}  loss {loss.item():.4f}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if arguments.cosine:
            cosine.step()


if __name__ == "__main__":
    main()
