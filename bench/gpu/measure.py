#!/usr/bin/env python3
"""Measures on a GPU for a few minutes, in two runs that keep partial results: bench/gpu/measure.py first|second [OUT]

  first, 300 s     info           GPU, driver, clocks, versions                                 15 s
                   tests_h20_l2   the kernels of the default shape; memcheck of a failure        40 s
                   step           its steps, at every N and precision                            45 s
                   backward       its backward passes, likewise                                  60 s
                   profile        hardware counters of the six kernels, from ncu                 60 s
                   meta_training  unrolls and episodes on MNIST, one task                        40 s
  second, 420 s    tests          every test of the CUDA backend                                120 s
                   sanitize       memcheck and racecheck of the smallest shapes                  90 s
                   peers          l2o against PyTorch and JAX on the same work                  120 s
                   bench          all other benchmarks                                           80 s

Each line has its own time limit and runs everything in processes with their own limits: a process that crashes, hangs or
corrupts its device context loses only its own result. OUT (default: out/gpu/<run>) gets <line>.tar.gz as soon as a line
ends, and summary.txt with the outcome of each; the exit status is 0 if all of them succeeded.

The programs are those packed by bench/gpu/pack.sh. If PyTorch and JAX are installed for another Python, name it with
--peers-python.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))

import bounded  # noqa: E402
from run_each import EachBench  # noqa: E402

# Time limits of a run and of its lines, in seconds.
RUNS = {
    "first": (300, {"info": 15, "tests_h20_l2": 40, "step": 45, "backward": 60, "profile": 60, "meta_training": 40}),
    "second": (420, {"tests": 120, "sanitize": 90, "peers": 120, "bench": 80}),
}
LEAST_SECONDS = 2  # do not start anything with less time left
BENCH_SECONDS = 12  # limit of one measurement
REPEAT = "--benchmark_repetitions=3 --benchmark_min_time=0.1 --benchmark_report_aggregates_only=true"
# Benchmarks of the first run, by name.
STEP = "step/lstm/L:2/H:20/(mixed|f32|half)/"
BACKWARD = "unroll_backward/lstm/L:2/H:20/(mixed|f32|half)/"
META_TRAINING = "meta_training_(unroll|episode)/mnist/tasks:1/"
# Every kernel of the learned rule at its own shape, and one test of every other kind of kernel.
SMALLEST = [
    "*TensorCoreLstm.AgreesWithFloat64/h20_l2_*",
    "*TensorCoreLstm.AgreesWithFloat64/modulated_h8_l1_*",
    "*PortableLstmShapes.AgreesWithFloat64/h21_l2",
    "CudaGenericDriver.MetaGradient*:CudaMetaUpdate.MatchesTheCpu",
    "CudaDenseOps.BiasAndActivation*:CudaDenseOps.SoftmaxCrossEntropy:CudaOps.Quadratic:CudaOps.NonFiniteNumbers",
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("out", nargs="?")
    parser.add_argument("--lines", help="only these lines of the run, comma-separated")
    parser.add_argument("--archive", default=os.path.join(ROOT, "build/gpu/carry/programs.tar.gz"))
    parser.add_argument("--peers-python", default=os.environ.get("L2O_PYTHON", sys.executable))
    rehearsal = parser.add_argument_group("for a rehearsal without a GPU")
    rehearsal.add_argument("--times", type=float, default=1.0, help="scales all time limits")
    rehearsal.add_argument("--suites", default="*", help="GoogleTest filter for the line tests")
    rehearsal.add_argument("--benches", default="", help="regular expression that benchmark names must match")
    rehearsal.add_argument("--flags", default=REPEAT, help="flags of l2o_bench, as one argument")
    return parser.parse_args()


class Line:
    """The resources of one line: a directory for its results, and a time limit."""

    def __init__(self, measure, name, directory, seconds):
        self.options, self.programs = measure.options, measure.programs
        self.name, self.directory, self.end = name, directory, time.monotonic() + seconds
        self.failures = []
        os.makedirs(directory)

    def left(self):
        return self.end - time.monotonic()

    def file(self, name):
        return os.path.join(self.directory, name)

    def program(self, name):
        return os.path.join(self.programs, "bin", name)

    def run(self, name, command, seconds=1e9, is_needed=True):
        """Writes the output to <name>.txt. Returns whether the command succeeded."""
        seconds = min(seconds * self.options.times, self.left())
        if seconds < LEAST_SECONDS:
            why = "skipped: no time left"
        else:
            with open(self.file(name + ".txt"), "w", encoding="utf-8") as log:
                why = bounded.run(command, seconds, log, cwd=ROOT)
        if why:
            print(f"  {self.name}/{name}: {why}", flush=True)
            if is_needed:
                self.failures.append(name)
        return not why

    def bench(self, is_wanted):
        flags = ["--l2o_device=cuda", *shlex.split(self.options.flags)]
        each = EachBench(self.program("l2o_bench"), self.directory, flags, self.end, BENCH_SECONDS * self.options.times)
        if not each.measure(is_wanted=lambda name: is_wanted(name) and re.search(self.options.benches, name)):
            self.failures += [failure["name"] for failure in each.together["failures"]]
        self.save_report("bench.json", self.name + "-")

    def save_report(self, name, prefix):
        if os.path.exists(self.file(name)):
            subprocess.run([os.path.join(ROOT, "bench/save_report.sh"), self.file(name), self.directory, prefix])


# ----------------------------------------------------------------------------------------- the lines


def info(line):
    python = "import sys, torch, jax; print('Python', sys.version.split()[0], torch.__version__, jax.__version__)"
    query = "name,driver_version,clocks.max.sm,clocks.max.mem,clocks.sm,clocks.mem,power.limit,memory.total"
    line.run("devices", [line.program("l2o"), "devices"])
    for precision in ("f32", "mixed", "half"):
        model = os.path.join(ROOT, "models/quadratic.safetensors")
        line.run(f"info_{precision}", [line.program("l2o"), "info", model, "--device", "cuda", "--precision", precision])
    for name, command in (
        ("query", ["nvidia-smi", f"--query-gpu={query}", "--format=csv"]),
        ("smi", ["nvidia-smi"]),
        ("nvcc", ["nvcc", "--version"]),
        ("processor", ["grep", "-m", "1", "model name", "/proc/cpuinfo"]),
        ("python", [line.options.peers_python, "-c", python]),
    ):
        line.run(name, command, 6, is_needed=False)


def test_command(line, tests):
    return [line.program("l2o_cuda_test"), "--gtest_brief=1", f"--gtest_filter={tests}"]


def memcheck_command(line, tool, tests):
    return ["compute-sanitizer", "--tool", tool, "--error-exitcode", "99", *test_command(line, tests)]


def tests_h20_l2(line):
    tests = "*TensorCoreLstm*h20_l2*"
    if line.run("tests", test_command(line, tests), 25):
        return
    with open(line.file("tests.txt"), encoding="utf-8", errors="replace") as file:
        failed = re.findall(r"^\[  FAILED  \] (\S+?),? ", file.read(), re.M)
    line.run("memcheck", memcheck_command(line, "memcheck", failed[0] if failed else tests), is_needed=False)


def step(line):
    line.bench(lambda name: re.match(STEP, name))


def backward(line):
    line.bench(lambda name: re.match(BACKWARD, name))


def profile(line):
    ncu = ["ncu", "--clock-control", "none", "--set", "full", "--launch-skip", "2", "--launch-count", "1"]
    bench = [line.program("l2o_bench"), "--l2o_device=cuda", "--l2o_roof_memory=100000000"]
    kernels = [(op, p) for p in ("mixed", "f32", "half") for op in ("unroll_backward", "step")]
    for place, (op, precision) in enumerate(kernels):
        name = f"{op}_{precision}"
        what = [f"--l2o_precision={precision}", f"--benchmark_filter=^{op}/lstm/L:2/H:20/{precision}/N:1000000/"]
        which = ["-k", f"regex:lstm_{op}_kernel", "--export", line.file(name)]
        line.run(name, ncu + which + bench + ["--benchmark_min_time=0.01"] + what, line.left() / (len(kernels) - place))


def meta_training(line):
    line.bench(lambda name: re.match(META_TRAINING, name))


def tests(line):
    """Suite by suite: after an illegal access, all further tests of the same process fail."""
    if not line.run("list", [*test_command(line, line.options.suites), "--gtest_list_tests"], 20):
        return
    with open(line.file("list.txt"), encoding="utf-8") as file:
        suites = re.findall(r"^(\S+\.)(?: .*)?$", file.read(), re.M)
    for suite in suites:
        line.run(re.sub(r"\W+", "_", suite), test_command(line, f"{suite}*"), 30)


def sanitize(line):
    for tool in ("memcheck", "racecheck"):
        for number, smallest in enumerate(SMALLEST):
            line.run(f"{tool}_{number}", memcheck_command(line, tool, smallest), 25)


def peers(line):
    limit = str(int(line.left() * 0.9))
    json = line.file("peers.json")
    command = [line.options.peers_python, "bench/peers/compare.py", "--device", "cuda", "--quick", "--limit", limit]
    line.run("compare", command + ["--json", json, "--engine", line.program("l2o_peer_worker")])
    line.save_report("peers.json", "peers-")


def bench(line):
    line.bench(lambda name: not re.match(f"{STEP}|{BACKWARD}|{META_TRAINING}", name))


LINES = {f.__name__: f for f in (info, tests_h20_l2, step, backward, profile, meta_training, tests, sanitize, peers, bench)}

# ------------------------------------------------------------------------------------------- the run


def find_cuda():
    """Makes cuBLAS and the tools available if they are not found by default."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    cuda = os.path.dirname(os.path.dirname(nvcc))
    os.environ["PATH"] += os.pathsep + os.path.join(cuda, "bin")
    places = [os.path.join(cuda, "lib64")]
    for module in ("nvidia.cublas", "nvidia.cu13"):
        try:
            package = __import__(module, fromlist=["path"])
            places += [os.path.join(path, "lib") for path in package.__path__]
        except ImportError:
            pass
    found = [p for p in places if os.path.isdir(p) and any(f.startswith("libcublas.so") for f in os.listdir(p))]
    known = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout if shutil.which("ldconfig") else ""
    if found and "libcublas.so" not in known:
        libraries = [found[0], os.environ.get("LD_LIBRARY_PATH", "")]
        os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))


class Measure:
    def __init__(self, options, work):
        self.options, self.work = options, work
        seconds, self.lines = RUNS[options.run]
        self.end = time.monotonic() + seconds * options.times
        self.out = os.path.abspath(options.out or os.path.join(ROOT, "out/gpu", options.run))
        os.makedirs(self.out, exist_ok=True)
        self.summary = os.path.join(self.out, "summary.txt")
        open(self.summary, "w", encoding="utf-8").close()
        self.programs = os.path.join(work, "programs")
        with tarfile.open(options.archive) as archive:
            archive.extractall(self.programs)
        with open(os.path.join(self.programs, "commit"), encoding="utf-8") as file:
            os.environ["L2O_COMMIT"] = file.read().strip()
        self.say(f"commit {os.environ['L2O_COMMIT']}")

    def say(self, text):
        print(text, flush=True)
        with open(self.summary, "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def run(self):
        """Returns whether everything succeeded."""
        wanted = self.options.lines.split(",") if self.options.lines else self.lines
        return all([self.run_line(name, self.lines[name] * self.options.times) for name in wanted])

    def run_line(self, name, seconds):
        start = time.monotonic()
        seconds = min(seconds, self.end - start)
        if seconds < LEAST_SECONDS:
            self.say(f"{name}: skipped: no time left")
            return False
        line = Line(self, name, os.path.join(self.work, name), seconds)
        try:
            LINES[name](line)
        except Exception as error:  # of this script: the other lines continue
            line.failures.append(f"{type(error).__name__}: {error}")
        finally:
            self.pack(name)
            took = f"{time.monotonic() - start:.0f} s"
            self.say(f"{name}: " + (f"FAILED, {took}: " + ", ".join(line.failures) if line.failures else f"passed, {took}"))
        return not line.failures

    def pack(self, name):
        path = os.path.join(self.out, name + ".tar.gz")
        with tarfile.open(path + ".new", "w:gz") as archive:
            archive.add(os.path.join(self.work, name), name)
        os.replace(path + ".new", path)


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # pack the results obtained so far
    find_cuda()
    with tempfile.TemporaryDirectory(prefix="l2o-gpu-") as work:
        return 0 if Measure(options, work).run() else 1


if __name__ == "__main__":
    sys.exit(main())
