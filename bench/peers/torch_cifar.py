#!/usr/bin/env python3
"""The paper's network on CIFAR-10, forward and backward, in eager PyTorch and here: one run, in turn.

    python3 bench/peers/torch_cifar.py [--bench build/bin/l2o_bench] [--threads 2] [--rounds 5]

Three times [5 x 5 convolution to 16 channels, batch norm, ReLU, 2 x 2 max pooling], a dense layer of 32
with batch norm and ReLU, ten classes; batch 128. PyTorch in its default memory format and with
channels last; both without drawing the minibatch, which l2o's figure includes. Prints the median of
the rounds, each the fastest of several repetitions, in milliseconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch
from torch import nn


def network():
    def block(channels):
        return [nn.Conv2d(channels, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]

    dense = [nn.Linear(256, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)]
    return nn.Sequential(*block(3), *block(16), *block(16), nn.Flatten(), *dense)


class Torch:
    def __init__(self, memory_format):
        self.network = network().to(memory_format=memory_format)
        self.x = torch.rand(128, 3, 32, 32).contiguous(memory_format=memory_format)
        self.labels = torch.randint(0, 10, (128,))

    def milliseconds(self, repetitions=20):
        best = float("inf")
        for _ in range(repetitions):
            start = time.perf_counter()
            for parameter in self.network.parameters():
                parameter.grad = None
            nn.functional.cross_entropy(self.network(self.x), self.labels).backward()
            best = min(best, time.perf_counter() - start)
        return 1e3 * best


def ours(bench, threads, repetitions=8):
    command = [
        bench,
        "--l2o_device=cpu",
        f"--l2o_threads={threads}",
        "--benchmark_filter=optimizee/cifar10/tasks:1/",
        f"--benchmark_repetitions={repetitions}",
        "--benchmark_format=json",
    ]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    times = [
        row["real_time"] * {"ns": 1e-6, "us": 1e-3, "ms": 1.0}[row["time_unit"]]
        for row in report["benchmarks"]
        if row["run_type"] == "iteration"
    ]
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bench", default="build/bin/l2o_bench")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    contestants = {
        "l2o": lambda: ours(arguments.bench, arguments.threads),
        "torch": Torch(torch.contiguous_format).milliseconds,
        "torch channels last": Torch(torch.channels_last).milliseconds,
    }
    times = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, measure in contestants.items():
            times[name].append(measure())
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:20} {median:7.2f} ms   l2o is {median / medians['l2o']:.2f} times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
