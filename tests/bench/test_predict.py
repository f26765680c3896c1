"""Tests what bench/gpu/predict.py reads from machine code."""

import os
import sys
import unittest

from gpu_run import ROOT

sys.path.insert(0, os.path.join(ROOT, "bench/gpu"))

import predict  # noqa: E402

NAME = "_ZN3l2o4cuda27lstm_unroll_backward_kernelINS0_12LstmGeometryILi20ELi2ENS0_14LogAndSignRuleEEELNS_9PrecisionE1EEEv"
# A stall of 2 clocks, and no scoreboards.
CONTROL = f"/* 0x{(7 << 8 | 7 << 5 | 2) << 41:016x} */"
CODE = """
0000 S2R R13, SR_TID.X
0010 HMMA.16816.F32 R0, R4, R8, R0
0020 @!P3 BRA 0x50
0030 MUFU.TANH R1, R2
0040 BRA 0x70
0050 LDS.128 R4, [R8]
0060 LDSM.16.MT88.4 R4, [R8]
0070 @P1 BRA 0x90
0080 FFMA R1, R2, R3, R4
0090 @P0 BRA 0x10
00a0 EXIT
00b0 HMMA.16816.F32 R0, R4, R8, R0
00c0 BRA 0x10
"""


def sass():
    lines = [f"\t\tFunction : {NAME}"]
    for line in CODE.split("\n"):
        if line:
            address, text = line.split(" ", 1)
            lines += [f"        /*{address}*/    {text} ;      /* 0x0000000000000000 */", f"        {CONTROL}"]
    return "\n".join(lines)


class Predict(unittest.TestCase):
    def setUp(self):
        self.code = predict.kernels(sass())["unroll_backward", "mixed"]

    def test_the_loop_excludes_code_after_its_end(self):
        (loop,) = predict.loops(self.code)
        self.assertEqual([i.address for i in loop], list(range(0x10, 0xA0, 0x10)))
        self.assertEqual({i.stall for i in loop}, {2})

    def test_of_two_ways_each_counts_half(self):
        counts = predict.counts(predict.loops(self.code)[0])
        self.assertEqual(counts["HMMA"], 8)
        self.assertEqual(counts["MUFU"], 8 / 2)
        self.assertEqual(counts["LSU"], (4 + 4) / 2)
        self.assertEqual(counts["FMA"], 1)  # skippable instructions do not count
        self.assertEqual(counts["issue"], (7 + 7) / 2)

    def test_a_pipe_that_is_full_takes_the_time(self):
        loop = [i for i in predict.loops(self.code)[0] if i.opcode.startswith("HMMA")]
        # Of eight warps two share a pipe of 8 clocks.
        self.assertAlmostEqual(predict.simulate(loop, 8, iterations=100), 2 * 8, delta=1)


if __name__ == "__main__":
    unittest.main()
