"""The memory that LearnedOptimizer steps: lazily negated and overlapping tensors, tensors that change size."""

import copy
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

    def stepped(self, size):
        parameter = torch.nn.Parameter(torch.zeros(size))
        optimizer = LearnedOptimizer([parameter], self.model)
        parameter.grad = torch.ones(size)
        optimizer.step()
        return parameter, optimizer

    def test_a_state_of_another_size_is_rejected_even_if_it_has_as_many_tiles(self):
        _, three = self.stepped(3)
        parameter, twenty = self.stepped(20)
        before = copy.deepcopy(twenty.state_dict())
        with self.assertRaisesRegex(ValueError, "state is that of 3 values, and the parameter has 20"):
            twenty.load_state_dict(three.state_dict())
        torch.testing.assert_close(twenty.state_dict()["state"], before["state"], rtol=0, atol=0)
        del before["state"][0]["numel"]  # of an older version
        twenty.load_state_dict(before)
        self.assertEqual(twenty.state[parameter]["numel"], 20)

    def test_a_parameter_that_changes_its_size_is_rejected(self):
        memory = torch.zeros(20)
        for grown in (torch.zeros(20), memory):
            parameter = torch.nn.Parameter(memory[:3])
            optimizer = LearnedOptimizer([parameter], self.model)
            for _ in range(2):
                parameter.grad = torch.ones(3)
                optimizer.step()
            parameter.grad = None
            parameter.data = grown
            parameter.grad = torch.ones(20)
            before = grown.clone()
            with self.assertRaisesRegex(ValueError, "state is that of 3 values, and the parameter has 20"):
                optimizer.step()
            self.assertTrue(torch.equal(grown, before))


if __name__ == "__main__":
    unittest.main()
