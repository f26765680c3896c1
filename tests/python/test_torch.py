"""Steps of LearnedOptimizer."""

import math
import re
import unittest
from pathlib import Path

import l2o

from reference import Rule
from support import synthetic_gradients, synthetic_optimizer, sign_descent_optimizer

try:
    import torch

    from l2o.torch import LearnedOptimizer
    from torch_networks import parameters_of, small_loss, small_network, train
except ImportError:
    raise unittest.SkipTest("torch is not installed")

torch.set_num_threads(1)  # these networks are too small for more
ROOT = Path(__file__).parents[2]
SHIPPED_MODEL = ROOT / "models/mnist.safetensors"
SMALL = Rule(8, 2, "log_and_sign")


class LearnedOptimizerTest(unittest.TestCase):
    def test_it_lowers_the_loss(self):
        network = small_network()
        before = small_loss(network).item()
        addresses = [p.data_ptr() for p in network.parameters()]
        train(network, LearnedOptimizer(network.parameters(), sign_descent_optimizer(0.01)), 60)
        self.assertLess(small_loss(network).item(), 0.5 * before)
        self.assertEqual(addresses, [p.data_ptr() for p in network.parameters()])

    @unittest.skipUnless(SHIPPED_MODEL.exists(), f"{SHIPPED_MODEL} is not there")
    def test_the_shipped_model_lowers_the_loss(self):
        network = small_network()
        before = small_loss(network).item()
        train(network, LearnedOptimizer(network.parameters(), SHIPPED_MODEL), 60)
        self.assertLess(small_loss(network).item(), 0.5 * before)

    def test_it_matches_a_run(self):
        model, _ = synthetic_optimizer(SMALL)
        network = small_network()
        theta = parameters_of(network)
        optimizer = LearnedOptimizer(network.parameters(), model)
        run = l2o.Run(model, theta.numel())
        for _ in range(5):
            optimizer.zero_grad()
            small_loss(network).backward()
            run.step(torch.cat([p.grad.flatten() for p in network.parameters()]), theta)
            optimizer.step()
            torch.testing.assert_close(parameters_of(network), theta, rtol=0, atol=0)

    def test_a_parameter_without_a_gradient_is_left_out(self):
        model, _ = synthetic_optimizer(SMALL)
        one, two = (torch.nn.Parameter(torch.ones(size)) for size in (3, 4))
        optimizer = LearnedOptimizer([one, two], model)
        gradients = torch.tensor(synthetic_gradients(6, 7))
        for step, gradient in enumerate(gradients):
            one.grad = gradient[:3].clone()
            two.grad = gradient[3:].clone() if step % 3 == 0 else None
            optimizer.step()
        for parameter, used in ((one, gradients[:, :3]), (two, gradients[::3, 3:])):
            expected = torch.ones(parameter.numel())
            run = l2o.Run(model, parameter.numel())
            for gradient in used:
                run.step(gradient.contiguous(), expected)
            torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=0)

    def test_groups_have_their_own_models(self):
        network = small_network()
        fast, slow = sign_descent_optimizer(0.1), sign_descent_optimizer(1e-4)
        optimizer = LearnedOptimizer([{"params": network[0].parameters(), "model": slow}], fast)
        optimizer.add_param_group({"params": network[2].parameters()})
        before = parameters_of(network)
        train(network, optimizer, 1)
        moved = (parameters_of(network) - before).abs()
        border = sum(p.numel() for p in network[0].parameters())
        self.assertLess(moved[:border].max(), 1e-3)
        self.assertGreater(moved[border:].max(), 1e-2)

    def scheduled(self, make_scheduler, steps=6):
        """Parameters after each of `steps`, and those of runs with the value of `lr` as their scale."""
        model, _ = synthetic_optimizer(SMALL)
        network = small_network()
        theta = parameters_of(network)
        optimizer = LearnedOptimizer(network.parameters(), model, lr=0.5)
        scheduler = make_scheduler(optimizer)
        run = l2o.Run(model, theta.numel())
        rates = []
        for _ in range(steps):
            optimizer.zero_grad()
            small_loss(network).backward()
            rates.append(optimizer.param_groups[0]["lr"])
            run.set_scales(update_scale=rates[-1])
            run.step(torch.cat([p.grad.flatten() for p in network.parameters()]), theta)
            optimizer.step()
            scheduler.step()
            torch.testing.assert_close(parameters_of(network), theta, rtol=0, atol=0)
        return rates

    def test_schedulers_of_the_learning_rate(self):
        schedulers = torch.optim.lr_scheduler
        rates = self.scheduled(lambda optimizer: schedulers.CosineAnnealingLR(optimizer, T_max=6))
        for t, rate in enumerate(rates):
            self.assertAlmostEqual(rate, 0.25 * (1 + math.cos(math.pi * t / 6)))
        rates = self.scheduled(lambda optimizer: schedulers.LambdaLR(optimizer, lambda t: 0.5**t))
        self.assertEqual(rates, [0.5 ** (t + 1) for t in range(6)])
        rates = self.scheduled(
            lambda optimizer: schedulers.OneCycleLR(
                optimizer, max_lr=1.0, total_steps=10, cycle_momentum=False
            )
        )
        self.assertAlmostEqual(rates[2], 1.0)

    def test_an_untrained_modulated_rule_is_adamw(self):
        rule = l2o.Optimizer({"preprocessing": "adam_moments", "output": "modulated"})
        ours, theirs = small_network(), small_network()
        adamw = torch.optim.AdamW(theirs.parameters(), lr=0.5 * 3e-3, weight_decay=0.01 / 3e-3)
        for network, optimizer in (
            (ours, LearnedOptimizer(ours.parameters(), rule, lr=0.5, weight_decay=0.01)),
            (theirs, adamw),
        ):
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
            for _ in range(50):
                train(network, optimizer, 1)
                scheduler.step()
        torch.testing.assert_close(parameters_of(ours), parameters_of(theirs), rtol=0, atol=1e-5)
        moved = (parameters_of(ours) - parameters_of(small_network())).abs().max()
        self.assertGreater(moved, 0.03)

    def test_groups_have_their_own_scales(self):
        model, _ = synthetic_optimizer(SMALL)
        scales = [
            {"lr": 0.5, "weight_decay": 0.25},
            {"lr": 2.0},
            {"gradient_scale": 4.0, "lr": torch.tensor(0.0)},
        ]
        parameters = [torch.nn.Parameter(torch.ones(5)) for _ in scales]
        groups = [{"params": [p], **own} for p, own in zip(parameters, scales)]
        optimizer = LearnedOptimizer(groups[:2], model, lr=3.0, weight_decay=0.125)
        optimizer.add_param_group(groups[2])
        gradient = torch.tensor(synthetic_gradients(1, 5)[0])
        update = torch.zeros(5)
        l2o.Run(model, 5).step(gradient, update)
        for parameter in parameters:
            parameter.grad = gradient.clone()
        optimizer.step()
        expected = [1 + 0.5 * (update - 0.25), 1 + 2 * (update - 0.125), torch.ones(5)]
        for parameter, values in zip(parameters, expected):
            torch.testing.assert_close(parameter.detach(), values, rtol=0, atol=0)
        # The third only advanced its state, by a gradient four times as large.
        run = l2o.Run(model, 5)
        run.step(4 * gradient, torch.zeros(5))
        ours = optimizer.state_dict()["state"][2]["rule"].reshape(-1, 32)[:, :5]  # of one tile
        torch.testing.assert_close(ours, torch.tensor(run.get_state()), rtol=0, atol=0)

    def test_weight_decay_alone_shrinks_parameters(self):
        parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        zero = l2o.Optimizer({"output_init": "zero"})  # updates of 0
        optimizer = LearnedOptimizer([parameter], zero, lr=0.5, weight_decay=0.5)
        parameter.grad = torch.ones(2)
        optimizer.step()
        torch.testing.assert_close(parameter.detach(), torch.tensor([0.75, -1.5]), rtol=0, atol=0)

    def test_invalid_options(self):
        model = sign_descent_optimizer(0.1)
        parameter = torch.nn.Parameter(torch.ones(2))
        for options, message in (
            ({"lr": -1.0}, "lr is -1.0; expected a finite number of at least 0"),
            ({"weight_decay": math.inf}, "weight_decay is inf"),
            ({"gradient_scale": 0}, "gradient_scale is 0.0; expected a finite number above 0"),
            ({"betas": (0, 0)}, "unknown option 'betas' of a parameter group: expected model, lr"),
        ):
            with self.assertRaisesRegex(ValueError, re.escape(message)):
                LearnedOptimizer([{"params": [parameter], **options}], model)
        for options, message in (
            ({"lr": "0.5"}, "lr is a str; expected a number"),
            ({"lr": True}, "lr is a bool; expected a number"),
            ({"lr": torch.ones(2)}, "lr is a Tensor; expected a number"),
            ({"weight_decay": None}, "weight_decay is a NoneType; expected a number"),
            ({"maximize": "False"}, "maximize is a str; expected a bool"),
            ({"maximize": None}, "maximize is a NoneType; expected a bool"),
        ):
            with self.assertRaisesRegex(TypeError, re.escape(message)):
                LearnedOptimizer([{"params": [parameter], **options}], model)
        optimizer = LearnedOptimizer([{"params": [parameter], "initial_lr": 0.5}], model)
        with self.assertRaisesRegex(ValueError, "unknown option 'learning_rate'"):
            optimizer.add_param_group({"params": [torch.ones(2)], "learning_rate": 0.1})
        self.assertEqual(len(optimizer.param_groups), 1)
        optimizer.param_groups[0]["lr"] = math.nan
        parameter.grad = torch.ones(2)
        with self.assertRaisesRegex(ValueError, "lr is nan"):
            optimizer.step()
        self.assertEqual(parameter.tolist(), [1.0, 1.0])
        optimizer.param_groups[0]["lr"] = 1.0
        optimizer.step()
        self.assertNotEqual(parameter.tolist(), [1.0, 1.0])

    def test_a_closure(self):
        network = small_network()
        optimizer = LearnedOptimizer(network.parameters(), sign_descent_optimizer(0.01))

        def closure():
            optimizer.zero_grad()
            loss = small_loss(network)
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(30)]
        self.assertLess(losses[-1], losses[0])

    def test_non_contiguous_gradients(self):
        model, _ = synthetic_optimizer(SMALL)
        results = []
        for layout in (lambda gradient: gradient, lambda gradient: gradient.t().contiguous().t()):
            parameter = torch.nn.Parameter(torch.zeros(3, 4))
            parameter.grad = layout(torch.tensor(synthetic_gradients(3, 4)))
            LearnedOptimizer([parameter], model).step()
            results.append(parameter.detach())
        torch.testing.assert_close(*results, rtol=0, atol=0)

    def test_non_finite_gradients_are_skipped_and_counted(self):
        parameter = torch.nn.Parameter(torch.zeros(3))
        optimizer = LearnedOptimizer([parameter], sign_descent_optimizer(0.1))
        parameter.grad = torch.tensor([1.0, math.nan, 1.0])
        optimizer.step()
        self.assertFalse(parameter.detach().any())
        optimizer.state_dict()
        optimizer.step()
        self.assertEqual(optimizer.skipped_steps, 2)

    def test_autograd_sees_the_write(self):
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = LearnedOptimizer([parameter], sign_descent_optimizer(0.1))
        loss = (parameter**2).sum()
        parameter.grad = torch.ones(3)
        optimizer.step()
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            loss.backward()

    def test_invalid_parameters(self):
        model = sign_descent_optimizer(0.1)
        for parameter, error, message in (
            (torch.zeros(3, dtype=torch.complex64), TypeError, "torch.complex64"),
            (torch.zeros(3).to_sparse(), TypeError, "is sparse"),
            (torch.zeros(3, device="meta"), ValueError, "expected cpu or cuda"),
        ):
            with self.assertRaisesRegex(error, message):
                LearnedOptimizer([parameter], model)
            optimizer = LearnedOptimizer([torch.zeros(3)], model)
            with self.assertRaises(error):
                optimizer.add_param_group({"params": [parameter]})
            self.assertEqual(len(optimizer.param_groups), 1)
        with self.assertRaises(l2o.Error):
            LearnedOptimizer([torch.zeros(3)], "nowhere.safetensors")
        embedding = torch.nn.Embedding(5, 3, sparse=True)
        optimizer = LearnedOptimizer(embedding.parameters(), model)
        embedding(torch.tensor([1, 2])).sum().backward()
        with self.assertRaisesRegex(TypeError, "a gradient is sparse"):
            optimizer.step()

    def test_other_floating_point_types_go_through_float32(self):
        model, _ = synthetic_optimizer(SMALL)
        for dtype in (torch.float64, torch.float16, torch.bfloat16):
            values = torch.linspace(-2, 2, 40).to(dtype)
            parameter = torch.nn.Parameter(values.clone())
            optimizer = LearnedOptimizer([parameter], model)
            run, expected = l2o.Run(model, 40), values.clone()
            for gradient in torch.tensor(synthetic_gradients(5, 40)):
                parameter.grad = gradient.to(dtype)
                optimizer.step()
                theta = expected.float()
                run.step(parameter.grad.float(), theta)
                expected = theta.to(dtype)
                torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=0)
            self.assertEqual(optimizer.state[parameter]["rule"].dtype, torch.float32)
            other = LearnedOptimizer([parameter], model)
            other.load_state_dict(optimizer.state_dict())
            self.assertEqual(other.state[parameter]["rule"].dtype, torch.float32)

    def test_non_contiguous_parameters(self):
        model, _ = synthetic_optimizer(SMALL)
        values = torch.randn(2, 3, 4, 5)
        results = []
        for layout in (torch.contiguous_format, torch.channels_last):
            parameter = torch.nn.Parameter(values.clone().to(memory_format=layout))
            optimizer = LearnedOptimizer([parameter], model)
            for gradient in torch.tensor(synthetic_gradients(3, 120)):
                parameter.grad = gradient.reshape(2, 3, 4, 5).to(memory_format=layout)
                optimizer.step()
            self.assertTrue(parameter.is_contiguous(memory_format=layout))
            results.append((parameter.detach(), optimizer.state[parameter]["rule"]))
        torch.testing.assert_close(*results, rtol=0, atol=0)

    def test_maximize_ascends(self):
        model, _ = synthetic_optimizer(SMALL)
        up, down = torch.nn.Parameter(torch.zeros(4)), torch.nn.Parameter(torch.zeros(4))
        climbing = LearnedOptimizer([up], model, maximize=True)
        descending = LearnedOptimizer([down], model)
        for gradient in torch.tensor(synthetic_gradients(3, 4)):
            up.grad, down.grad = gradient, -gradient
            climbing.step()
            descending.step()
        torch.testing.assert_close(up.detach(), down.detach(), rtol=0, atol=0)
        self.assertTrue(up.detach().any())

    def test_alternately_frozen_parameters_cost_no_copies(self):
        # Another set of parameters has gradients at every step: states keep their addresses.
        model, _ = synthetic_optimizer(SMALL)
        parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(3)]
        optimizer = LearnedOptimizer(parameters, model)
        for parameter in parameters:
            parameter.grad = torch.ones(3)
        optimizer.step()
        states = [optimizer.state[p]["rule"].data_ptr() for p in parameters]
        for step in range(6):
            for index, parameter in enumerate(parameters):
                parameter.grad = torch.ones(3) if index != step % 3 else None
            before = torch.stack([p.detach().clone() for p in parameters])
            optimizer.step()
            moved = (torch.stack([p.detach() for p in parameters]) != before).any(dim=1)
            self.assertEqual(moved.tolist(), [index != step % 3 for index in range(3)])
        self.assertEqual(states, [optimizer.state[p]["rule"].data_ptr() for p in parameters])

    def test_with_another_default_dtype(self):
        torch.set_default_dtype(torch.float64)
        self.addCleanup(torch.set_default_dtype, torch.float32)
        network = small_network()
        before = small_loss(network).item()
        train(network, LearnedOptimizer(network.parameters(), sign_descent_optimizer(0.01)), 60)
        self.assertLess(small_loss(network).item(), 0.5 * before)

    def test_a_compiled_step(self):
        model, _ = synthetic_optimizer(SMALL)
        eager, compiled = small_network(), small_network()
        optimizer = LearnedOptimizer(compiled.parameters(), model)
        step = torch.compile(optimizer.step, backend="eager")
        theirs = LearnedOptimizer(eager.parameters(), model)
        for _ in range(3):
            small_loss(compiled).backward()
            step()
            optimizer.zero_grad()
        train(eager, theirs, 3)
        torch.testing.assert_close(parameters_of(compiled), parameters_of(eager), rtol=0, atol=0)

    def test_models_that_ship_are_found_by_name(self):
        network = small_network()
        before = small_loss(network).item()
        train(network, LearnedOptimizer(network.parameters(), "general"), 100)
        self.assertLess(small_loss(network).item(), 0.5 * before)
        with self.assertRaisesRegex(l2o.Error, "nothing-of-the-kind"):
            LearnedOptimizer(network.parameters(), "nothing-of-the-kind")

    def test_a_skipped_step_changes_no_bits(self):
        parameter = torch.nn.Parameter(torch.full((3,), 0.1, dtype=torch.float64))
        optimizer = LearnedOptimizer([parameter], sign_descent_optimizer(0.1))
        parameter.grad = torch.full((3,), math.nan, dtype=torch.float64)
        with self.assertWarnsRegex(RuntimeWarning, "the step is skipped"):
            optimizer.step()
        self.assertEqual(parameter.tolist(), [0.1] * 3)

    def test_tensor_options_may_change_in_place(self):
        zero = l2o.Optimizer({"output_init": "zero"})  # updates of 0
        decay = torch.tensor(0.0)
        parameter = torch.nn.Parameter(torch.ones(2))
        optimizer = LearnedOptimizer([parameter], zero, weight_decay=decay)
        parameter.grad = torch.ones(2)
        optimizer.step()
        decay.fill_(0.5)
        optimizer.step()
        self.assertEqual(parameter.tolist(), [0.5, 0.5])

    def test_its_representation(self):
        text = repr(LearnedOptimizer(small_network().parameters(), l2o.Optimizer({"hidden": 7})))
        self.assertIn("layers = 2, hidden = 7, preprocessing = log_and_sign", text)

    def test_a_grad_scaler(self):
        model, _ = synthetic_optimizer(SMALL)
        plain, scaled = small_network(), small_network()
        optimizer = LearnedOptimizer(scaled.parameters(), model)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(small_loss(scaled)).backward()
            scaler.step(optimizer)
            scaler.update()
        train(plain, LearnedOptimizer(plain.parameters(), model), 3)
        torch.testing.assert_close(parameters_of(scaled), parameters_of(plain), rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    unittest.main()
