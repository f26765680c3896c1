#!/usr/bin/env python3
"""Compares l2o with PyTorch and JAX: the same step and the same backward pass of an unroll, in turn, on
this machine.

    python3 bench/peers/compare.py --threads 2 --n 16384,1000000 --json FILE
    python3 bench/peers/compare.py --device cuda [--quick] --json FILE

with a Python that has numpy and the peers: `pip install numpy torch jax`, best in its own
environment. torch.compile needs a C++ compiler.

Every peer first finds its best variant: each variant, chunk size and split into processes is tried
on a few thousand coordinates, and its results are compared with a float64 reference. Then l2o, the
peer's natural variant and its best variant take turns for several rounds at each N; the medians count.
cuda_comparison.py has the differences on a GPU, problem.py the input of the contestants, worker.py the
protocol.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time

import numpy as np

import problem as work
from contestant import Contestant
from report import ROOT, Report, say_trial
from worker import even_chunk

HERE = os.path.dirname(os.path.abspath(__file__))

# Coordinates of a process in the search for the best variant, and the chunks tried.
SEARCH_N = 8192
CHUNKS = [256, 1024, 4096, 8192]
# A compiled variant costs seconds of compiling per chunk size, a compiled unroll most of a minute.
COMPILED_CHUNKS = [1024, 4096]
COMPILED_UNROLL_CHUNKS = [1024]
SEARCH_SECONDS, ROUND_SECONDS = 0.15, 0.5
# Idle OpenMP threads spin for a while; the next contestant should not run beside them.
PAUSE_SECONDS = 0.3
# A natural unroll keeps tens of kilobytes per coordinate; more than this at once would not fit.
NATURAL_UNROLL_CHUNK = 65536
# Environment variables that limit the peers to an instruction set, by the engine's name for it.
LIMITS = {
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }
}
# Relative L2 distance from the float64 reference above which a contestant computes something else.
TOLERANCE = 2e-5


def coordinate_steps(op, n):
    return n * (work.STEPS if op == "unroll_backward" else 1)


def distance(op, results, reference, n):
    """Relative L2 distance from the reference, of theta and of the state on their own."""
    parts = [slice(0, n), slice(n, None)] if op == "step" else [slice(None)]
    return max(
        float(np.linalg.norm(results[p] - reference[p]) / np.linalg.norm(reference[p])) for p in parts
    )


def chunks_for(variant):
    if variant.startswith("compiled unroll"):
        return COMPILED_UNROLL_CHUNKS
    return COMPILED_CHUNKS if variant.startswith("compiled") else CHUNKS


class Comparison:
    def __init__(self, options, directory, n):
        self.options, self.directory, self.n = options, directory, n
        cores = sorted(os.sched_getaffinity(0))[: options.threads]
        if len(cores) < options.threads:
            sys.exit(f"--threads {options.threads}: only {len(cores)} cores may be used")
        if n % options.threads:
            sys.exit(f"--n {n}: expected a multiple of --threads {options.threads}")
        share = n // options.threads
        for size in CHUNKS:  # equal chunks near the sizes that are tried: a prime share has none
            if 2 * even_chunk(share, size) < min(share, size):
                sys.exit(
                    f"--n {n}: the {share} coordinates of a thread do not divide into equal chunks of "
                    f"about {size}; a multiple of {options.threads * CHUNKS[0]} does"
                )
        work.write(directory, n)
        self.search_n = min(n // options.threads, SEARCH_N)
        first = work.Problem(directory, 0, self.search_n)
        self.references = {
            "step": work.reference_step(first),
            "unroll_backward": work.reference_unroll_backward(first),
        }
        limit = LIMITS.get(options.target, {})
        ours = [options.engine] + (["--target", options.target] if options.target else [])
        self.ours = Contestant(ours, directory, n, cores)
        self.peers = {}
        for name in options.peers:
            command = [sys.executable, os.path.join(HERE, f"{name}_peer.py")]
            splits = sorted({1, options.threads})
            self.peers[name] = [
                Contestant(command, directory, n, cores, k, environment=limit) for k in splits
            ]

    def check(self, contestant, slot, op):
        found = distance(op, contestant.results(slot, self.directory), self.references[op], self.search_n)
        if not found < TOLERANCE:
            raise RuntimeError(f"its {op} is {found:.1e} away from the float64 reference")
        return found

    def search(self, op, name):
        """Tries everything; returns (contestant, variant, chunk) of the best and what was tried."""
        tried = []
        for contestant in self.peers[name]:
            for variant in contestant.description["variants"][op]:
                for chunk in chunks_for(variant):
                    if chunk > self.search_n:
                        continue
                    trial = {"op": op, "peer": name, "processes": contestant.processes}
                    trial |= {"variant": variant, "chunk": chunk}
                    n = self.search_n * contestant.processes
                    try:
                        contestant.prepare("trial", op, variant, chunk, n)
                        trial["distance"] = self.check(contestant, "trial", op)
                        calls = contestant.calls_for("trial", SEARCH_SECONDS)
                        seconds = contestant.seconds("trial", calls)
                        trial["rate"] = coordinate_steps(op, n) / seconds
                    except RuntimeError as error:
                        trial["error"] = str(error)
                        contestant.restart()
                    tried.append(trial)
                    say_trial(trial)
            contestant.clear()
        finished = [trial for trial in tried if "rate" in trial]
        if not finished:
            raise RuntimeError(f"no variant of {name} ran: {tried[0]['error']}")
        return max(finished, key=lambda trial: trial["rate"]), tried

    def measure(self, op):
        """Rows of the table for one operation."""
        self.ours.prepare("check", op, "f32", self.search_n, self.search_n)
        entries = [{"who": "l2o", "variant": "tuned", "processes": 1, "chunk": None}]
        entries[0] |= {"contestant": self.ours, "distance": self.check(self.ours, "check", op)}
        tried = []
        for name, contestants in self.peers.items():
            best, trials = self.search(op, name)
            tried += trials
            whole = self.n if op == "step" else NATURAL_UNROLL_CHUNK
            title = contestants[0].description["name"]
            for kind, variant, processes, chunk in (
                ("natural", "natural", 1, whole),
                ("best", best["variant"], best["processes"], best["chunk"]),
            ):
                contestant = next(c for c in contestants if c.processes == processes)
                entries.append({"who": f"{title} {kind}", "variant": variant, "processes": processes})
                entries[-1] |= {"chunk": chunk, "contestant": contestant}
        for slot, entry in enumerate(entries):
            variant = "f32" if entry["contestant"] is self.ours else entry["variant"]
            entry["contestant"].prepare(slot, op, variant, entry["chunk"] or self.n, self.n)
            entry["calls"] = 1
            if self.n <= 200_000:  # above it one call is long enough, and warm-up would double the time
                entry["calls"] = entry["contestant"].calls_for(slot, ROUND_SECONDS)
            entry["rates"] = []
        for _ in range(self.options.rounds):
            for slot, entry in enumerate(entries):
                time.sleep(PAUSE_SECONDS)
                seconds = entry["contestant"].seconds(slot, entry["calls"])
                entry["rates"].append(coordinate_steps(op, self.n) / seconds)
        for entry in entries:
            entry.pop("contestant").clear()
            entry |= {"op": op, "n": self.n, "median": statistics.median(entry["rates"])}
            entry["ours_is_times_faster"] = entries[0]["median"] / entry["median"]
        return entries, tried

    def close(self):
        self.ours.close()
        for contestants in self.peers.values():
            for contestant in contestants:
                contestant.close()

    def about(self):
        everyone = [self.ours] + [contestants[0] for contestants in self.peers.values()]
        return {"versions": {c.description["name"]: c.description["version"] for c in everyone}}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--target", choices=LIMITS, help="instruction set that all are limited to")
    parser.add_argument("--n", help="coordinates, a list (16384 and 1000000; on a GPU 1048576)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--ops", help="a list (step,unroll_backward; on a GPU also mnist_episode)")
    parser.add_argument("--peers", default="torch,jax")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="on a GPU: less than two minutes")
    parser.add_argument("--limit", type=float, help="time limit on a GPU, in seconds (320; quick 105)")
    parser.add_argument("--engine", default=os.path.join(ROOT, "build/bin/l2o_peer_worker"))
    parser.add_argument("--json", help="file for the report")
    options = parser.parse_args()
    options.peers = [name for name in options.peers.split(",") if name]
    on_gpu = options.device == "cuda"
    sizes = options.n or ("16384,1000000" if not on_gpu else "1048576" if options.quick else "16384,1048576")
    options.n = list(map(int, sizes.split(",")))
    ops = options.ops or "step,unroll_backward" + (",mnist_episode" if on_gpu else "")
    options.ops = ops.split(",")
    options.limit = options.limit or (105 if options.quick else 320)
    return options


def main():
    options = arguments()
    report = Report(options)
    if options.device == "cuda":
        import cuda_comparison  # needs PyTorch

        cuda_comparison.compare(options, report)
    else:
        compare(options, report)
    report.print()


def compare(options, report):
    for n in options.n:
        with tempfile.TemporaryDirectory(prefix="l2o-peers-") as directory:
            comparison = Comparison(options, directory, n)
            for op in options.ops:
                report.add(*comparison.measure(op), comparison.about())
            comparison.close()


if __name__ == "__main__":
    main()
