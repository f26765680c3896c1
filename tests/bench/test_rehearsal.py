"""A rehearsal of bench/gpu/measure.py with the programs that run on an emulated GPU, one kernel of which spoils the device,
crashes or hangs. L2O_EMULATED_TEST and L2O_EMULATED_BENCH name the programs."""

import os
import unittest

from gpu_run import GpuRun

DEVICES = "#!/bin/sh\necho cuda emulated GPU\n"
# Benchmarks that take seconds in an emulation.
SMALL = [
    "--benches=N:1000/",
    "--flags=--benchmark_min_time=0.001 --l2o_roof_memory=4000000",
    "--suites=CudaMetaUpdate.*:ReducePartials.*",  # in this order
]
BACKWARD, STEP = "lstm_unroll_backward_kernel", "lstm_step_kernel"


@unittest.skipUnless("L2O_EMULATED_BENCH" in os.environ, "L2O_EMULATED_BENCH names no program")
class Rehearsal(unittest.TestCase):
    def setUp(self):
        test, bench = os.environ["L2O_EMULATED_TEST"], os.environ["L2O_EMULATED_BENCH"]
        self.gpu = GpuRun({"l2o": DEVICES, "l2o_cuda_test": test, "l2o_bench": bench})
        self.addCleanup(self.gpu.close)

    def run_with(self, failure, run, lines, times):
        arguments = ["--lines", lines, "--times", str(times), *SMALL]
        _, said = self.gpu.run(run, *arguments, L2O_EMULATION_FAILURE=failure)
        return said

    def test_a_spoiled_device_costs_what_uses_the_kernel(self):
        said = self.run_with(f"spoil:{BACKWARD}", "first", "step,backward", 5)
        measured, failures = self.gpu.bench("step")
        self.assertEqual((len(measured), failures), (3, {}), said)
        measured, failures = self.gpu.bench("backward")
        self.assertEqual((measured, len(failures)), (set(), 3), said)
        for why in failures.values():
            self.assertIn("illegal memory access", why)

    def test_so_does_a_crash(self):
        said = self.run_with(f"crash:{STEP}", "first", "step,backward", 5)
        measured, failures = self.gpu.bench("step")
        self.assertEqual((measured, len(failures)), (set(), 3), said)
        measured, failures = self.gpu.bench("backward")
        self.assertEqual((len(measured), failures), (3, {}), said)

    def test_suites_that_hang_are_left_behind(self):
        said = self.run_with("hang:meta_update", "second", "tests", 0.5)
        ended = self.gpu.summary()["tests"]
        self.assertIn("CudaMetaUpdate_", ended, said)
        self.assertNotIn("ReducePartials_", ended, said)
        self.assertIn("[  PASSED  ]", self.gpu.files("tests")["ReducePartials_.txt"])


if __name__ == "__main__":
    unittest.main()
