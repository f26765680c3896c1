"""meta_train."""

import contextlib
import io
import json
import math
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import l2o

from bowls import Bowls


class MetaTrainTest(unittest.TestCase):
    CONFIG = {
        "optimizer": {"hidden": 4, "layers": 1},
        "train": {"episodes": 12, "steps": 20, "unroll_length": 10},
        "meta_optimizer": {"learning_rate": 0.02},
    }

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def train(self, name=None, **options):
        run = None if name is None else self.directory / name
        options = {"validate_every": 4, "tasks": 3, "progress": False, **options}
        return l2o.meta_train(Bowls(), self.CONFIG, run_directory=run, **options)

    def phi(self, optimizer):
        return optimizer.get_meta_parameters().tolist()

    def test_it_learns_and_returns_the_best(self):
        seen = []
        result = self.train(callbacks=[seen.append])
        self.assertEqual([progress.report.episode for progress in seen], list(range(1, 13)))
        validations = [p.validation for p in seen if p.validation is not None]
        self.assertEqual(len(validations), 3)
        self.assertEqual(result.validation, min(validations))
        self.assertEqual((result.episodes, result.stopped), (12, False))
        losses = l2o.evaluate(result.optimizer, l2o.Optimizee(Bowls(), tasks=3), 20, seed=1)
        self.assertAlmostEqual(losses[:, -2:].mean(), result.validation, places=5)

    def test_an_interrupted_run_continues_with_the_same_bits(self):
        straight = self.train("straight")
        for last in (1, 4, 5, 11):  # with a validation and without one
            name = f"stopped{last}"
            stopped = self.train(name, callbacks=[lambda now: now.report.episode == last])
            self.assertEqual((stopped.episodes, stopped.stopped), (last, True))
            result = self.train(name)
            self.assertEqual(self.phi(result.optimizer), self.phi(straight.optimizer))
            self.assertEqual(result[1:], straight[1:])
            for file in ("metrics.jsonl", "model.safetensors", "checkpoint-12.bin"):
                paths = [self.directory / run / file for run in (name, "straight")]
                self.assertEqual(*[path.read_bytes() for path in paths], file)
        again = self.train("straight")  # complete: nothing to do
        self.assertEqual(self.phi(again.optimizer), self.phi(straight.optimizer))

    def test_ctrl_c_saves_a_checkpoint(self):
        straight = self.train("straight")

        def interrupt(now):
            if now.report.episode == 6:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.train("interrupted", callbacks=[interrupt])
        self.assertTrue((self.directory / "interrupted" / "checkpoint-6.bin").exists())
        result = self.train("interrupted")
        self.assertEqual(self.phi(result.optimizer), self.phi(straight.optimizer))

    def test_a_nan_validation_is_the_worst(self):
        losses = iter((math.nan, 3.0, 2.0))
        with mock.patch("l2o._meta_train._validation", lambda *_: next(losses)):
            result = self.train("run")
        self.assertEqual(result.validation, 2.0)
        lines = (self.directory / "run" / "metrics.jsonl").read_text().splitlines()
        validations = [json.loads(line, parse_constant=self.fail) for line in lines]
        self.assertEqual([v["validation"] for v in validations if "validation" in v], [None, 3.0, 2.0])
        self.assertEqual(self.train("run").validation, 2.0)
        stopped = self.train("stopped", callbacks=[lambda now: True])
        self.assertEqual((stopped.validation, stopped.episodes), (None, 1))

    def test_notebooks_show_its_curves(self):
        page = self.train()._repr_html_()
        ElementTree.fromstring(page.replace("&nbsp;", " ").replace("<br>", "<br/>"))
        self.assertIn("12 episodes, the lowest validation loss", page)
        points = [line.split() for line in re.findall('points="(.*?)"', page)]
        self.assertEqual([len(line) for line in points], [12, 3])
        self.assertNotIn("nan", page)

    def test_a_directory_of_another_run(self):
        self.train("run")
        with self.assertRaisesRegex(ValueError, "another configuration"):
            l2o.meta_train(Bowls(), {}, run_directory=self.directory / "run")

    def test_files_keep_their_modes_and_links_and_leave_no_others(self):
        run = self.directory / "run"
        self.train("run", callbacks=[lambda now: now.report.episode == 4])
        metrics, elsewhere = run / "metrics.jsonl", self.directory / "elsewhere"
        metrics.rename(elsewhere)
        elsewhere.chmod(0o640)
        metrics.symlink_to("../elsewhere")
        mine = run / "metrics.jsonl.tmp"
        mine.write_text("mine")
        (run / ".l2o-0123456789abcdef.tmp").write_text("half of")
        self.train("run")
        self.assertTrue(metrics.is_symlink())
        self.assertEqual(elsewhere.stat().st_mode & 0o777, 0o640)
        self.assertEqual(len(elsewhere.read_text().splitlines()), 15)
        self.assertEqual([path.name for path in run.glob("*.tmp")], [mine.name])
        self.assertEqual(list(run.glob(".l2o-*")), [])

    def test_progress_goes_to_stderr(self):
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            self.train(progress=True)
        self.assertIn("12", stderr.getvalue())
        self.assertIn("validation", stderr.getvalue())


if __name__ == "__main__":
    unittest.main()
