"""The checks of PyTorch's own tests of every optimizer (TestOptimRenewed in its test/test_optim.py), rewritten
and run on LearnedOptimizer and, to validate the checks, on torch.optim.Adam.

Left out: checks of implementations that a learned rule does not have (foreach, fused, differentiable,
capturable, amsgrad, SparseAdam), several GPUs, complex and sparse parameters, which LearnedOptimizer rejects
(test_torch.py), and options by which PyTorch's optimizers choose among their implementations."""

import copy
import unittest
import warnings

import l2o

from support import sign_descent_optimizer

try:
    import torch
    from torch.nn import Parameter
    from torch.optim import lr_scheduler
    from torch.optim.optimizer import (
        register_optimizer_step_post_hook,
        register_optimizer_step_pre_hook,
    )

    from l2o.torch import LearnedOptimizer
    from torch_contract import StateContract
except ImportError:
    raise unittest.SkipTest("torch is not installed")

torch.set_num_threads(1)

SCHEDULERS = {
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.9**t),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: 0.9),
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, milestones=[3, 7]),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, factor=0.5, total_iters=4),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, start_factor=0.5, total_iters=4),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=20, power=0.9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=20),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=5),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, cycle_momentum=False),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=30, cycle_momentum=False),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.ConstantLR(o, factor=0.1), lr_scheduler.ExponentialLR(o, gamma=0.9)],
        milestones=[3],
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, factor=0.1), lr_scheduler.ExponentialLR(o, gamma=0.9)]
    ),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o),
    "SWALR": lambda o: torch.optim.swa_utils.SWALR(o, swa_lr=0.05),
}


class Contract(StateContract):
    """All checks; a subclass for each optimizer defines how to make it."""

    def test_goes_in_the_right_direction(self):
        for contiguous in (True, False):
            for options in ({}, {"weight_decay": 0.01}, {"maximize": True}, {"lr": self.SMALL_LR}):
                weight, bias, closure = self.problem(contiguous)
                optimizer = self.make([weight, bias], **options)
                maximize = options.get("maximize", False)
                self.assert_right_direction(optimizer, closure, maximize=maximize)

    def test_goes_in_the_right_direction_under_every_scheduler(self):
        for name, make_scheduler in SCHEDULERS.items():
            with self.subTest(name):
                weight, bias, closure = self.problem()
                optimizer = self.make([weight, bias])
                scheduler = make_scheduler(optimizer)
                before = closure(optimizer).item()
                for _ in range(20):
                    loss = optimizer.step(lambda: closure(optimizer))
                    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
                        scheduler.step(loss)
                    else:
                        scheduler.step()
                self.assertLess(closure(optimizer).item(), before)

    def test_a_scheduler_for_several_groups(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([{"params": [weight]}, {"params": [bias], "lr": self.SMALL_LR}])
        scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        self.assert_right_direction(optimizer, closure)
        before = [group["lr"] for group in optimizer.param_groups]
        scheduler.step()
        after = [group["lr"] for group in optimizer.param_groups]
        self.assertEqual(after, [0.5 * rate for rate in before])

    def test_a_learning_rate_that_is_a_tensor(self):
        results = []
        for lr in (0.5, torch.tensor(0.5)):
            torch.manual_seed(5)
            weight, bias, closure = self.problem()
            optimizer = self.make([weight, bias], lr=lr)
            self.run_closure(optimizer, closure, 5)
            results.append(weight.detach())
            results[-1] = results[-1].clone()
            if torch.is_tensor(lr):  # changed in place: the next step uses it
                lr.fill_(0.0)
                self.run_closure(optimizer, closure, 1)
                self.assert_equal(weight.detach(), results[-1])
        torch.testing.assert_close(*results)

    def test_types_may_be_mixed(self):
        parameters = [
            Parameter(torch.ones(2, 3, dtype=dtype))
            for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
        ]
        optimizer = self.make(parameters)
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, 0.5)
        for _ in range(3):
            optimizer.step()
        for parameter in parameters:
            self.assertTrue((parameter < 1).all())

    def test_groups_have_their_own_learning_rates(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([{"params": [weight], "lr": 0.0}, {"params": [bias]}])
        before = weight.detach().clone(), bias.detach().clone()
        self.run_closure(optimizer, closure, 3)
        self.assert_equal(weight.detach(), before[0])
        self.assertTrue((bias.detach() != before[1]).any())

    def test_groups_have_their_own_weight_decay(self):
        one, two = Parameter(torch.ones(3)), Parameter(torch.ones(3))
        optimizer = self.make([{"params": [one], "weight_decay": 0.5}, {"params": [two]}])
        one.grad, two.grad = torch.zeros(3), torch.zeros(3)
        optimizer.step()
        self.assertTrue((one < two).all())

    def test_parameters_without_gradients_stay(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        before = weight.detach().clone(), bias.detach().clone()
        optimizer.step()
        self.assertEqual(len(optimizer.state), 0)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        self.assert_equal(bias.detach(), before[1])
        self.assertTrue((weight.detach() != before[0]).any())

    def test_an_empty_parameter(self):
        empty = Parameter(torch.empty(0))
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, empty, bias])
        empty.grad = torch.empty(0)
        for _ in range(3):
            closure(optimizer)
            empty.grad = torch.empty(0)
            optimizer.step()
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    def test_a_parameter_without_dimensions(self):
        scalar = Parameter(torch.tensor(2.0))
        optimizer = self.make([scalar])
        for _ in range(10):
            optimizer.zero_grad()
            scalar.square().backward()
            optimizer.step()
        self.assertLess(scalar.item(), 2.0)

    def test_it_can_be_printed(self):
        weight, bias, _ = self.problem()
        text = repr(self.make([{"params": [weight]}, {"params": [bias]}]))
        self.assertIn("Parameter Group 1", text)
        self.assertIn("lr", text)

    def test_step_hooks(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        calls = []
        handles = [
            register_optimizer_step_pre_hook(lambda o, a, k: calls.append("all before")),
            register_optimizer_step_post_hook(lambda o, a, k: calls.append("all after")),
            optimizer.register_step_pre_hook(lambda o, a, k: calls.append("before")),
            optimizer.register_step_post_hook(lambda o, a, k: calls.append("after")),
        ]
        self.run_closure(optimizer, closure, 1)
        self.assertEqual(calls, ["all before", "before", "after", "all after"])
        for handle in handles:
            handle.remove()
        self.run_closure(optimizer, closure, 1)
        self.assertEqual(len(calls), 4)

    def test_a_step_pre_hook_may_change_the_arguments(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        given = []

        def replace(_, arguments, keywords):
            given.append((arguments, keywords))
            return (optimizer, lambda: closure(optimizer)), {}

        with optimizer.register_step_pre_hook(replace):
            loss = optimizer.step()
        self.assertTrue(torch.is_tensor(loss))
        self.assertEqual(given, [((optimizer,), {})])

    def test_hooks_of_a_subclass_are_called_once(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        if isinstance(optimizer, torch.optim.Adam):
            self.skipTest("torch calls the hooks of such a subclass twice")

        class Subclass(type(optimizer)):
            def step(self, closure=None):
                return super().step(closure)

        optimizer.__class__ = Subclass
        optimizer._patch_step_function()
        calls = []
        with optimizer.register_step_pre_hook(lambda o, a, k: calls.append("before")):
            self.run_closure(optimizer, closure, 1)
        self.assertEqual(calls, ["before"])

    def test_the_profiler_sees_steps(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            self.run_closure(optimizer, closure, 2)
        name = type(optimizer).__name__
        counts = {event.key: event.count for event in profiler.key_averages()}
        self.assertEqual(counts[f"Optimizer.step#{name}.step"], 2)

    def test_closures_are_evaluated_once_with_gradients_enabled(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        calls = []

        def counted():
            calls.append(torch.is_grad_enabled())
            return closure(optimizer)

        with torch.no_grad():
            loss = optimizer.step(counted)
        self.assertEqual(calls, [True])
        self.assertTrue(torch.is_tensor(loss))

    def test_groups_that_are_added_later(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight])
        self.run_closure(optimizer, closure, 2)
        optimizer.add_param_group({"params": [bias], "lr": self.SMALL_LR})
        before = bias.detach().clone()
        self.assert_right_direction(optimizer, closure)
        self.assertTrue((bias.detach() != before).any())
        self.assertEqual(optimizer.param_groups[1]["lr"], self.SMALL_LR)

    def test_duplicates_are_rejected(self):
        weight, bias, _ = self.problem()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.make([weight, weight])
        self.assertTrue(any("duplicate" in str(warning.message) for warning in caught))
        with self.assertRaisesRegex(ValueError, "more than one parameter group"):
            self.make([{"params": [weight, bias]}, {"params": [bias]}])

    def test_invalid_lists_of_parameters_are_rejected(self):
        with self.assertRaises(ValueError):
            self.make([])
        for wrong in (torch.ones(3), [3], [torch.ones(3, requires_grad=True) * 2]):
            with self.assertRaises((TypeError, ValueError)):
                self.make(wrong)
        weight, _, _ = self.problem()
        with self.assertRaises(ValueError):
            self.make([weight], lr=-0.5)
        with self.assertRaises(ValueError):
            self.make([weight], weight_decay=-1.0)

    def test_zero_grad(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        closure(optimizer)
        optimizer.zero_grad(set_to_none=False)
        self.assertFalse(weight.grad.any())
        optimizer.zero_grad()
        self.assertIsNone(weight.grad)

    def test_another_default_type(self):
        torch.set_default_dtype(torch.float64)
        self.addCleanup(torch.set_default_dtype, torch.float32)
        weight, bias, closure = self.problem(dtype=torch.float64)
        self.assert_right_direction(self.make([weight, bias]), closure)

    def test_autograd_s_version_counters_advance(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        closure(optimizer)
        before = weight._version
        optimizer.step()
        self.assertGreater(weight._version, before)

    def test_averaged_models(self):
        network = torch.nn.Linear(3, 2)
        averaged = torch.optim.swa_utils.AveragedModel(network)
        optimizer = self.make(network.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            network(torch.ones(3)).sum().backward()
            optimizer.step()
            averaged.update_parameters(network)
        self.assertTrue((averaged.module.weight != network.weight).any())


class AdamTest(Contract, unittest.TestCase):
    SMALL_LR = 1e-3

    @staticmethod
    def make(params, **options):
        # With a tensor lr on a CPU, Adam requires the plain implementation.
        return torch.optim.Adam(params, **{"lr": 0.01, "foreach": False, **options})


class LearnedOptimizerTest(Contract, unittest.TestCase):
    SMALL_LR = 0.1

    def make(self, params, **options):
        return LearnedOptimizer(params, sign_descent_optimizer(0.01), **options)


class GeneralModelTest(Contract, unittest.TestCase):
    SMALL_LR = 0.1

    @classmethod
    def setUpClass(cls):
        try:
            cls.model = l2o.Optimizer.load("general")
        except l2o.Error:
            raise unittest.SkipTest("models/general.safetensors is not there")

    def make(self, params, **options):
        return LearnedOptimizer(params, self.model, **options)


if __name__ == "__main__":
    unittest.main()
