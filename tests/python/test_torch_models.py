"""Model files in torch, and the examples."""

import json
import math
import re
import struct
import tempfile
import unittest
from pathlib import Path

import l2o
import numpy as np

from reference import Rule
from support import (
    example_module, example_output, synthetic_gradients, synthetic_optimizer, sign_descent_optimizer,
)

try:
    import torch
except ImportError:
    raise unittest.SkipTest("torch is not installed")

torch.set_num_threads(1)  # these networks are too small for more


def read_safetensors(path):
    """Tensors by name and the metadata, read according to the format's definition."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
        tensors[name] = torch.tensor(values)
    return tensors, metadata


class ModelFileTest(unittest.TestCase):
    def test_torch_s_lstm_loads_the_tensors_by_name_and_gives_the_same_updates(self):
        n, steps = 5, 30
        for rule in (Rule(20, 2, "log_and_sign"), Rule(8, 1, "identity"), Rule(5, 3, "log_and_sign")):
            with self.subTest(**vars(rule)), tempfile.TemporaryDirectory() as directory:
                optimizer, _ = synthetic_optimizer(rule)
                path = Path(directory) / "model.safetensors"
                optimizer.save(path)
                tensors, metadata = read_safetensors(path)
                modules = torch.nn.ModuleDict(
                    {
                        "lstm": torch.nn.LSTM(rule.inputs, rule.hidden, num_layers=rule.layers),
                        "linear": torch.nn.Linear(rule.hidden, 1),
                    }
                )
                modules.load_state_dict(tensors, strict=True)
                gradients = synthetic_gradients(steps, n)
                inputs = np.stack([rule.preprocess(gradient) for gradient in gradients])
                with torch.no_grad():
                    outputs, _ = modules["lstm"](torch.tensor(inputs, dtype=torch.float32))
                    theirs = float(metadata["output_scale"]) * modules["linear"](outputs).squeeze(-1)
                run = l2o.Run(l2o.Optimizer.load(path), n)
                ours = torch.zeros(steps, n)
                for gradient, update in zip(gradients, ours):
                    run.step(gradient, update)
                self.assertLess((ours - theirs).abs().max(), 1e-5 * theirs.abs().max())


class ExampleTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.model = self.directory / "model.safetensors"
        sign_descent_optimizer(0.01).save(self.model)

    def test_torch_mnist(self):
        output = example_output(
            "torch_mnist.py", "--model", self.model, "--steps", "100", OMP_NUM_THREADS="1"
        )
        losses = [float(loss) for loss in re.findall(r"loss (\S+)", output)]
        self.assertGreater(len(losses), 1)
        self.assertLess(losses[-1], 0.5 * losses[0])

    def test_torch_suite(self):
        path = self.directory / "report.json"
        output = example_output(
            "torch_suite.py", self.model, "--quick", "--schedule", "cosine", "--json", path,
            "--jobs", "2", "--threads", "2",  # several of each, which can hang after a fork
            OMP_WAIT_POLICY="passive",  # there may be fewer idle cores
        )
        self.assertEqual(len(re.findall("^(?:ReLU MLP|transformer) .*", output, re.M)), 4)
        report = json.loads(path.read_text())
        self.assertEqual(len(report["rows"]), 2 * 6)
        for row in report["rows"]:
            for kind in ("constant", "either", "default"):
                best = row[kind]
                self.assertLess(0, best["loss"])
                self.assertAlmostEqual(best["ratio"], row["learned"] / best["loss"])
                self.assertTrue(best["at_edge"], "there are only two rates")
            self.assertLessEqual(row["either"]["loss"], row["constant"]["loss"])
        for _, _, optimizer, rate, _, early, late in report["final_losses"]:
            if (optimizer, rate) == ("Adam", 1e-2):
                self.assertLess(late, early)

    def test_torch_suite_reports_divergence_and_edges(self):
        suite = example_module("torch_suite")
        means = {
            ("learned", 1.0, "constant"): math.inf,
            ("Adam", 1e-3, "constant"): 3.0,
            ("Adam", 1e-2, "constant"): 2.0,
            ("Adam", 1e-1, "constant"): math.inf,
            ("SGD", 1e-2, "cosine"): 1.0,
        }
        row = suite.table_row("ReLU MLP", 10, means)
        path = self.directory / "report.json"
        suite.write_report(path, {"rows": [row], "final_losses": [("ReLU MLP", 1, math.nan)]})
        report = json.loads(path.read_text(), parse_constant=self.fail)
        self.assertEqual(report["final_losses"], [["ReLU MLP", 1, None]])
        (row,) = report["rows"]
        self.assertEqual((row["task"], row["steps"], row["learned"]), ("ReLU MLP", 10, None))
        for group, optimizer, rate, at_edge in (
            ("constant", "Adam", 1e-2, False),
            ("either", "SGD", 1e-2, True),
            ("default", "Adam", 1e-3, True),
        ):
            best = row[group]
            self.assertEqual(
                (best["optimizer"], best["rate"], best["at_edge"]), (optimizer, rate, at_edge)
            )
            self.assertIsNone(best["ratio"])


if __name__ == "__main__":
    unittest.main()
