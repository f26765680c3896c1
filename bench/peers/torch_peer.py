"""PyTorch: the same work, naturally and as fast as its own tools make it.

natural   torch.nn.LSTMCell per layer for the step, torch.nn.LSTM with autograd for the unroll
others    the cell written out, scripted (torch.jit.script) or compiled (torch.compile), with
          coordinates as rows ([n, H], PyTorch's own layout) or as columns ([H, n]: the slices of the
          four gates are contiguous), over chunks of coordinates that stay in cache
"""

import os
import warnings

import worker

args = worker.arguments()
cores = [int(core) for core in args.cores.split(",")]
os.sched_setaffinity(0, cores)  # before PyTorch counts them

import numpy as np
import torch
from torch import Tensor, nn

from problem import (HIDDEN, LAYERS, OUTPUT_SCALE, P, STEPS, Problem, flatten)

warnings.filterwarnings("ignore", category=FutureWarning)  # torch.jit.script, slower but a contestant
torch.set_num_threads(len(cores))
problem = Problem(args.problem, args.first, args.count)

# A script sees no globals: constants are the defaults of arguments.
def preprocess(g: Tensor, dim: int, p: float = P, exp_p: float = float(np.exp(P))) -> Tensor:
    """[...] -> two inputs, along the dimension `dim`."""
    magnitude = g.abs()
    large = magnitude >= 1 / exp_p
    first = torch.where(large, magnitude.log() * (1 / p), -1.0)
    second = torch.where(large, g.sign(), g * exp_p)
    return torch.stack([first, second], dim)


class NaturalRule(nn.Module):
    """One LSTMCell per layer; coordinates are rows."""

    columns = False

    def __init__(self):
        super().__init__()
        self.cell_1 = nn.LSTMCell(2, HIDDEN)
        self.cell_2 = nn.LSTMCell(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        weights = {name: torch.from_numpy(value.copy()) for name, value in problem.phi.items()}
        with torch.no_grad():
            for k, cell in ((1, self.cell_1), (2, self.cell_2)):
                cell.weight_ih.copy_(weights[f"weight_ih_{k}"])
                cell.weight_hh.copy_(weights[f"weight_hh_{k}"])
                cell.bias_ih.copy_(weights[f"bias_{k}"])
                cell.bias_hh.zero_()
            self.out.weight.copy_(weights["out_weight"][None])
            self.out.bias.copy_(weights["out_bias"])

    def forward(self, g: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        h1, c1 = self.cell_1(preprocess(g, -1), (h1, c1))
        h2, c2 = self.cell_2(h1, (h2, c2))
        return OUTPUT_SCALE * self.out(h2).squeeze(-1), h1, c1, h2, c2

    def gradients(self):
        parts = {"out_weight": self.out.weight.grad, "out_bias": self.out.bias.grad}
        for k, cell in ((1, self.cell_1), (2, self.cell_2)):
            parts[f"weight_ih_{k}"] = cell.weight_ih.grad
            parts[f"weight_hh_{k}"] = cell.weight_hh.grad
            parts[f"bias_{k}"] = cell.bias_ih.grad
        return parts


class WrittenOutRule(nn.Module):
    """The weights of a rule whose cells are written out."""

    output_scale: torch.jit.Final[float] = OUTPUT_SCALE

    def __init__(self):
        super().__init__()
        for name, value in problem.phi.items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(value.copy())))

    def gradients(self):
        return {name: parameter.grad for name, parameter in self.named_parameters()}


def row_cell(x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor):
    z = torch.addmm(torch.addmm(bias, x, w_ih.t()), h, w_hh.t())
    i, f, g, o = z.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


class RowRule(WrittenOutRule):
    columns = False

    def forward(self, g: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        x = preprocess(g, 1)
        h1, c1 = row_cell(x, h1, c1, self.weight_ih_1, self.weight_hh_1, self.bias_1)
        h2, c2 = row_cell(h1, h2, c2, self.weight_ih_2, self.weight_hh_2, self.bias_2)
        return self.output_scale * (torch.mv(h2, self.out_weight) + self.out_bias), h1, c1, h2, c2


def column_cell(x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor):
    z = torch.addmm(torch.addmm(bias.unsqueeze(1), w_ih, x), w_hh, h)
    i, f, g, o = z.chunk(4, 0)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


class ColumnRule(WrittenOutRule):
    columns = True

    def forward(self, g: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        x = preprocess(g, 0)
        h1, c1 = column_cell(x, h1, c1, self.weight_ih_1, self.weight_hh_1, self.bias_1)
        h2, c2 = column_cell(h1, h2, c2, self.weight_ih_2, self.weight_hh_2, self.bias_2)
        u = self.output_scale * (torch.mm(self.out_weight.unsqueeze(0), h2).squeeze(0) + self.out_bias)
        return u, h1, c1, h2, c2


class ApplyStep(nn.Module):
    """theta += update."""

    def __init__(self, rule: nn.Module):
        super().__init__()
        self.rule = rule

    def forward(self, g: Tensor, theta: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        u, h1, c1, h2, c2 = self.rule(g, h1, c1, h2, c2)
        return theta + u, h1, c1, h2, c2


class CellLoop(nn.Module):
    """What the unroll's meta-loss depends on phi by: sum_t lambda[t] . update[t]."""

    def __init__(self, rule: nn.Module):
        super().__init__()
        self.rule = rule

    def forward(self, trace: Tensor, adjoints: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        total = torch.zeros([], dtype=trace.dtype)
        for t in range(adjoints.size(0)):
            u, h1, c1, h2, c2 = self.rule(trace[t], h1, c1, h2, c2)
            total = total + torch.dot(u, adjoints[t])
        return total


class NaturalUnroll(nn.Module):
    """The same by torch.nn.LSTM over the whole sequence."""

    columns = False

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, HIDDEN, num_layers=LAYERS)
        self.out = nn.Linear(HIDDEN, 1)
        weights = {name: torch.from_numpy(value.copy()) for name, value in problem.phi.items()}
        with torch.no_grad():
            for k in range(LAYERS):
                getattr(self.lstm, f"weight_ih_l{k}").copy_(weights[f"weight_ih_{k + 1}"])
                getattr(self.lstm, f"weight_hh_l{k}").copy_(weights[f"weight_hh_{k + 1}"])
                getattr(self.lstm, f"bias_ih_l{k}").copy_(weights[f"bias_{k + 1}"])
                getattr(self.lstm, f"bias_hh_l{k}").zero_()
            self.out.weight.copy_(weights["out_weight"][None])
            self.out.bias.copy_(weights["out_bias"])

    def forward(self, trace, adjoints, h1, c1, h2, c2):
        start = (torch.stack([h1, h2]), torch.stack([c1, c2]))
        top, _ = self.lstm(preprocess(trace[:STEPS], -1), start)
        return (OUTPUT_SCALE * self.out(top).squeeze(-1) * adjoints).sum()

    def gradients(self):
        parts = {"out_weight": self.out.weight.grad, "out_bias": self.out.bias.grad}
        for k in range(LAYERS):
            parts[f"weight_ih_{k + 1}"] = getattr(self.lstm, f"weight_ih_l{k}").grad
            parts[f"weight_hh_{k + 1}"] = getattr(self.lstm, f"weight_hh_l{k}").grad
            parts[f"bias_{k + 1}"] = getattr(self.lstm, f"bias_ih_l{k}").grad
        return parts


def compiled(module):
    return torch.compile(module, dynamic=False)


def chunked_states(columns, chunk, n):
    """[(h1, c1, h2, c2) per chunk], each [chunk, H] or [H, chunk]."""
    whole = torch.from_numpy(problem.states()[:, :, :n])
    return [
        tuple((part if columns else part.t()).contiguous() for part in whole[:, :, a : a + chunk])
        for a in range(0, n, chunk)
    ]


class Step:
    # name: (the rule, how its step is prepared)
    variants = {
        "natural": (NaturalRule, lambda module: module),
        "scripted rows": (RowRule, torch.jit.script),
        "scripted columns": (ColumnRule, torch.jit.script),
        "compiled rows": (RowRule, compiled),
        "compiled columns": (ColumnRule, compiled),
    }

    def __init__(self, variant, chunk, n):
        make_rule, prepare = self.variants[variant]
        rule = make_rule()
        self.columns, self.chunk, self.n = rule.columns, chunk, n
        self.function = prepare(ApplyStep(rule))
        trace = torch.from_numpy(problem.trace[:, :n])
        self.trace = [list(trace[t].split(chunk)) for t in range(STEPS + 1)]
        self.reset()

    def reset(self):
        self.states = chunked_states(self.columns, self.chunk, self.n)
        self.theta = [part.clone() for part in torch.from_numpy(problem.theta[: self.n]).split(self.chunk)]

    def warm_up(self):
        with torch.no_grad():
            for _ in range(3):  # the script's profiling runs and its optimised one
                self.function(self.trace[0][0], self.theta[0], *self.states[0])

    def run(self, calls):
        function, theta, states = self.function, self.theta, self.states
        with torch.no_grad():
            for call in range(calls):
                trace = self.trace[call % STEPS]
                for k in range(len(states)):
                    theta[k], *states[k] = function(trace[k], theta[k], *states[k])

    def results(self):
        self.reset()
        self.run(STEPS)
        state = [
            torch.cat([part if self.columns else part.t() for part in parts], dim=1)
            for parts in zip(*self.states)
        ]
        return np.concatenate([torch.cat(self.theta).numpy(), torch.cat(state).numpy().ravel()])


class UnrollBackward:
    # name: how the unroll is made; it returns (module, the function to call)
    variants = {
        "natural": lambda: _same(NaturalUnroll()),
        "LSTMCell loop": lambda: _loop(NaturalRule(), lambda module: module),
        "scripted rows": lambda: _loop(RowRule(), torch.jit.script),
        "scripted columns": lambda: _loop(ColumnRule(), torch.jit.script),
        # The step compiled and called T times; or the T steps as one graph, long to compile.
        "compiled rows": lambda: _compiled_step(RowRule()),
        "compiled columns": lambda: _compiled_step(ColumnRule()),
        "compiled unroll, columns": lambda: _loop(ColumnRule(), compiled),
    }

    def __init__(self, variant, chunk, n):
        self.module, self.function = self.variants[variant]()
        trace = torch.from_numpy(problem.trace[:, :n])
        adjoints = torch.from_numpy(problem.update_adjoints()[:, :n])
        # Chunks made contiguous once: a gift to the peer, its input lies as it likes best.
        self.trace = [part.contiguous() for part in trace.split(chunk, dim=1)]
        self.adjoints = [part.contiguous() for part in adjoints.split(chunk, dim=1)]
        self.states = chunked_states(self.module.columns, chunk, n)

    def backward(self, k):
        self.function(self.trace[k], self.adjoints[k], *self.states[k]).backward()

    def warm_up(self):
        for _ in range(3):
            self.backward(0)

    def run(self, calls):
        for _ in range(calls):
            self.module.zero_grad(set_to_none=True)
            for k in range(len(self.states)):
                self.backward(k)

    def results(self):
        self.run(1)
        return flatten({name: part.numpy() for name, part in self.module.gradients().items()})


def _same(module):
    return module, module


def _loop(rule, prepare):
    return rule, prepare(CellLoop(rule))


def _compiled_step(rule):
    return rule, CellLoop(compiled(rule))


operations = {"step": Step, "unroll_backward": UnrollBackward}
worker.serve(
    {
        "name": "PyTorch",
        "version": torch.__version__,
        "variants": {op: list(operation.variants) for op, operation in operations.items()},
    },
    lambda op, variant, chunk, n: operations[op](variant, chunk, n),
)
