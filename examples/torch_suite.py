#!/usr/bin/env python3
"""Compares a learned optimizer on six PyTorch networks with Adam and SGD at tuned rates.

    python3 examples/torch_suite.py models/mnist.safetensors

The learned rule has the same settings everywhere. Adam has six learning rates, SGD with momentum
0.9 five, each with two schedules, and every row takes the best of all, the result of a user who
tries them. The networks have PyTorch's default inits; the data are synthetic, or the images are
MNIST's with --data DIR. A final loss is the mean over the last 20 minibatches and over the seeds;
all optimizers start from the same parameters and see the same minibatches. Takes about six minutes
on two idle cores; --quick checks in seconds that everything runs, and says nothing about the rule.
"""

import argparse
import json
import math
import multiprocessing
import sys
from functools import partial
from pathlib import Path
from statistics import fmean, geometric_mean

import torch
from torch import nn
from torch_mnist import mnist

from l2o.torch import LearnedOptimizer

CLASSES, LETTERS, CONTEXT = 10, 27, 32
BASELINES = {
    "Adam": (torch.optim.Adam, [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2]),
    "SGD": (partial(torch.optim.SGD, momentum=0.9), [3e-3, 1e-2, 3e-2, 1e-1, 3e-1]),
}
# The learned rule is compared with the best baseline of each group: title, membership.
GROUPS = {
    "constant": ("best at a constant rate", lambda name, rate, schedule: schedule == "constant"),
    "either": ("best, constant or cosine", lambda name, rate, schedule: True),
    "default": ("Adam at 1e-3", lambda name, rate, schedule: (name, rate) == ("Adam", 1e-3)),
}
DATA = {}  # of a worker process: images [n, 1, side, side], labels [n], text [letters]


def synthetic_images(rows=8192, side=16):
    """Smooth patterns, three per class, shifted, each under part of another and noise."""
    patterns = torch.randn(1, 3 * CLASSES, 6, 6)
    patterns = nn.functional.interpolate(patterns, side + 6, mode="bicubic")[0]

    def draw(which):
        row, column = torch.randint(7, (2, rows, 1)) + torch.arange(side)
        return patterns[which[:, None, None], row[:, :, None], column[:, None, :]]

    which = torch.randint(3 * CLASSES, (rows,))
    other = torch.rand(rows, 1, 1) * draw(torch.randint(3 * CLASSES, (rows,)))
    images = torch.sigmoid(2 * (draw(which) + 0.7 * other + 0.5 * torch.randn(rows, side, side)))
    return images[:, None], which % CLASSES


def synthetic_text(words=30_000):
    """Letters 1 .. 26, and 0 between words; some words are frequent and some follow others."""
    vocabulary = [torch.randint(1, LETTERS, (n,)).tolist() for n in torch.randint(2, 8, (50,))]
    followers = torch.randint(50, (50, 6)).tolist()
    choices = torch.multinomial(torch.tensor([0.4, 0.25, 0.15, 0.1, 0.06, 0.04]), words, True)
    text, word = [], 0
    for choice in choices.tolist():
        text += vocabulary[word] + [0]
        word = followers[word][choice]
    return torch.tensor(text)


def dense(sizes, activation, last=nn.Identity):
    layers = [nn.Flatten()]
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1], last())


def autoencoder(side):
    return dense([side**2, 48, 12, 48, side**2], nn.ELU, last=nn.Sigmoid)


def batch_norm_convolutions(side):
    def block(i, o):
        return nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2)

    return nn.Sequential(*block(1, 8), *block(8, 16), nn.Flatten(), nn.Linear(side**2, CLASSES))


class Recurrent(nn.LSTM):
    def forward(self, inputs):
        return super().forward(inputs)[0]


def recurrent(width=48):
    body = Recurrent(16, width, batch_first=True)
    return nn.Sequential(nn.Embedding(LETTERS, 16), body, nn.Linear(width, LETTERS))


class Transformer(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.letters = nn.Embedding(LETTERS, width)
        self.places = nn.Embedding(CONTEXT, width)
        self.block = nn.TransformerEncoderLayer(
            width, nhead=2, dim_feedforward=64, dropout=0, batch_first=True, norm_first=True
        )
        self.output = nn.Linear(width, LETTERS)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, text):
        inputs = self.letters(text) + self.places.weight
        return self.output(self.block(inputs, src_mask=self.mask, is_causal=True))


def classification(network, generator):
    rows = torch.randint(len(DATA["images"]), (64,), generator=generator)
    return nn.functional.cross_entropy(network(DATA["images"][rows]), DATA["labels"][rows])


def reconstruction(network, generator):
    images = DATA["images"][torch.randint(len(DATA["images"]), (64,), generator=generator)]
    return nn.functional.mse_loss(network(images), images.flatten(1))


def prediction(network, generator):
    starts = torch.randint(len(DATA["text"]) - CONTEXT, (16, 1), generator=generator)
    text = DATA["text"][starts + torch.arange(CONTEXT + 1)]
    return nn.functional.cross_entropy(network(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())


# name: (network for images of side x side, loss)
TASKS = {
    "ReLU MLP": (lambda side: dense([side**2, 64, CLASSES], nn.ReLU), classification),
    "deep tanh MLP": (lambda side: dense([side**2, *6 * [32], CLASSES], nn.Tanh), classification),
    "conv batch norm": (batch_norm_convolutions, classification),
    "autoencoder": (autoencoder, reconstruction),
    "LSTM on text": (lambda side: recurrent(), prediction),
    "transformer": (lambda side: Transformer(), prediction),
}


def start_worker(data, threads):
    DATA.update({name: torch.from_numpy(values) for name, values in data.items()})
    torch.set_num_threads(threads)


def loss_curve(task, seed, contestant, steps, model, threads):
    name, rate, schedule = contestant
    make_network, loss_of = TASKS[task]
    torch.manual_seed(seed)
    network = make_network(DATA["images"].shape[-1])
    if name == "learned":
        optimizer = LearnedOptimizer(network.parameters(), model, lr=rate, threads=threads)
    else:
        optimizer = BASELINES[name][0](network.parameters(), lr=rate)
    scheduler = None
    if schedule == "cosine":
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps + 1):
        loss = loss_of(network, generator)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return losses


def final_losses(job, horizons, model, threads):
    """Returns the final loss of a (task, seed, contestant) at each horizon; inf if it diverged."""
    _, _, (_, _, schedule) = job
    if schedule == "constant":  # a short run is the beginning of a long one
        curve = loss_curve(*job, horizons[-1], model, threads)
        curves = [curve[: steps + 1] for steps in horizons]
    else:
        curves = [loss_curve(*job, steps, model, threads) for steps in horizons]
    losses = (fmean(curve[-20:]) for curve in curves)
    return [loss if math.isfinite(loss) else math.inf for loss in losses]


def at_edge(contestant, contestants):
    """Whether the rate is the lowest or the highest that was tried with its optimizer."""
    name, rate, _ = contestant
    rates = [other_rate for other, other_rate, _ in contestants if other == name]
    return rate in (min(rates), max(rates))


def table_row(task, steps, means):
    """Maps mean losses by contestant to the learned loss and the best baseline of each group."""
    (learned,) = (loss for (name, _, _), loss in means.items() if name == "learned")
    row = {"task": task, "steps": steps, "learned": learned}
    for group, (_, belongs) in GROUPS.items():
        members = [contestant for contestant in means if contestant[0] != "learned"]
        members = [contestant for contestant in members if belongs(*contestant)]
        name, rate, schedule = best = min(members, key=means.get)
        row[group] = {
            "optimizer": name,
            "rate": rate,
            "schedule": schedule,
            "loss": means[best],
            "ratio": learned / means[best],
            "at_edge": at_edge(best, means),
        }
    return row


def print_table(rows, schedule):
    titles = "".join(f"  {title:34}" for title, _ in GROUPS.values())
    print(f"\n{str(rows[0]['steps']) + ' steps':15}  {'learned, ' + schedule:17}{titles.rstrip()}")
    for row in rows:
        print(f"{row['task']:15} {row['learned']:17.4f}", end=" ")
        for best in map(row.get, GROUPS):
            baseline = f"{best['optimizer']} {best['rate']:.0e}{'*' if best['at_edge'] else ''}"
            baseline += f" {best['schedule']}"
            print(f"  {best['loss']:.4f} {baseline:20} {best['ratio']:6.2f}", end="")
        print()
    for summary, combine in (("geometric mean", geometric_mean), ("worst", max)):
        ratios = (combine([row[group]["ratio"] for row in rows]) for group in GROUPS)
        print(f"{summary:36}" + "  ".join(f"{ratio:34.2f}" for ratio in ratios))


def json_value(value):
    """The value for JSON, which has no infinities and NaNs: null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: json_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(each) for each in value]
    return value


def write_report(path, report):
    path.write_text(json.dumps(json_value(report), indent=1, allow_nan=False))


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model file")
    parser.add_argument(
        "--schedule",
        choices=["constant", "cosine"],
        default="constant",
        help="of the learned rule",
    )
    parser.add_argument("--data", help="directory of MNIST's files; default: synthetic images")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--jobs", type=int, default=multiprocessing.cpu_count(), help="parallel trainings"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads per training")
    parser.add_argument(
        "--quick", action="store_true", help="take only a few steps, to check that everything runs"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE; null: diverged")
    return parser.parse_args()


def main():
    options = parsed_options()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images, labels = mnist(options.data) if options.data else synthetic_images()
    side = math.isqrt(images[0].numel())
    images = images.reshape(-1, 1, side, side)
    data = {"images": images, "labels": labels, "text": synthetic_text()}
    # As arrays: tensors would reach the workers through shared memory, which containers limit.
    data = {name: tensor.numpy() for name, tensor in data.items()}

    horizons = [10, 40] if options.quick else [100, 1000]
    seeds = range(1, 1 + (1 if options.quick else options.seeds))
    contestants = [("learned", 1.0, options.schedule)]
    for name, (_, rates) in BASELINES.items():
        for rate in [1e-3, 1e-2] if options.quick else rates:
            contestants += [(name, rate, schedule) for schedule in ("constant", "cosine")]
    jobs = [(task, seed, each) for task in TASKS for each in contestants for seed in seeds]
    work = partial(final_losses, horizons=horizons, model=options.model, threads=options.threads)
    losses = {}  # by job: at each horizon
    # Not fork: the threads of this process's tensor operations do not survive it.
    workers = multiprocessing.get_context("spawn").Pool(
        options.jobs, initializer=start_worker, initargs=(data, options.threads)
    )
    with workers:
        for job, result in zip(jobs, workers.imap(work, jobs)):
            losses[job] = result
            print(f"{len(losses)} of {len(jobs)} trainings", end="\r", file=sys.stderr, flush=True)

    report = {**vars(options), "rows": []}
    for k, steps in enumerate(horizons):
        rows = []
        for task in TASKS:
            means = {
                contestant: fmean(losses[task, seed, contestant][k] for seed in seeds)
                for contestant in contestants
            }
            rows.append(table_row(task, steps, means))
        print_table(rows, options.schedule)
        report["rows"] += rows
    print("\n* at the edge of its rates: a better one may lie beyond")
    if options.json:
        report["final_losses"] = [[*job[:2], *job[2], *result] for job, result in losses.items()]
        write_report(Path(options.json), report)


if __name__ == "__main__":
    main()
