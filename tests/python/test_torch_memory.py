"""The memory that LearnedOptimizer steps: lazily negated and overlapping tensors, tensors that change size."""

import unittest

import l2o

from reference import Rule
from support import synthetic_gradients, synthetic_optimizer

try:
    import torch

    from l2o.torch import LearnedOptimizer
except ImportError:
    raise unittest.SkipTest("torch is not installed")

torch.set_num_threads(1)
SMALL = Rule(8, 2, "log_and_sign")


def lazily_negated(values):
    """A tensor with these values whose memory has the negative ones."""
    return torch._neg_view(-values)


class MemoryTest(unittest.TestCase):
    def setUp(self):
        self.model, _ = synthetic_optimizer(SMALL)

    def test_tensors_that_are_negated_lazily(self):
        start, gradient = torch.tensor(synthetic_gradients(2, 4))
        expected = start.clone()
        run = l2o.Run(self.model, 4)
        for _ in range(3):
            run.step(gradient, expected)
        for negates_parameter, negates_gradient in (False, True), (True, False), (True, True):
            parameter = torch.nn.Parameter(lazily_negated(start) if negates_parameter else start.clone())
            optimizer = LearnedOptimizer([parameter], self.model)
            for _ in range(3):
                parameter.grad = lazily_negated(gradient) if negates_gradient else gradient
                optimizer.step()
            self.assertEqual(parameter.is_neg(), negates_parameter)
            torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=0)


if __name__ == "__main__":
    unittest.main()
