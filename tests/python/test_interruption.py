"""Signals, and the exit of Python, during long calls."""

import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

import l2o
from l2o import _long_calls

from bowls import Bowl


class InterruptionTest(unittest.TestCase):
    """Signals during a long call."""

    def after_a_while(self, number):
        """Sends a signal to the main thread."""
        main = threading.main_thread().ident
        timer = threading.Timer(0.3, signal.pthread_kill, (main, number))
        timer.start()
        self.addCleanup(timer.join)

    def assert_interrupted(self, call, exception=KeyboardInterrupt, number=signal.SIGINT):
        """The exception of the signal's handler ends the call, and the handlers are as before."""
        handler = signal.getsignal(number)
        self.after_a_while(number)
        began = time.monotonic()
        with self.assertRaises(exception) as caught, mock.patch("sys.unraisablehook") as lost:
            call()
        lost.assert_not_called()
        self.assertLess(time.monotonic() - began, 30)  # instead of the minutes that it would take
        self.assertIs(signal.getsignal(number), handler)
        return caught.exception

    def handle(self, number, handler):
        self.addCleanup(signal.signal, number, signal.signal(number, handler))

    def test_during_an_episode_on_a_function_of_the_library(self):
        optimizee = l2o.Optimizee({"name": "simple", "dimension": 32}, tasks=4)
        trainer = l2o.Trainer(optimizee, {"train": {"steps": 1_000_000, "unroll_length": 50}})
        self.assert_interrupted(trainer.step)
        self.assertEqual(l2o.evaluate(l2o.Optimizer(), optimizee, 3).shape, (4, 4))

    def test_during_an_evaluation(self):
        optimizee = l2o.Optimizee({"name": "simple", "dimension": 32}, tasks=4)
        self.assert_interrupted(lambda: l2o.evaluate(l2o.Optimizer(), optimizee, 3_000_000))

    def test_other_threads_continue(self):
        optimizee = l2o.Optimizee({"name": "simple", "dimension": 32}, tasks=4)
        results = []
        other = l2o.Optimizee({"name": "simple", "dimension": 32}, tasks=4)
        worker = threading.Thread(
            target=lambda: results.append(l2o.evaluate(l2o.Optimizer(), other, 40_000))
        )
        worker.start()
        self.assert_interrupted(lambda: l2o.evaluate(l2o.Optimizer(), optimizee, 3_000_000))
        worker.join()
        self.assertEqual(len(results), 1)

    def test_during_an_objective_that_then_fails(self):
        bowl = Bowl()

        def value_and_gradient(*_):
            time.sleep(0.6)
            raise ValueError

        bowl.value_and_gradient = value_and_gradient
        self.assert_interrupted(lambda: l2o.evaluate(l2o.Optimizer(), l2o.Optimizee(bowl), 3))

    def test_during_an_objective(self):
        bowl = Bowl()
        self.assert_interrupted(lambda: l2o.evaluate(l2o.Optimizer(), l2o.Optimizee(bowl), 3_000_000))
        l2o.evaluate(l2o.Optimizer(), l2o.Optimizee(bowl), 3)

    def test_exceptions_of_other_handlers_are_raised(self):
        optimizee = l2o.Optimizee({"name": "simple", "dimension": 32}, tasks=4)
        trainer = l2o.Trainer(optimizee, {"train": {"steps": 1_000_000, "unroll_length": 50}})

        class TooLong(Exception):
            pass

        def fail(*_):
            raise TooLong("by the handler")

        self.handle(signal.SIGALRM, fail)
        for call in (trainer.step, lambda: l2o.evaluate(l2o.Optimizer(), optimizee, 3_000_000)):
            exception = self.assert_interrupted(call, TooLong, signal.SIGALRM)
            self.assertEqual(str(exception), "by the handler")
        self.handle(signal.SIGTERM, lambda *_: sys.exit(143))
        exception = self.assert_interrupted(trainer.step, SystemExit, signal.SIGTERM)
        self.assertEqual(exception.code, 143)

        def interrupt(*_):
            raise KeyboardInterrupt

        self.handle(signal.SIGINT, interrupt)
        self.assert_interrupted(trainer.step)

    def test_handlers_that_return_do_not_end_a_call(self):
        optimizee = l2o.Optimizee({"name": "simple", "dimension": 32}, tasks=4)
        seen = []

        def other(*_):
            pass

        def handler(number, frame):
            seen.append(number)
            signal.signal(signal.SIGUSR1, other)

        self.handle(signal.SIGUSR1, handler)
        self.after_a_while(signal.SIGUSR1)
        while not seen:
            self.assertEqual(l2o.evaluate(l2o.Optimizer(), optimizee, 20_000).shape, (4, 20_001))
        self.assertEqual(seen, [signal.SIGUSR1])
        self.assertIs(signal.getsignal(signal.SIGUSR1), other)


EXIT = """
import threading
import l2o
from bowls import Bowl

inside = threading.Event()

class Signaling(Bowl):
    def value_and_gradient(self, *arguments):
        inside.set()
        return super().value_and_gradient(*arguments)

def endless(function):
    optimizee = l2o.Optimizee(function, tasks=4, context=l2o.Context("cpu", threads=1))
    trainer = l2o.Trainer(optimizee, {"train": {"steps": 1_000_000, "unroll_length": 50}})
    threading.Thread(target=trainer.step, daemon=True).start()

endless({"name": "simple", "dimension": 32})
endless(Signaling())
inside.wait()
"""


class ExitTest(unittest.TestCase):
    def test_python_exits_during_calls_on_daemon_threads(self):
        for _ in range(3):
            result = subprocess.run(
                [sys.executable, "-c", EXIT],
                capture_output=True,
                text=True,
                timeout=300,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_calls_before_and_after_a_fork(self):
        inside, leave = threading.Event(), threading.Event()
        bowl = Bowl()

        def value_and_gradient(*_):
            inside.set()
            leave.wait()
            raise ValueError("enough")

        bowl.value_and_gradient = value_and_gradient
        optimizee = l2o.Optimizee(bowl)

        def call():
            with self.assertRaisesRegex(ValueError, "enough"):
                l2o.evaluate(l2o.Optimizer(), optimizee, 3)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        inside.wait()
        self.assertEqual(len(_long_calls._calls), 1)
        child = os.fork()
        if child == 0:
            os._exit(len(_long_calls._calls))  # which would be waited for
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        leave.set()
        thread.join()
        self.assertEqual(_long_calls._calls, [])


if __name__ == "__main__":
    unittest.main()
