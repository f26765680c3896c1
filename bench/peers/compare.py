#!/usr/bin/env python3
"""Ours against PyTorch and JAX: the same step and the same unroll backward, in turn, on this machine.

    python3 bench/peers/compare.py --threads 2 --n 16384,1000000 --json FILE

with a Python that has numpy and the peers: `pip install numpy torch jax`, best in an environment of
its own. torch.compile wants a C++ compiler.

Every peer first finds its best variant: each variant, chunk size and split into processes is tried
on a few thousand coordinates, and its results are compared with a float64 reference. Then ours, the
peer's natural way and its best variant take turns for some rounds at each N; the medians count.
What contestants are given: problem.py. How they are spoken to: worker.py.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import problem as work
from worker import even_chunk

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# Coordinates of a process in the search for the best variant, and the chunks tried.
SEARCH_N = 8192
CHUNKS = [256, 1024, 4096, 8192]
# A compiled variant costs seconds of compiling per chunk size, a compiled unroll most of a minute.
COMPILED_CHUNKS = [1024, 4096]
COMPILED_UNROLL_CHUNKS = [1024]
SEARCH_SECONDS, ROUND_SECONDS = 0.15, 0.5
# Idle OpenMP threads spin for a while; the next contestant should not have to run beside them.
PAUSE_SECONDS = 0.3
# A natural unroll keeps tens of kilobytes a coordinate; more than this at once would not fit.
NATURAL_UNROLL_CHUNK = 65536
# Relative L2 distance from the float64 reference above which a contestant does another work.
TOLERANCE = 2e-5


class Contestant:
    """One framework, as one process on all cores or as one process per core."""

    def __init__(self, command, directory, n, cores, processes):
        self.processes, self.n = processes, n
        share, cores_each = n // processes, len(cores) // processes
        self.workers = [
            subprocess.Popen(
                command
                + ["--problem", directory, "--first", str(i * share), "--count", str(share)]
                + ["--cores", ",".join(map(str, cores[i * cores_each : (i + 1) * cores_each]))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=_clean_environment(),
            )
            for i in range(processes)
        ]
        self.description = self._answers(self.workers)[0]

    def prepare(self, slot, op, variant, chunk, n):
        """n coordinates in all the processes together."""
        share = n // self.processes
        self._say(self.workers, command="prepare", slot=slot, op=op, variant=variant, chunk=chunk, n=share)

    def seconds(self, slot, calls):
        """Time of a call: of the process that took longest."""
        answers = self._say(self.workers, command="run", slot=slot, calls=calls)
        return max(answer["seconds"] for answer in answers) / calls

    def results(self, slot, directory):
        """Those of the first process."""
        path = os.path.join(directory, "results.f32")
        self._say(self.workers[:1], command="results", slot=slot, path=path)
        return np.fromfile(path, np.float32)

    def clear(self):
        self._say(self.workers, command="clear")

    def close(self):
        for worker in self.workers:
            worker.stdin.close()
            worker.wait()

    def _say(self, workers, **message):
        for worker in workers:
            worker.stdin.write(json.dumps(message) + "\n")
            worker.stdin.flush()
        return self._answers(workers)

    @staticmethod
    def _answers(workers):
        answers = []
        for worker in workers:
            line = worker.stdout.readline()
            answers.append(json.loads(line) if line else {"error": "the process died"})
        for answer in answers:
            if "error" in answer:
                raise RuntimeError(answer["error"])
        return answers


def _clean_environment():
    """Without the settings that would slow a peer down or give it other threads than it is meant to have."""
    drop = ("OPENBLAS_", "MKL_", "OMP_", "KMP_", "GOMP_", "NVPL_", "XLA_FLAGS", "JAX_", "TORCH")
    return {name: value for name, value in os.environ.items() if not name.startswith(drop)}


def calls_for(contestant, slot, seconds):
    """Calls that take about that long."""
    return max(1, round(seconds / contestant.seconds(slot, 1)))


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
        self.ours = Contestant([options.engine], directory, n, cores, 1)
        self.peers = {}
        for name in options.peers:
            command = [sys.executable, os.path.join(HERE, f"{name}_peer.py")]
            splits = sorted({1, options.threads})
            self.peers[name] = [Contestant(command, directory, n, cores, k) for k in splits]

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
                        calls = calls_for(contestant, "trial", SEARCH_SECONDS)
                        seconds = contestant.seconds("trial", calls)
                        trial["rate"] = coordinate_steps(op, n) / seconds
                    except RuntimeError as error:
                        trial["error"] = str(error)
                    tried.append(trial)
                    _say_trial(trial)
            contestant.clear()
        finished = [trial for trial in tried if "rate" in trial]
        if not finished:
            raise RuntimeError(f"no variant of {name} ran: {tried[0]['error']}")
        return max(finished, key=lambda trial: trial["rate"]), tried

    def measure(self, op):
        """Rows of the table for one operation."""
        self.ours.prepare("check", op, "tuned", self.search_n, self.search_n)
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
            chunk = entry["chunk"] or self.n
            entry["contestant"].prepare(slot, op, entry["variant"], chunk, self.n)
            entry["calls"] = 1
            if self.n <= 200_000:  # above it one call is long enough, and warm-up would double the time
                entry["calls"] = calls_for(entry["contestant"], slot, ROUND_SECONDS)
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

    def versions(self):
        everyone = [self.ours] + [contestants[0] for contestants in self.peers.values()]
        return {c.description["name"]: c.description["version"] for c in everyone}


def _processes(entry):
    return f"{entry['processes']} process{'' if entry['processes'] == 1 else 'es'}"


def _say_trial(trial):
    told = trial.get("error") or f"{trial['rate'] / 1e6:8.3f} M/s   distance {trial['distance']:.1e}"
    print(
        f"  {trial['peer']:6}{trial['op']:17}{trial['variant']:25}{_processes(trial)}"
        f"  chunk {trial['chunk']:5}  {told}",
        file=sys.stderr,
    )


def print_table(rows):
    print("| operation | N | who | variant | 1e6 coordinate-steps/s (range) | ours is faster by |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        variant = row["variant"]
        if row["who"] != "l2o":
            variant += f", {_processes(row)}, chunks of {min(row['chunk'], row['n'])}"
        rates = [rate / 1e6 for rate in row["rates"]]
        print(
            f"| {row['op']} | {row['n']} | {row['who']} | {variant} | {row['median'] / 1e6:.3f} "
            f"({min(rates):.3f} .. {max(rates):.3f}) | {row['ours_is_times_faster']:.2f} |"
        )


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit():
    told = subprocess.run(
        ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=9"], capture_output=True, text=True
    )
    return told.stdout.strip() or "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", default="16384,1000000", help="coordinates, a list")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--ops", default="step,unroll_backward")
    parser.add_argument("--peers", default="torch,jax")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default=os.path.join(ROOT, "build/bin/l2o_peer_worker"))
    parser.add_argument("--json", help="where the report goes")
    options = parser.parse_args()
    options.peers = [name for name in options.peers.split(",") if name]

    rows, tried, versions = [], [], {}
    for n in map(int, options.n.split(",")):
        with tempfile.TemporaryDirectory(prefix="l2o-peers-") as directory:
            comparison = Comparison(options, directory, n)
            versions = comparison.versions()
            for op in options.ops.split(","):
                entries, trials = comparison.measure(op)
                rows += entries
                tried += trials
            comparison.close()
    report = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "threads": options.threads,
        "commit": commit(),
        "versions": versions,
        "rows": rows,
        "search": tried,
    }
    print(f"{report['date']}, {report['processor']}, {options.threads} threads, commit {report['commit']},", versions)
    print_table(rows)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
