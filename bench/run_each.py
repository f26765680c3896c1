#!/usr/bin/env python3
"""Runs every measurement of l2o_bench in its own process, with its own report: on a GPU, an illegal
access breaks everything that follows in the same process.

    bench/run_each.py PROGRAM OUT [--limit SECONDS] [--each SECONDS] [--precisions LIST] [FLAG OF l2o_bench ...]

The measurements are those that PROGRAM lists with these flags (--benchmark_filter), at every precision. OUT/<name>.json
is the report of a measurement and OUT/<name>.log its output; OUT/bench.json combines all reports and is rewritten
after each: "failures" lists the measurements without a result, and why. The exit status is 0 if there are none.
"""

import argparse
import json
import os
import re
import sys
import time

import bounded

PRECISIONS = "mixed,f32,half"
LEAST_SECONDS = 2  # do not start a process with less time left


def arguments():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw, allow_abbrev=False)
    parser.add_argument("program")
    parser.add_argument("out")
    parser.add_argument("--limit", type=float, default=3600, help="time limit for all measurements, in seconds")
    parser.add_argument("--each", type=float, default=120, help="time limit for one measurement, in seconds")
    parser.add_argument("--precisions", default=PRECISIONS)
    return parser.parse_known_args()


def last_line(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[-1] if lines else "no output"


class EachBench:
    """Writes measurements to `out` until `end`, a time of the monotonic clock."""

    def __init__(self, program, out, flags, end, each=120.0):
        self.command = [program, *flags]
        self.out, self.end, self.each = out, end, each
        self.together = {"context": {}, "benchmarks": [], "failures": []}
        os.makedirs(out, exist_ok=True)

    def measure(self, precisions=PRECISIONS, is_wanted=lambda name: True):
        """Returns whether every requested benchmark has a result."""
        names = {p: list(filter(is_wanted, self._names(p))) for p in precisions.split(",")}
        # Alternate, so that all precisions have made equal progress when time runs out.
        for place in range(max(map(len, names.values()))):
            for precision, own in names.items():
                if place < len(own):
                    self._measure(own[place], precision)
                    self._save()
        self._save()
        return not self.together["failures"]

    def _file(self, name):
        return os.path.join(self.out, name)

    def _save(self):
        path = self._file("bench.json")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.together, file, indent=1)
            file.write("\n")
        os.replace(path + ".new", path)

    def _run(self, precision, flags, log):
        """Returns None on success, otherwise the reason for the failure."""
        seconds = min(self.each, self.end - time.monotonic())
        if seconds < LEAST_SECONDS:
            return "skipped: no time left"
        with open(self._file(log), "w", encoding="utf-8") as file:
            why = bounded.run([*self.command, f"--l2o_precision={precision}", *flags], seconds, file)
        return why and f"{why}: {last_line(self._file(log))}"

    def _names(self, precision):
        log = f"list_{precision}.log"
        why = self._run(precision, ["--benchmark_list_tests=true"], log)
        if why:
            self._fail(f"the list of benchmarks at {precision}", why)
            return []
        with open(self._file(log), encoding="utf-8") as file:
            return [line.strip() for line in file if re.fullmatch(r"\S+/real_time", line.strip())]

    def _measure(self, name, precision):
        base = re.sub(r"[^A-Za-z0-9]+", "_", name)
        report = self._file(base + ".json")
        flags = [f"--benchmark_filter=^{re.escape(name)}$", f"--benchmark_out={report}"]
        why = self._run(precision, [*flags, "--benchmark_out_format=json"], base + ".log")
        try:
            with open(report, encoding="utf-8") as file:
                content = json.load(file)
        except (OSError, ValueError):
            content = {}
        rows = content.get("benchmarks", [])
        good = [row for row in rows if not row.get("error_occurred")]
        errors = [row["error_message"] for row in rows if row.get("error_occurred")]
        self.together["context"] = self.together["context"] or content.get("context", {})
        self.together["benchmarks"] += good
        if why or errors or not good:
            self._fail(name, why or (errors or ["no result"])[0])
        else:
            print(f"{name}: {good[0].get('coordinate-steps/s', 0):.4g} coordinate-steps/s", flush=True)

    def _fail(self, name, why):
        print(f"{name}: {why}", flush=True)
        self.together["failures"].append({"name": name, "why": why})


def main():
    options, flags = arguments()
    end = time.monotonic() + options.limit
    each = EachBench(options.program, options.out, flags, end, options.each)
    return 0 if each.measure(options.precisions) else 1


if __name__ == "__main__":
    sys.exit(main())
