"""The same work in PyTorch: written naturally, and as fast as its own tools make it.

natural   torch.nn.LSTMCell per layer for the step, torch.nn.LSTM with autograd for the unroll
others    the cell written out, scripted (torch.jit.script) or compiled (torch.compile), with
          coordinates as rows ([n, H], PyTorch's own layout) or as columns ([H, n]: the slices of the
          four gates are contiguous), over chunks of coordinates that stay in cache

On a GPU nothing is scripted, and a variant may have suffixes: " + graph", which captures its calls in
CUDA graphs, and " + TF32", which lets matrix products round their factors to 10 bits.
"""

import os
import warnings

import worker

args = worker.arguments()
cores = [int(core) for core in args.cores.split(",")]
os.sched_setaffinity(0, cores)  # before PyTorch counts them
# Compiled code is cached; several of these processes compile side by side.
os.environ |= {"TORCHINDUCTOR_FX_GRAPH_CACHE": "1", "TORCHINDUCTOR_AUTOGRAD_CACHE": "1"}
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = str(min(len(cores), 4))

import numpy as np
import torch

import torch_episode
from problem import STEPS, Problem, flatten
from torch_rules import (
    ApplyStep, ApplyStepInPlace, CellLoop, ColumnRule, NaturalRule, NaturalUnroll, RowRule
)

warnings.filterwarnings("ignore", category=FutureWarning)  # torch.jit.script, slower but a contestant
torch.set_num_threads(len(cores))
problem = Problem(args.problem, args.first, args.count)
device = torch.device(args.device)
on_gpu = device.type == "cuda"


def on_device(array):
    return torch.from_numpy(array).to(device)


def wait():
    if on_gpu:
        torch.cuda.synchronize()


def allow_tf32(allowed):
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


class Graph:
    """Calls of a function as a CUDA graph: its memory is fixed, and run() queues all of it at once."""

    def __init__(self, function, pool=None):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # one-time work must not be captured
            for _ in range(3):
                function()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool):
            function()

    def run(self):
        self.graph.replay()


def rule_on_device(make_rule):
    return make_rule(problem.phi).to(device)


def compiled(module):
    return torch.compile(module, dynamic=False)


def chunked_states(columns, chunk, n):
    """[(h1, c1, h2, c2) per chunk], each [chunk, H] or [H, chunk]."""
    whole = on_device(problem.states()[:, :, :n])
    return [
        tuple(
            (part if columns else part.t()).clone(memory_format=torch.contiguous_format)
            for part in whole[:, :, a : a + chunk]
        )
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
    gpu_variants = ["natural", "compiled columns", "compiled rows"]
    as_graphs = ["compiled columns", "compiled rows"]

    def __init__(self, variant, chunk, n, graph):
        make_rule, prepare = self.variants[variant]
        rule = rule_on_device(make_rule)
        in_place = on_gpu and prepare is compiled
        self.function = prepare((ApplyStepInPlace if in_place else ApplyStep)(rule))
        self.columns, self.chunk, self.n = rule.columns, chunk, n
        trace = on_device(problem.trace[:, :n])
        self.trace = [list(trace[t].split(chunk)) for t in range(STEPS + 1)]
        self.theta, self.states = self.start()
        self.graphs = []
        if graph:
            pool = torch.cuda.graph_pool_handle()
            with torch.no_grad():
                self.graphs = [Graph(lambda t=t: self.advance(t), pool) for t in range(STEPS)]

    def start(self):
        theta = [part.clone() for part in on_device(problem.theta[: self.n]).split(self.chunk)]
        return theta, chunked_states(self.columns, self.chunk, self.n)

    def reset(self):
        """In place: graphs refer to its address."""
        theta, states = self.start()
        for old, new in zip(self.theta + sum(map(list, self.states), []), theta + sum(map(list, states), [])):
            old.copy_(new)

    def warm_up(self):
        with torch.no_grad():
            for _ in range(3):  # the script's profiling runs and its optimized one
                self.function(self.trace[0][0], self.theta[0], *self.states[0])
        wait()

    def advance(self, t):
        function, theta, states = self.function, self.theta, self.states
        for k in range(len(states)):
            theta[k], *states[k] = function(self.trace[t][k], theta[k], *states[k])

    def run(self, calls):
        with torch.no_grad():
            for call in range(calls):
                self.graphs[call % STEPS].run() if self.graphs else self.advance(call % STEPS)
        wait()

    def results(self):
        self.reset()
        self.run(STEPS)
        state = [
            torch.cat([part if self.columns else part.t() for part in parts], dim=1)
            for parts in zip(*self.states)
        ]
        return np.concatenate([torch.cat(self.theta).cpu().numpy(), torch.cat(state).cpu().numpy().ravel()])


class UnrollBackward:
    # name: how the unroll is made; it returns (module, the function to call)
    variants = {
        "natural": lambda: _same(rule_on_device(NaturalUnroll)),
        "LSTMCell loop": lambda: _loop(rule_on_device(NaturalRule), lambda module: module),
        "scripted rows": lambda: _loop(rule_on_device(RowRule), torch.jit.script),
        "scripted columns": lambda: _loop(rule_on_device(ColumnRule), torch.jit.script),
        # The step compiled and called T times; or the T steps as one graph, long to compile.
        "compiled rows": lambda: _compiled_step(rule_on_device(RowRule)),
        "compiled columns": lambda: _compiled_step(rule_on_device(ColumnRule)),
        "compiled unroll, columns": lambda: _loop(rule_on_device(ColumnRule), compiled),
    }
    gpu_variants = ["natural", "compiled unroll, columns", "compiled columns", "LSTMCell loop"]
    as_graphs = ["compiled unroll, columns", "compiled columns", "natural"]

    def __init__(self, variant, chunk, n, graph):
        self.module, self.function = self.variants[variant]()
        trace = on_device(problem.trace[:, :n])
        adjoints = on_device(problem.update_adjoints()[:, :n])
        # Chunks are made contiguous once, outside the timing: an advantage for the peer.
        self.trace = [part.contiguous() for part in trace.split(chunk, dim=1)]
        self.adjoints = [part.contiguous() for part in adjoints.split(chunk, dim=1)]
        self.states = chunked_states(self.module.columns, chunk, n)
        self.graph = Graph(self.whole) if graph else None

    def backward(self, k):
        self.function(self.trace[k], self.adjoints[k], *self.states[k]).backward()

    def warm_up(self):
        for _ in range(3):
            self.backward(0)
        wait()

    def whole(self):
        self.module.zero_grad(set_to_none=True)
        for k in range(len(self.states)):
            self.backward(k)

    def run(self, calls):
        for _ in range(calls):
            self.graph.run() if self.graph else self.whole()
        wait()

    def results(self):
        self.run(1)
        return flatten({name: part.cpu().numpy() for name, part in self.module.gradients().items()})


def _same(module):
    return module, module


def _loop(rule, prepare):
    return rule, prepare(CellLoop(rule))


def _compiled_step(rule):
    return rule, CellLoop(compiled(rule))


operations = {"step": Step, "unroll_backward": UnrollBackward}


def variants_of(operation):
    if not on_gpu:
        return list(operation.variants)
    return operation.gpu_variants + [name + " + graph" for name in operation.as_graphs]


class AtPrecision:
    """An operation that always runs with TF32 allowed, or always without."""

    def __init__(self, tf32, make):
        self.tf32 = tf32
        self._set()
        self.operation = make()

    def _set(self):
        if on_gpu:
            allow_tf32(self.tf32)

    def warm_up(self):
        self._set()
        self.operation.warm_up()

    def run(self, calls):
        self._set()
        self.operation.run(calls)

    def results(self):
        self._set()
        return self.operation.results()


def make_operation(op, variant, chunk, n):
    variant, *endings = variant.split(" + ")

    def make():
        if op == "mnist_episode":
            return torch_episode.MnistEpisode(lambda: rule_on_device(NaturalRule), device)
        return operations[op](variant, chunk, n, graph="graph" in endings)

    return AtPrecision("TF32" in endings, make)


worker.serve(
    {
        "name": "PyTorch",
        "version": torch.__version__,
        "variants": {op: variants_of(operation) for op, operation in operations.items()}
        | {"mnist_episode": ["natural"]},
    },
    make_operation,
)
