"""Compares l2o with the peers on a GPU, at every precision that they have.

Unlike on a CPU, variants are tried at full N, because a small problem does not fill a GPU; the problem
repeats a few thousand coordinates (problem.py), so that every variant is compared with float64 at full
N as well, before any clock runs. Variants that took part in the search stay ready for the rounds.

Compiling takes longer than measuring: before anything else, every compiled variant is compiled by its
own process, all of them side by side, and later found in the compiler's cache. A variant that fails or
hangs does not end the comparison; one that there was no time for is reported as such.
"""

import os
import shlex
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import problem as work
import torch_episode
from contestant import Contestant
from report import say_trial
from worker import even_chunk

HERE = os.path.dirname(os.path.abspath(__file__))

PERIOD = 8192
PRECISIONS = ["f32", "mixed", "half"]  # of l2o
# Relative L2 distance from float64 above which a contestant computes something else. Tensor cores
# round factors to 10 bits (TF32, float16) or 8 (bfloat16, in the backward pass of l2o).
TOLERANCE = {"f32": 2e-5, "mixed": 5e-3, "half": 5e-3, "TF32": 1e-2}
# Coordinates that an unroll is computed for at a time; a natural one keeps tens of kilobytes of each.
UNROLL_CHUNKS = [1 << 18, 1 << 16]
SEARCH_SECONDS, ROUND_SECONDS = 0.1, 0.3
QUICK_VARIANTS = ["natural", "compiled columns", "compiled columns + graph", "columns"]
# Time limit for preparing a natural variant, and the shortest time in which anything can be tried.
NATURAL_SECONDS, LEAST_SECONDS = 60, 4
COMPILERS = 12  # processes that compile side by side
# Relative number of variants to try, times the duration of a trial.
SEARCH_WEIGHTS = {"step": 1, "unroll_backward": 2}
PEER_WEIGHTS = {"torch": 2, "jax": 1}
# A network whose labels are random is guessing: its loss is about ln 10, and an Adam of 5 updates moves
# a weight by at most about 5 learning rates.
EPISODE_LOSS, EPISODE_CHANGE = (2.2, 2.5), (1e-3, 5e-2)


def coordinate_steps(op, n):
    if op == "mnist_episode":
        return torch_episode.COORDINATES * torch_episode.STEPS
    return n * (work.STEPS if op == "unroll_backward" else 1)


def compare(options, report):
    """Runs the whole comparison, into the report."""
    deadline = time.monotonic() + options.limit
    with tempfile.TemporaryDirectory(prefix="l2o-peers-") as directory:
        problems = [Problems(os.path.join(directory, str(n)), n) for n in options.n]
        if "torch" in options.peers and not options.quick:
            compile_ahead(options, problems, deadline)
        todo = [(problem, op) for problem in problems for op in options.ops if op != "mnist_episode"]
        if "mnist_episode" in options.ops:
            todo.append((problems[-1], "mnist_episode"))
        searches = [(p.n, op, peer) for p, op in todo for peer in options.peers if op in SEARCH_WEIGHTS]
        clock = Clock(deadline, searches)
        comparison = None
        for problem, op in todo:
            if comparison is None or comparison.problem is not problem:
                if comparison:
                    comparison.close()
                comparison = CudaComparison(options, problem, clock)
            try:
                report.add(*comparison.measure(op), comparison.about())
            except RuntimeError as error:
                print(f"  {op} with {problem.n} coordinates: {error}", file=sys.stderr, flush=True)
                comparison.restart()
        comparison.close()


class Problems:
    """The problem of n coordinates, and its correct results."""

    def __init__(self, directory, n):
        os.mkdir(directory)
        self.directory, self.n, self.period = directory, n, even_chunk(n, PERIOD)
        work.write(directory, n, self.period)
        first = work.Problem(directory, 0, self.period)
        self.references = {
            "step": work.reference_step(first).reshape(-1, 1, self.period),
            "unroll_backward": work.reference_unroll_backward(first) * (n // self.period),
        }

    def distance(self, op, results):
        """Relative L2 distance from float64, of theta and of the state separately."""
        reference = self.references[op]
        if op == "unroll_backward":
            return float(np.linalg.norm(results - reference) / np.linalg.norm(reference))
        results = results.reshape(len(reference), -1, self.period)
        return max(
            float(
                np.linalg.norm(results[part] - reference[part])
                / np.linalg.norm(reference[part])
                / np.sqrt(self.n // self.period)
            )
            for part in (slice(0, 1), slice(1, None))
        )

    def chunks(self, op):
        if op != "unroll_backward":
            return [self.n]
        return sorted({even_chunk(self.n, size) for size in UNROLL_CHUNKS}, reverse=True)


class Clock:
    """Distributes the remaining time over the searches."""

    def __init__(self, deadline, searches):
        self.deadline, self.searches = deadline, searches

    def left(self):
        return self.deadline - time.monotonic()

    def end_of_search(self, n, op, peer):
        """When this search must end; a part of the time is for the rounds."""
        weights = [SEARCH_WEIGHTS[op] * PEER_WEIGHTS[peer] for _, op, peer in self.searches]
        share = SEARCH_WEIGHTS[op] * PEER_WEIGHTS[peer] / sum(weights)
        self.searches.remove((n, op, peer))
        return time.monotonic() + 0.75 * share * self.left()


def start_contestant(options, command, problem):
    cores = sorted(os.sched_getaffinity(0))[: options.threads]
    return Contestant(command, problem.directory, problem.n, cores, device=options.device)


def peer_command(name):
    return [sys.executable, os.path.join(HERE, f"{name}_peer.py")]


def variants_of(options, contestant, op):
    variants = contestant.description["variants"].get(op, [])
    return [variant for variant in variants if not options.quick or variant in QUICK_VARIANTS]


def compile_ahead(options, problems, deadline):
    """Compiles for the first chunk size only; TF32 is compiled separately."""
    torch = start_contestant(options, peer_command("torch"), problems[0])
    # The longest first.
    jobs = [
        (problem, op, variant + ending)
        for op in sorted(set(options.ops) & set(SEARCH_WEIGHTS), reverse=True)
        for variant in variants_of(options, torch, op)
        if variant.startswith("compiled") and "graph" not in variant
        for problem in problems
        for ending in ("", " + TF32")
    ]
    torch.close()
    end = time.monotonic() + 0.4 * (deadline - time.monotonic())

    def compile_one(job):
        problem, op, variant = job
        if time.monotonic() > end:
            return
        helper = start_contestant(options, peer_command("torch"), problem)
        try:
            timeout = max(end - time.monotonic(), 1)
            helper.prepare("ahead", op, variant, problem.chunks(op)[0], problem.n, timeout)
            helper.close()
        except RuntimeError as error:
            print(f"  compiling {op}, {variant} ahead: {error}", file=sys.stderr, flush=True)
            helper.kill()

    with ThreadPoolExecutor(COMPILERS) as pool:
        list(pool.map(compile_one, jobs))


class CudaComparison:
    """A comparison of all contestants on one problem."""

    def __init__(self, options, problem, clock):
        self.options, self.problem, self.n, self.clock = options, problem, problem.n, clock
        self.ours = start_contestant(options, [*shlex.split(options.engine)], problem)
        self.peers = {name: start_contestant(options, peer_command(name), problem) for name in options.peers}

    def check(self, contestant, slot, op, precision):
        results = contestant.results(slot, self.problem.directory)
        if op == "mnist_episode":
            for value, (low, high) in zip(results, (EPISODE_LOSS, EPISODE_CHANGE)):
                if not low < value < high:
                    raise RuntimeError(f"its episode results in {value:.3g}, not in {low} .. {high}")
            return None
        found = self.problem.distance(op, results)
        if not found < TOLERANCE[precision]:
            raise RuntimeError(f"its {op} is {found:.1e} away from the float64 reference")
        return found

    def _try(self, contestant, op, variant, chunk, timeout):
        """Makes a trial; if it succeeds, its slot stays prepared."""
        trial = {"op": op, "peer": contestant.description["name"], "processes": 1}
        trial |= {"variant": variant, "chunk": chunk, "n": self.n, "slot": f"{op} {variant} {chunk}"}
        precision = "TF32" if variant.endswith("TF32") else variant if contestant is self.ours else "f32"
        if timeout < LEAST_SECONDS:
            return trial | {"error": "skipped: no time left"}
        try:
            contestant.prepare(trial["slot"], op, variant, chunk, self.n, timeout)
            trial["distance"] = self.check(contestant, trial["slot"], op, precision)
            calls = contestant.calls_for(trial["slot"], SEARCH_SECONDS, timeout)
            seconds = contestant.seconds(trial["slot"], calls, timeout)
            trial["rate"] = coordinate_steps(op, self.n) / seconds
            trial["start"] = contestant.starts
        except RuntimeError as error:
            trial["error"] = str(error)
            contestant.restart()
        return trial

    def search(self, op, name):
        """Tries the variants, the natural one first and without regard to time. Returns the trials for
        the rounds, {kind: trial}, and all trials."""
        contestant = self.peers[name]
        end = self.clock.end_of_search(self.n, op, name)
        tried = []

        def attempt(variant, chunk):
            timeout = NATURAL_SECONDS if variant.startswith("natural") else end - time.monotonic()
            tried.append(self._try(contestant, op, variant, chunk, timeout))
            say_trial(tried[-1])

        def fastest(is_one):
            ones = [trial for trial in tried if "rate" in trial and is_one(trial["variant"])]
            return max(ones, key=lambda trial: trial["rate"], default=None)

        for variant in variants_of(self.options, contestant, op):
            for chunk in self.problem.chunks(op):
                attempt(variant, chunk)
        kept = {"natural": fastest(lambda variant: variant == "natural"), "best": fastest(lambda _: True)}
        if not self.options.quick:
            for kind, trial in list(kept.items()):
                variant = trial and trial["variant"] + " + TF32"
                if variant and not any(one["variant"] == variant for one in tried):
                    attempt(variant, trial["chunk"])
                kept[f"{kind}, TF32"] = fastest(lambda name: name == variant)
        kept = {kind: trial for kind, trial in kept.items() if trial is not None}
        for trial in tried:
            if trial not in kept.values() and trial.get("start") == contestant.starts:
                contestant.drop(trial["slot"])
        return kept, tried

    # ------------------------------------------------------------------------------------ rounds

    def measure(self, op):
        """Rows of the table for one operation."""
        entries, tried = [], []
        for precision in PRECISIONS:
            trial = self._try(self.ours, op, precision, self.n, NATURAL_SECONDS)
            tried.append(trial)
            say_trial(trial)
            if "rate" in trial:
                entries.append({"who": f"l2o {precision}", "contestant": self.ours, "trial": trial})
        for name, contestant in self.peers.items():
            kept, trials = self._episode(contestant) if op == "mnist_episode" else self.search(op, name)
            tried += trials
            title = contestant.description["name"]
            for kind, trial in kept.items():
                entries.append({"who": f"{title} {kind}", "contestant": contestant, "trial": trial})
        for _ in range(2):  # the second pass prepares again what the first one restarts
            entries = [entry for entry in entries if self._is_ready(op, entry)]
        entries = [self._row(op, entry) for entry in entries]
        for _ in range(self.options.rounds):
            for entry in list(entries):
                try:
                    seconds = entry["contestant"].seconds(entry["slot"], entry["calls"], NATURAL_SECONDS)
                except RuntimeError:  # the rounds of the others continue
                    # A late answer must not count as that to the next call; all of its slots are lost.
                    entry["contestant"].restart()
                    entries.remove(entry)
                    continue
                entry["rates"].append(coordinate_steps(op, self.n) / seconds)
        for entry in entries:
            entry["median"] = statistics.median(entry["rates"])
        ours = {e["who"].removeprefix("l2o "): e["median"] for e in entries if e["who"].startswith("l2o ")}
        for entry in entries:
            entry["ours_is_times_faster"] = {who: rate / entry["median"] for who, rate in ours.items()}
            entry.pop("contestant").clear()
            entry.pop("slot")
        for trial in tried:
            trial.pop("slot", None)
            trial.pop("start", None)
        return entries, tried

    def _episode(self, contestant):
        if "mnist_episode" not in contestant.description["variants"]:
            return {}, []
        trial = self._try(contestant, "mnist_episode", "natural", self.n, NATURAL_SECONDS)
        say_trial(trial)
        return ({"natural": trial} if "rate" in trial else {}), [trial]

    def _is_ready(self, op, entry):
        """Prepares a trial again if its contestant was restarted."""
        contestant, trial = entry["contestant"], entry["trial"]
        if trial["start"] == contestant.starts:
            return True
        again = self._try(contestant, op, trial["variant"], trial["chunk"], NATURAL_SECONDS)
        trial["start"] = contestant.starts
        return "rate" in again

    def _row(self, op, entry):
        trial, contestant = entry["trial"], entry["contestant"]
        n = torch_episode.COORDINATES if op == "mnist_episode" else self.n
        chunk = None if op == "mnist_episode" or contestant is self.ours else trial["chunk"]
        row = {"who": entry["who"], "variant": trial["variant"], "processes": 1, "chunk": chunk}
        row |= {"distance": trial["distance"], "op": op, "n": n, "rates": [], "slot": trial["slot"]}
        row["calls"] = contestant.calls_for(trial["slot"], ROUND_SECONDS)
        return row | {"contestant": contestant}

    # ------------------------------------------------------------------------------------- the end

    def about(self):
        everyone = [self.ours, *self.peers.values()]
        return {
            "gpu": self.ours.description["device"],
            "versions": {c.description["name"]: c.description["version"] for c in everyone},
        }

    def restart(self):
        for contestant in (self.ours, *self.peers.values()):
            contestant.restart()

    def close(self):
        for contestant in (self.ours, *self.peers.values()):
            contestant.close()
