"""Signals during long calls."""

import signal
import sys
import threading
import time
import unittest
from unittest import mock

import l2o

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


if __name__ == "__main__":
    unittest.main()
