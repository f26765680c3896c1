"""The memory that LearnedOptimizer steps: negated lazily, shared, or of another size than before."""

import copy
import math
import re
import unittest
import warnings

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

    def test_a_gradient_of_zeros_without_memory(self):
        """As autograd may return. It is in the second group: the first one must not step before it."""
        first, second = (torch.nn.Parameter(torch.ones(4)) for _ in range(2))
        other = torch.nn.Parameter(torch.ones(4))
        optimizer = LearnedOptimizer([{"params": [first]}, {"params": [second]}], self.model)
        expected = LearnedOptimizer([other], self.model)
        for _ in range(2):
            first.grad = torch.ones(4)
            second.grad = torch._efficientzerotensor(4)
            other.grad = torch.zeros(4)
            optimizer.step()
            expected.step()
        torch.testing.assert_close(second, other, rtol=0, atol=0)

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

    def assert_nothing_steps(self, message, *groups, error=ValueError, change=None):
        """A step of these groups is refused and changes neither parameters nor states."""
        optimizer = LearnedOptimizer(groups, self.model)
        parameters = [parameter for group in groups for parameter in group["params"]]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.ones_like(parameter)
        if change is not None:
            change(optimizer)
        before = [parameter.detach().clone() for parameter in parameters]
        for _ in range(2):
            with self.assertRaisesRegex(error, message):
                optimizer.step()
        for parameter, values in zip(parameters, before):
            self.assertTrue(torch.equal(parameter, values))
            self.assertFalse(optimizer.state.get(parameter, {}).get("rule", torch.zeros(1)).any())

    def test_a_refused_step_changes_no_group(self):
        one = torch.nn.Parameter(torch.zeros(3))
        memory = torch.zeros(6)
        left, right = (torch.nn.Parameter(part) for part in (memory[:4], memory[2:]))
        self.assert_nothing_steps("share memory", {"params": [one]}, {"params": [left, right]})
        self.assert_nothing_steps("share memory", {"params": [left]}, {"params": [right]})
        half = memory.double()
        left, right = (torch.nn.Parameter(part) for part in (half[:4], half[2:]))
        self.assert_nothing_steps("share memory", {"params": [left]}, {"params": [right]})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of duplicates
            self.assert_nothing_steps("shape \\(3,\\) occurs twice", {"params": [one, one]})
        other = torch.nn.Parameter(torch.zeros(3))
        other.grad = one.detach()
        self.assert_nothing_steps("gradient shares memory", {"params": [one]}, {"params": [other]})

        def lose_model(optimizer):
            model = l2o.Optimizer({"hidden": 8, "layers": 2})
            optimizer.param_groups[1]["model"] = model
            model.close()

        other.grad = None
        groups = {"params": [one]}, {"params": [other]}
        self.assert_nothing_steps("is closed", *groups, error=l2o.Error, change=lose_model)

    def test_parameters_may_be_between_others(self):
        memory = torch.zeros(6)
        parameters = [torch.nn.Parameter(part) for part in (memory[::2], memory[1::2])]
        optimizer = LearnedOptimizer(parameters, self.model)
        for parameter in parameters:
            parameter.grad = torch.ones(3)
        optimizer.step()
        self.assertEqual(len(set(memory.tolist())), 1)

    def test_scales_out_of_range_of_float32(self):
        for option, value in ("lr", 1e39), ("weight_decay", 1e39), ("gradient_scale", 1e-60):
            parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
            message = re.escape(f"{option} is {value}; expected a finite float32 number")

            def change(optimizer, option=option, value=value):
                optimizer.param_groups[1][option] = value

            groups = [{"params": [parameter]} for parameter in parameters]
            self.assert_nothing_steps(message, *groups, change=change)
            with self.assertRaisesRegex(ValueError, message):
                LearnedOptimizer(parameters, self.model, **{option: value})

    def test_parameters_whose_elements_share_memory_are_rejected(self):
        for values in (torch.zeros(1).expand(4), torch.zeros(2, 4).as_strided((3, 2), (1, 1))):
            with self.assertRaisesRegex(ValueError, "elements of a parameter share memory"):
                LearnedOptimizer([torch.nn.Parameter(values)], self.model)
            parameter = torch.nn.Parameter(torch.zeros(values.shape))
            optimizer = LearnedOptimizer([parameter], self.model)
            parameter.data = values
            parameter.grad = torch.ones(values.shape)
            with self.assertRaisesRegex(ValueError, "elements of a parameter share memory"):
                optimizer.step()

    def test_all_groups_step_before_a_warning(self):
        parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(3)]
        optimizer = LearnedOptimizer([{"params": [parameter]} for parameter in parameters], self.model)
        for parameter, gradient in zip(parameters, (1.0, math.nan, 1.0)):
            parameter.grad = torch.full((3,), gradient)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with self.assertRaisesRegex(RuntimeWarning, "not finite"):
                optimizer.step()
        self.assertEqual([bool(p.any()) for p in parameters], [True, False, True])
        self.assertEqual(optimizer.skipped_steps, 1)


if __name__ == "__main__":
    unittest.main()
