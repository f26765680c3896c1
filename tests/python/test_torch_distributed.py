"""LearnedOptimizer under torch.distributed: two processes with the gloo backend."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support import synthetic_optimizer
from reference import Rule

try:
    import torch
    import torch.distributed as dist
    import torch.multiprocessing as multiprocessing
    from torch.distributed.checkpoint import load, save
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    from l2o.torch import LearnedOptimizer
except ImportError:
    raise unittest.SkipTest("torch is not installed, or torch.distributed is missing or too old")

EXAMPLE = Path(__file__).parents[2] / "examples" / "torch_distributed.py"
RANKS = 2
STEPS = 4


def network():
    torch.manual_seed(1)
    # 7 and 5 rows do not divide evenly between two ranks, and no shard's size is a multiple of 32.
    return torch.nn.Sequential(torch.nn.Linear(6, 7), torch.nn.Tanh(), torch.nn.Linear(7, 5))


def loss_of(module, step, rank=None):
    """The loss of a rank's half of the batch, or of the whole batch."""
    generator = torch.Generator().manual_seed(step)
    inputs, targets = torch.randn(8, 6, generator=generator), torch.randn(8, 5, generator=generator)
    rows = slice(None) if rank is None else slice(4 * rank, 4 * rank + 4)
    return torch.nn.functional.mse_loss(module(inputs[rows]), targets[rows])


def train(module, optimizer, steps, rank=None):
    for step in steps:
        optimizer.zero_grad()
        loss_of(module, step, rank).backward()
        optimizer.step()


def parameters_of(module):
    whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in module.parameters()]
    return torch.cat([p.detach().flatten() for p in whole])


def expected(model, steps=STEPS):
    module = network()
    train(module, LearnedOptimizer(module.parameters(), model, threads=1), range(steps))
    return parameters_of(module)


def assert_close(actual, wanted):
    # Averaging over ranks adds the gradients in a different order than a single process does.
    torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-5)


def data_parallel(rank, model, directory):
    module = torch.nn.parallel.DistributedDataParallel(network())
    optimizer = LearnedOptimizer(module.parameters(), model, threads=1)
    train(module, optimizer, range(STEPS), rank)
    assert_close(parameters_of(module), expected(model))


def fully_sharded(rank, model, directory):
    module = network()
    for layer in (module[0], module[2], module):
        fully_shard(layer)
    optimizer = LearnedOptimizer(module.parameters(), model, threads=1)
    train(module, optimizer, range(STEPS), rank)
    assert_close(parameters_of(module), expected(model))


def checkpointed(rank, model, directory):
    def make():
        module = network()
        fully_shard(module, mesh=init_device_mesh("cpu", (RANKS,)))
        return module, LearnedOptimizer(module.parameters(), model, lr=0.5, threads=1)

    module, optimizer = make()
    train(module, optimizer, range(2), rank)
    kept = {"model": module.state_dict(), "optimizer": get_optimizer_state_dict(module, optimizer)}
    save(kept, checkpoint_id=directory)
    train(module, optimizer, range(2, STEPS), rank)

    resumed, other = make()
    state = {"model": resumed.state_dict(), "optimizer": get_optimizer_state_dict(resumed, other)}
    load(state, checkpoint_id=directory)
    resumed.load_state_dict(state["model"])
    set_optimizer_state_dict(resumed, other, state["optimizer"])
    assert other.param_groups[0]["lr"] == 0.5
    train(resumed, other, range(2, STEPS), rank)
    torch.testing.assert_close(parameters_of(resumed), parameters_of(module), rtol=0, atol=0)


def process(rank, work, directory):
    torch.set_num_threads(1)
    # The processes rendezvous through a file: a port that was free a moment ago may be in use.
    rendezvous = f"file://{directory}/rendezvous"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=RANKS)
    model, _ = synthetic_optimizer(Rule(8, 2, "log_and_sign"))
    work(rank, model, f"{directory}/checkpoint")
    dist.destroy_process_group()
    # A thread of gloo may still be releasing tensors, which aborts a Python that is shutting down.
    os._exit(0)


class DistributedTest(unittest.TestCase):
    def assert_works(self, work):
        with tempfile.TemporaryDirectory() as directory:
            multiprocessing.spawn(process, (work, directory), nprocs=RANKS)

    def test_distributed_data_parallel(self):
        self.assert_works(data_parallel)

    def test_fully_sharded_parameters(self):
        self.assert_works(fully_sharded)

    def test_a_distributed_checkpoint_of_shards(self):
        self.assert_works(checkpointed)

    def test_the_example_produces_the_same_bits_in_one_and_two_processes(self):
        with tempfile.TemporaryDirectory() as directory:
            rules = []
            for processes in (1, 2):
                path = Path(directory) / f"{processes}.safetensors"
                # --standalone: the processes rendezvous at a port that the launcher itself opened.
                subprocess.run(
                    [sys.executable, "-m", "torch.distributed.run", "--standalone",
                     "--nproc-per-node", str(processes), EXAMPLE, "--out", path, "--episodes", "3"],
                    check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
                )
                rules.append(path.read_bytes())
            self.assertEqual(rules[0], rules[1])


if __name__ == "__main__":
    unittest.main()
