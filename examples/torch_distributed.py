#!/usr/bin/env python3
"""Meta-trains an optimizer in several processes that communicate through torch.distributed.

    torchrun --nproc-per-node 2 examples/torch_distributed.py --out rule.safetensors

The tasks of an episode are divided into 4 shards: 1, 2 or 4 processes produce the same bits.
"""
import argparse
import hashlib

import l2o
import torch
import torch.distributed as dist

SHARDS, TASKS, SIZE, UNROLL, UNROLLS = 4, 2, 32, 10, 3  # TASKS per shard, with SIZE coordinates each

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--out", required=True, help="output file for the trained rule")
parser.add_argument("--episodes", type=int, default=50)
arguments = parser.parse_args()

dist.init_process_group("gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
if SHARDS % ranks:
    raise SystemExit(f"{ranks} processes cannot share {SHARDS} shards equally")
mine = range(rank * SHARDS // ranks, (rank + 1) * SHARDS // ranks)

config = {"layers": 1, "hidden": 8, "preprocessing": "adam_moments", "output": "modulated", "seed": 1}
optimizer = l2o.Optimizer(config)  # identical in every process, and stays so: all apply the same gradients


class Shard:
    """The tasks of a shard, drawn by number: the mean over them of sum s (theta - target)^2."""

    def __init__(self, episode, shard):
        generator = torch.Generator().manual_seed(SHARDS * episode + shard)
        self.target = torch.randn(TASKS * SIZE, generator=generator)
        self.slope = 0.1 + 2 * torch.rand(TASKS * SIZE, generator=generator)
        self.theta = torch.zeros(TASKS * SIZE)
        self.run = l2o.Run(optimizer, TASKS * SIZE)

    def gradient(self):
        return 2 * self.slope * (self.theta - self.target) / TASKS

    def loss(self):
        return float((self.slope * (self.theta - self.target) ** 2).sum() / TASKS)

    def unroll(self):
        """Takes the steps and returns the meta-gradient of the shard."""
        start = self.run.get_state()
        trace = [self.gradient()]
        for _ in range(UNROLL):
            self.run.step(trace[-1], self.theta)
            trace.append(self.gradient())
        return torch.tensor(l2o.meta_gradient(optimizer, torch.stack(trace), None, start))

    def take_over(self):
        """Continues with the current optimizer."""
        state = self.run.get_state()
        self.run.reset()
        self.run.set_state(state)


def sum_in_order(gradients):
    """Sums over all shards in the order of their numbers, in double; the order of all_reduce is unspecified."""
    rows = torch.stack(gradients).double()
    gathered = [torch.empty_like(rows) for _ in range(ranks)]
    dist.all_gather(gathered, rows)
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for row in torch.cat(gathered):
        total += row
    return total


for episode in range(arguments.episodes):
    shards = [Shard(episode, number) for number in mine]
    first = sum(shard.loss() for shard in shards)
    for _ in range(UNROLLS):
        total = sum_in_order([shard.unroll() for shard in shards])
        optimizer.apply_meta_gradient((total / SHARDS).float(), learning_rate=3e-3)
        for shard in shards:
            shard.take_over()
    last = sum(shard.loss() for shard in shards)
    if rank == 0 and episode % 10 == 9:
        print(f"episode {episode + 1}: loss of the tasks of rank 0 {first:.4f} -> {last:.4f}")

if rank == 0:
    optimizer.save(arguments.out)
    phi = torch.tensor(optimizer.get_meta_parameters())
    print("meta-parameters", hashlib.sha256(phi.numpy().tobytes()).hexdigest()[:16])
dist.destroy_process_group()
