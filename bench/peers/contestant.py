"""A contestant: one framework, as one process on all cores or as one process per core."""

import json
import os
import select
import subprocess

import numpy as np


class Contestant:
    """Its processes follow the protocol of worker.py; their errors are RuntimeErrors."""

    def __init__(self, command, directory, n, cores, processes=1, device="cpu", environment=()):
        """environment: variables in addition to those of this process."""
        self.command, self.directory, self.n = command, directory, n
        self.cores, self.processes, self.device = cores, processes, device
        self.environment = _clean_environment() | dict(environment)
        self.starts = 0
        self.start()

    def start(self):
        share, cores_each = self.n // self.processes, len(self.cores) // self.processes
        self.starts += 1
        self.workers = [
            subprocess.Popen(
                self.command
                + ["--problem", self.directory, "--first", str(i * share), "--count", str(share)]
                + ["--cores", ",".join(map(str, self.cores[i * cores_each : (i + 1) * cores_each]))]
                + ["--device", self.device],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self.environment,
            )
            for i in range(self.processes)
        ]
        self.description = self._answers(self.workers, None)[0]

    def restart(self):
        """Starts new processes: after an error the old ones may have died. All slots are lost."""
        self.kill()
        self.start()

    def kill(self):
        for worker in self.workers:
            worker.kill()
            worker.wait()

    def prepare(self, slot, op, variant, chunk, n, timeout=None):
        """Prepares n coordinates, in all processes together."""
        message = {"slot": slot, "op": op, "variant": variant, "chunk": chunk, "n": n // self.processes}
        self._say(self.workers, timeout, command="prepare", **message)

    def seconds(self, slot, calls, timeout=None):
        """The time of a call: that of the slowest process."""
        answers = self._say(self.workers, timeout, command="run", slot=slot, calls=calls)
        return max(answer["seconds"] for answer in answers) / calls

    def calls_for(self, slot, seconds, timeout=None):
        """The number of calls that take about `seconds`."""
        return max(1, round(seconds / self.seconds(slot, 1, timeout)))

    def results(self, slot, directory):
        """The results of the first process."""
        path = os.path.join(directory, "results.f32")
        self._say(self.workers[:1], None, command="results", slot=slot, path=path)
        return np.fromfile(path, np.float32)

    def drop(self, slot):
        self._say(self.workers, None, command="drop", slot=slot)

    def clear(self):
        self._say(self.workers, None, command="clear")

    def close(self):
        for worker in self.workers:
            worker.stdin.close()
            worker.wait()

    def _say(self, workers, timeout, **message):
        for worker in workers:
            try:
                worker.stdin.write(json.dumps(message) + "\n")
                worker.stdin.flush()
            except OSError:
                raise RuntimeError("the process died") from None
        return self._answers(workers, timeout)

    @staticmethod
    def _answers(workers, timeout):
        answers = []
        for worker in workers:
            if timeout is not None and not select.select([worker.stdout], [], [], timeout)[0]:
                answers.append({"error": f"no answer within {timeout:.0f} s"})
                continue
            line = worker.stdout.readline()
            answers.append(json.loads(line) if line else {"error": "the process died"})
        for answer in answers:
            if "error" in answer:
                raise RuntimeError(answer["error"])
        return answers


def _clean_environment():
    """The environment without settings that would slow a peer down or change its number of threads."""
    drop = ("OPENBLAS_", "MKL_", "OMP_", "KMP_", "GOMP_", "NVPL_", "XLA_FLAGS", "JAX_", "TORCH")
    return {name: value for name, value in os.environ.items() if not name.startswith(drop)}
