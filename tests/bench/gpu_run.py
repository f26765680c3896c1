"""What the tests of bench/gpu/measure.py share: an archive of programs, a run, and its results."""

import json
import os
import subprocess
import sys
import tarfile
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MEASURE = os.path.join(ROOT, "bench/gpu/measure.py")


class GpuRun:
    """programs: by their names, paths or the text of scripts."""

    def __init__(self, programs):
        self.directory = tempfile.TemporaryDirectory(prefix="l2o-gpu-run-")
        self.out = os.path.join(self.directory.name, "out")
        archive = os.path.join(self.directory.name, "programs.tar.gz")
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(self._file("commit", "0123456789\n"), "commit")
            for name, program in programs.items():
                path = self._file(name, program) if program.startswith("#!") else program
                tar.add(path, "bin/" + name)
        self.command = [sys.executable, MEASURE, "--archive", archive]

    def _file(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def start(self, run, *arguments, **environment):
        command = [*self.command, run, self.out, *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env={**os.environ, **environment}, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def run(self, run, *arguments, **environment):
        """The exit status and what was said."""
        process = self.start(run, *arguments, **environment)
        said, _ = process.communicate(timeout=500)
        return process.returncode, said

    def summary(self):
        """Line: how it ended."""
        with open(os.path.join(self.out, "summary.txt"), encoding="utf-8") as file:
            return dict(text.strip().split(": ", 1) for text in file if ": " in text)

    def files(self, line):
        """Of a line: what its archive holds, by name."""
        with tarfile.open(os.path.join(self.out, line + ".tar.gz")) as tar:
            return {
                os.path.basename(member.name): tar.extractfile(member).read().decode(errors="replace")
                for member in tar.getmembers()
                if member.isfile()
            }

    def bench(self, line):
        """Its report: the names that have a result, and why others have none."""
        (report,) = (text for name, text in self.files(line).items() if name.startswith(line + "-"))
        report = json.loads(report)
        failures = {failure["name"]: failure["why"] for failure in report["failures"]}
        return {row["name"] for row in report["benchmarks"]}, failures

    def close(self):
        self.directory.cleanup()
