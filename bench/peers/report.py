"""The results of a comparison, as a table and as JSON."""

import datetime
import json
import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _processes(entry):
    return f"{entry['processes']} process{'' if entry['processes'] == 1 else 'es'}"


def say_trial(trial):
    told = trial.get("error")
    if told is None:
        told = f"{trial['rate'] / 1e6:8.3f} M/s"
        if trial["distance"] is not None:
            told += f"   distance {trial['distance']:.1e}"
    print(
        f"  {trial['peer']:6}{trial['op']:17}{trial['variant']:33}{_processes(trial)}"
        f"  chunk {trial['chunk']:7}  {told}",
        file=sys.stderr,
        flush=True,
    )


def _faster(row):
    times = row["ours_is_times_faster"]
    if not isinstance(times, dict):
        return f"{times:.2f}"
    return " / ".join(f"{value:.2f}" for value in times.values())


def print_table(rows):
    by = "ours is faster by"
    for row in rows:
        if isinstance(row["ours_is_times_faster"], dict):
            by = "ours is faster by: " + " / ".join(row["ours_is_times_faster"])
            break
    print(f"| operation | N | who | variant | 1e6 coordinate-steps/s (range) | {by} |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        variant = row["variant"]
        if not row["who"].startswith("l2o"):
            variant += f", {_processes(row)}"
            if row["chunk"]:
                variant += f", chunks of {min(row['chunk'], row['n'])}"
        rates = [rate / 1e6 for rate in row["rates"]]
        print(
            f"| {row['op']} | {row['n']} | {row['who']} | {variant} | {row['median'] / 1e6:.3f} "
            f"({min(rates):.3f} .. {max(rates):.3f}) | {_faster(row)} |"
        )


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit():
    """L2O_COMMIT if it is set, otherwise the commit of this tree."""
    if os.environ.get("L2O_COMMIT"):
        return os.environ["L2O_COMMIT"]
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=9"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"
    except OSError:  # no git
        return "unknown"


class Report:
    def __init__(self, options):
        self.options, self.rows, self.tried, self.about = options, [], [], {}

    def add(self, rows, tried, about):
        """Saves the results so far, so that they survive any failure."""
        self.rows += rows
        self.tried += tried
        self.about |= about
        self.save()

    def save(self):
        self.content = {
            "date": datetime.date.today().isoformat(),
            "processor": processor(),
            "threads": self.options.threads,
            "commit": commit(),
            **self.about,
            "rows": self.rows,
            "search": self.tried,
        }
        if self.options.json:
            temporary = self.options.json + ".tmp"
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(self.content, file, indent=1)
            os.replace(temporary, self.options.json)

    def print(self):
        if not self.rows:
            sys.exit("nothing was measured")
        c = self.content
        where = c.get("gpu") or f"{c['processor']}, {c['threads']} threads"
        print(f"{c['date']}, {where}, commit {c['commit']},", c["versions"])
        print_table(self.rows)
