"""meta_train."""

import contextlib
import errno
import io
import json
import math
import re
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import l2o
import numpy as np

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

    def test_a_directory_of_a_run_with_other_validation(self):
        self.train("run", callbacks=[lambda now: now.report.episode == 4])
        for name in ("validation_seed", "validation_steps", "validation_tasks", "validate_every"):
            there = name.replace("validation_", "validation.").replace("validate_", "validation.")
            with self.assertRaisesRegex(ValueError, f"another configuration, with {there} = .* instead of 7"):
                self.train("run", **{name: 7})
        config = self.directory / "run" / "config.toml"
        config.write_text(config.read_text().partition("[validation]")[0])  # of an older version
        self.assertEqual(self.train("run").episodes, 12)

    def test_the_order_of_a_configuration_does_not_matter(self):
        self.train("run")
        self.CONFIG = {
            table: dict(reversed(values.items())) for table, values in reversed(self.CONFIG.items())
        }
        self.assertEqual(self.train("run").episodes, 12)

    def test_a_directory_is_used_by_one_run_at_a_time(self):
        failures = []

        def train_again(now):
            try:
                self.train("run")
            except l2o.Error as error:
                failures.append(error)

        self.train("run", callbacks=[train_again])
        self.assertEqual({error.status for error in failures}, {l2o.Status.BUSY})
        self.assertRegex(str(failures[0]), "another run is training in .*run")
        with self.assertRaises(ValueError):
            self.train("run", validate_every=7)
        self.train("run")  # nobody uses it any more
        with mock.patch("fcntl.flock", side_effect=OSError(errno.ENOLCK, "No locks available")):
            with self.assertWarnsRegex(RuntimeWarning, "run cannot be locked .No locks available"):
                self.train("run")

    def test_damaged_metrics(self):
        straight = self.train("straight")
        self.train("stopped", callbacks=[lambda now: now.report.episode == 8])
        text = (self.directory / "stopped" / "metrics.jsonl").read_text()
        lines = text.splitlines(keepends=True)
        for name, damaged, episodes in (
            ("cut", text[:-20], 12),  # the line of the validation after episode 8
            ("empty", "", 4),
            ("garbage", "garbage\n" + "".join(lines[1:]), 11),
            ("other", '{"episode": 1, "x": 2}\n[]\n' + "".join(lines[1:]), 11),
            ("last", "".join(lines[:-2]), 11),
            ("missing", None, 4),
        ):
            with self.subTest(name):
                shutil.copytree(self.directory / "stopped", self.directory / name)
                metrics = self.directory / name / "metrics.jsonl"
                metrics.unlink() if damaged is None else metrics.write_text(damaged)
                with self.assertWarnsRegex(RuntimeWarning, "metrics.jsonl is damaged"):
                    result = self.train(name)
                self.assertEqual(result[1:4], straight[1:4])  # the best, and the same
                self.assertEqual(self.phi(result.optimizer), self.phi(straight.optimizer))
                self.assertEqual(len(result.meta_losses), episodes)
        shutil.copytree(self.directory / "stopped", self.directory / "blank")
        (self.directory / "blank" / "metrics.jsonl").write_text("\n" + text + "\n")
        self.assertEqual(self.train("blank")[1:], straight[1:])

    def test_damaged_metrics_of_a_complete_run(self):
        straight = self.train("run")
        (self.directory / "run" / "metrics.jsonl").unlink()
        with self.assertWarns(RuntimeWarning):
            result = self.train("run")
        self.assertEqual((result.episodes, result.validation), (12, straight.validation))
        self.assertEqual(self.phi(result.optimizer), self.phi(straight.optimizer))
        self.assertEqual(len(list((self.directory / "run").glob("checkpoint-*"))), 1)

    def test_a_worse_model_does_not_replace_the_best_if_metrics_are_lost(self):
        losses = iter((1.0, 3.0, 2.0))
        with mock.patch("l2o._meta_train._validation", lambda *_: next(losses)):
            self.train("run", callbacks=[lambda now: now.report.episode == 5])
            best = (self.directory / "run" / "model.safetensors").read_bytes()
            (self.directory / "run" / "metrics.jsonl").unlink()
            with self.assertWarns(RuntimeWarning):
                result = self.train("run")
        self.assertEqual(result.validation, 1.0)
        self.assertEqual((self.directory / "run" / "model.safetensors").read_bytes(), best)

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

    def test_progress_that_cannot_be_written_does_not_end_the_training(self):
        class Full(io.StringIO):
            def write(self, _):
                raise OSError(errno.ENOSPC, "No space left on device")

        closed = io.StringIO()
        closed.close()
        broken = mock.Mock(**{"tqdm.side_effect": RuntimeError})
        for stderr in (None, Full(), closed):
            for modules in ({}, {"tqdm": broken}):
                stdout = io.StringIO()
                with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
                    with mock.patch.dict(sys.modules, modules):
                        self.assertEqual(self.train(progress=True).episodes, 12)
                self.assertEqual(stdout.getvalue(), "")

    def test_a_broken_tensorboard_does_not_end_the_training(self):
        for when in ("SummaryWriter.side_effect", "SummaryWriter.return_value.add_scalar.side_effect"):
            board = mock.Mock(**{when: AttributeError("broken")})
            modules = {"torch": board, "torch.utils": board, "torch.utils.tensorboard": board}
            with mock.patch.dict(sys.modules, modules):
                with self.assertWarnsRegex(RuntimeWarning, "TensorBoard: AttributeError..broken"):
                    self.assertEqual(self.train(when).episodes, 12)

    def test_a_callback_ends_the_training_with_true_of_any_library(self):
        for true, episodes in ((True, 3), (np.True_, 3), (1, 12), ("yes", 12), (np.False_, 12)):
            result = self.train(callbacks=[lambda now: now.report.episode == 3 and true])
            self.assertEqual((result.episodes, result.stopped), (episodes, episodes == 3))

    def test_invalid_arguments(self):
        for config, error, message in (
            ("train.episodes = 2", TypeError, "config is a str; expected a mapping"),
            ({"train": None}, TypeError, "key train is a NoneType"),
            ({"train": {"steps": "100"}}, l2o.Error, "train.steps = .*expected an integer"),
        ):
            with self.assertRaisesRegex(error, message):
                l2o.meta_train(Bowls(), config, progress=False)
        with self.assertRaisesRegex(ValueError, "validation_tasks is 0"):
            self.train(validation_tasks=0)
        with self.assertRaisesRegex(ValueError, "run_directory is ''"):
            l2o.meta_train(Bowls(), self.CONFIG, run_directory="", progress=False)


if __name__ == "__main__":
    unittest.main()
