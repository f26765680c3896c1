"""Part of test_torch_contract.py: the problem that its checks use, and the checks of an optimizer's state."""

import copy
import io
import pickle
import tempfile

import torch
from torch.nn import Parameter


def tensors(state):
    """The tensors of a state_dict, keyed by parameter index and name."""
    return {
        (index, name): value
        for index, values in state["state"].items()
        for name, value in values.items()
        if torch.is_tensor(value)
    }


class StateContract:
    """The checks of an optimizer's state; each optimizer has a subclass, whose make() creates the optimizer."""

    def setUp(self):
        torch.manual_seed(3)

    def assert_equal(self, actual, expected):
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)

    def problem(self, contiguous=True, dtype=torch.float32):
        """Returns a weight, a bias and a closure for an optimizer of both."""
        if contiguous:
            weight, bias = Parameter(torch.randn(10, 5).to(dtype)), Parameter(torch.randn(10).to(dtype))
        else:
            weight = Parameter(torch.randn(10, 5, 2).to(dtype)[..., 0])
            bias = Parameter(torch.randn(10, 2).to(dtype)[..., 0])
        inputs = torch.randn(5).to(dtype)

        def closure(optimizer):
            optimizer.zero_grad()
            loss = (weight.mv(inputs) + bias).pow(2).sum()
            loss.backward()
            return loss

        return weight, bias, closure

    def run_closure(self, optimizer, closure, steps):
        for _ in range(steps):
            optimizer.step(lambda: closure(optimizer))

    def assert_right_direction(self, optimizer, closure, steps=20, maximize=False):
        before = closure(optimizer).item()
        self.run_closure(optimizer, closure, steps)
        after = closure(optimizer).item()
        (self.assertGreater if maximize else self.assertLess)(after, before)

    def test_the_state_exists_after_the_first_step(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        self.run_closure(optimizer, closure, 1)
        self.assertEqual(set(optimizer.state), {weight, bias})
        self.assertTrue(tensors(optimizer.state_dict()))

    def test_optimizers_loaded_from_the_same_state_continue_identically(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        self.run_closure(optimizer, closure, 5)
        saved = copy.deepcopy(optimizer.state_dict())
        start = weight.detach().clone(), bias.detach().clone()
        runs = []
        for _ in range(2):
            with torch.no_grad():
                weight.copy_(start[0])
                bias.copy_(start[1])
            other = self.make([weight, bias])
            other.load_state_dict(copy.deepcopy(saved))
            self.run_closure(other, closure, 5)
            runs.append((weight.detach().clone(), tensors(other.state_dict())))
        self.assert_equal(*runs)

    def test_a_loaded_state_does_not_share_its_param_groups(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        self.run_closure(optimizer, closure, 2)
        saved = copy.deepcopy(optimizer.state_dict())
        kept = copy.deepcopy(saved)
        other = self.make([weight, bias])
        other.load_state_dict(saved)
        other.param_groups[0]["lr"] = 0.125
        self.assertEqual(saved["param_groups"], kept["param_groups"])

    def test_saved_state_dicts_can_be_loaded_with_weights_only(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        self.run_closure(optimizer, closure, 3)
        with tempfile.TemporaryFile() as file:
            torch.save(optimizer.state_dict(), file)
            file.seek(0)
            loaded = torch.load(file, weights_only=True)
        self.assert_equal(tensors(loaded), tensors(optimizer.state_dict()))
        self.assertEqual(loaded["param_groups"], optimizer.state_dict()["param_groups"])

    def test_a_state_with_different_groups_is_rejected(self):
        weight, bias, closure = self.problem()
        one = self.make([weight, bias])
        two = self.make([{"params": [weight]}, {"params": [bias]}])
        with self.assertRaises(ValueError):
            two.load_state_dict(one.state_dict())

    def test_copies_and_pickles_have_the_same_state_and_can_step(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        self.run_closure(optimizer, closure, 3)
        for other in (
            copy.deepcopy(optimizer),
            pickle.loads(pickle.dumps(optimizer)),
            self.saved_and_loaded(optimizer),
        ):
            self.assert_equal(tensors(other.state_dict()), tensors(optimizer.state_dict()))
            other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            (group,) = other.param_groups
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter)
            other.step()

    @staticmethod
    def saved_and_loaded(optimizer):
        file = io.BytesIO()
        torch.save(optimizer, file)
        file.seek(0)
        return torch.load(file, weights_only=False)

    def test_state_dict_hooks_are_called_and_may_change_the_state(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([weight, bias])
        self.run_closure(optimizer, closure, 1)
        calls = []

        def change_lr(_, state):
            calls.append("loading")
            state = state.copy()
            state["param_groups"] = copy.deepcopy(state["param_groups"])
            state["param_groups"][0]["lr"] = 0.25
            return state

        optimizer.register_state_dict_pre_hook(lambda o: calls.append("saving"))
        optimizer.register_state_dict_post_hook(lambda o, state: {**state, "more": 1})
        optimizer.register_load_state_dict_pre_hook(change_lr)
        optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))
        state = optimizer.state_dict()
        self.assertEqual(state.pop("more"), 1)
        optimizer.load_state_dict(state)
        self.assertEqual(calls, ["saving", "loading", "loaded"])
        self.assertEqual(optimizer.param_groups[0]["lr"], 0.25)

    def test_parameter_names_are_saved_and_may_be_omitted(self):
        weight, bias, closure = self.problem()
        optimizer = self.make([("weight", weight), ("bias", bias)])
        self.run_closure(optimizer, closure, 2)
        self.assertEqual(optimizer.param_groups[0]["param_names"], ["weight", "bias"])
        state = copy.deepcopy(optimizer.state_dict())
        self.assertEqual(state["param_groups"][0]["param_names"], ["weight", "bias"])
        named = self.make([("weight", weight), ("bias", bias)])
        named.load_state_dict(state)
        self.assert_equal(tensors(named.state_dict()), tensors(state))
        plain = self.make([weight, bias])
        plain.load_state_dict({**state, "param_groups": [
            {k: v for k, v in group.items() if k != "param_names"} for group in state["param_groups"]
        ]})
        self.assert_equal(tensors(plain.state_dict()), tensors(state))
        with self.assertRaises((ValueError, TypeError)):
            self.make([("weight", weight), bias])
