"""A crash, a hang or a broken device during bench/gpu/measure.py costs only its own result, and a stopped benchmark
keeps its partial report. Uses programs that only pretend to measure."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest

from gpu_run import ROOT, GpuRun

L2O = "#!/bin/sh\necho cuda\n"

CUDA_TEST = """#!/bin/sh
case "$*" in
  *--gtest_list_tests*) printf 'Good.\\n  A\\nCrashing.\\n  B\\nHanging.\\n  C\\nLast.\\n  D\\n' ;;
  *Crashing.*) kill -SEGV $$ ;;
  *Hanging.*) trap '' TERM; while :; do sleep 1; done ;;
esac
"""

# The names tell the outcome. A spoiled device stays spoiled for one process.
BENCH = f"""#!{sys.executable}
import json, os, re, signal, sys, time

flags = dict(flag[2:].split("=", 1) for flag in sys.argv[1:])
precision = flags["l2o_precision"]
names = [f"{{op}}/lstm/L:2/H:20/{{precision}}/N:{{n}}/real_time" for op in ("step", "unroll_backward") for n in (1, 2, 3, 4, 5)]
if "benchmark_list_tests" in flags:
    print("step/spoken of is left out: it takes 9 GB", *names, sep="\\n")
    sys.exit()
(name,) = (name for name in names if re.search(flags["benchmark_filter"], name))
out = open(flags["benchmark_out"], "w")
out.write('{{"context": {{"device": "cuda: Some GPU, of a test"}}, "benchmarks": [')
out.flush()
if name.startswith("step") and precision == "f32":
    if "N:2" in name:
        os.abort()
    if "N:3" in name:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
row = {{"name": name, "coordinate-steps/s": 1e9}}
if name.startswith("step") and precision == "half" and "N:4" in name:
    row = {{"name": name, "error_occurred": True, "error_message": "an illegal memory access"}}
out.write(json.dumps(row) + "]}}\\n")
"""


def name(op, precision, n):
    return f"{op}/lstm/L:2/H:20/{precision}/N:{n}/real_time"


def all_names(op):
    return {name(op, precision, n) for precision in ("mixed", "f32", "half") for n in range(1, 6)}


class Measure(unittest.TestCase):
    def setUp(self):
        self.gpu = GpuRun({"l2o": L2O, "l2o_cuda_test": CUDA_TEST, "l2o_bench": BENCH, "l2o_peer_worker": L2O})
        self.addCleanup(self.gpu.close)

    def test_a_failure_costs_only_its_own_measurement(self):
        status, said = self.gpu.run("first", "--times", "0.3", "--lines", "step,backward")
        self.assertEqual(status, 1, said)
        measured, failures = self.gpu.bench("step")
        crashed, hanging, spoiled = name("step", "f32", 2), name("step", "f32", 3), name("step", "half", 4)
        self.assertEqual(set(failures), {crashed, hanging, spoiled}, said)
        self.assertIn(f"signal {signal.SIGABRT.value}", failures[crashed])
        self.assertIn("stopped after", failures[hanging])
        self.assertIn("illegal memory access", failures[spoiled])
        self.assertEqual(measured, all_names("step") - set(failures))
        self.assertEqual(self.gpu.bench("backward"), (all_names("unroll_backward"), {}))
        self.assertTrue(self.gpu.summary()["backward"].startswith("passed"), said)
        self.assertTrue(self.gpu.summary()["step"].startswith("FAILED"), said)
        self.assertIn("N_1_real_time.json", "".join(self.gpu.files("step")))

    def test_a_failure_costs_only_its_own_tests(self):
        status, said = self.gpu.run("second", "--times", "0.2", "--lines", "tests")
        self.assertEqual(status, 1, said)
        ended = self.gpu.summary()["tests"]
        for suite, failed in {"Good": False, "Crashing": True, "Hanging": True, "Last": False}.items():
            self.assertEqual(suite + "_" in ended, failed, said)
            self.assertIn(suite + "_.txt", self.gpu.files("tests"))

    def test_few_files_come_back(self):
        self.gpu.run("first", "--times", "0.2", "--lines", "info,tests_h20_l2,step,backward,profile,meta_training")
        self.assertEqual(len(os.listdir(self.gpu.out)), 7)
        self.assertEqual(set(self.gpu.summary()), {"info", "tests_h20_l2", "step", "backward", "profile", "meta_training"})

    def test_a_stopped_run_keeps_its_results(self):
        process = self.gpu.start("first", "--lines", "step,backward")
        for text in process.stdout:  # until it waits for the one that hangs
            if name("step", "half", 2) in text:
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        report = json.loads(self.gpu.files("step")["bench.json"])
        self.assertIn(name("step", "mixed", 1), {row["name"] for row in report["benchmarks"]})


PARTIAL = """#!/bin/sh
for argument; do
  case $argument in --benchmark_out=*) out=${argument#--benchmark_out=} ;; esac
done
printf '{\\n  "context": {\\n    "device": "cpu: Some CPU"\\n  },\\n  "benchmarks": [\\n    {"name": "first"}' >"$out"
echo measuring
exec sleep 1000
"""


class RunAll(unittest.TestCase):
    def test_a_bench_that_is_stopped_keeps_its_report(self):
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(os.path.join(directory, "bin"))
            with open(os.path.join(directory, "bin/l2o_bench"), "w", encoding="utf-8") as file:
                file.write(PARTIAL)
            os.chmod(file.name, 0o755)
            results = os.path.join(directory, "results")
            process = subprocess.Popen(
                [os.path.join(ROOT, "bench/run_all.sh"), "--save=" + results],
                env={**os.environ, "BUILD": directory, "L2O_COMMIT": "abc"},
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
            self.assertEqual(process.stdout.readline(), b"measuring\n")
            os.killpg(process.pid, signal.SIGTERM)  # as timeout does
            process.communicate(timeout=60)
            (saved,) = os.listdir(results)
            self.assertTrue(saved.startswith("Some-CPU-") and saved.endswith("-abc-stopped.json"), saved)
            with open(os.path.join(results, saved), encoding="utf-8") as file:
                self.assertEqual(json.load(file)["benchmarks"], [{"name": "first"}])


if __name__ == "__main__":
    unittest.main()
