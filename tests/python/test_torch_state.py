"""State of LearnedOptimizer: saved, loaded, copied, moved."""

import copy
import io
import math
import pickle
import unittest

import l2o

from reference import Rule
from support import synthetic_optimizer, sign_descent_optimizer

try:
    import torch

    from l2o.torch import LearnedOptimizer
    from torch_networks import parameters_of, small_loss, small_network, train
except ImportError:
    raise unittest.SkipTest("torch is not installed")

torch.set_num_threads(1)  # these networks are too small for more
SMALL = Rule(8, 2, "log_and_sign")


class StateTest(unittest.TestCase):
    def test_state_dict_round_trip(self):
        model, _ = synthetic_optimizer(SMALL)
        network = small_network()
        optimizer = LearnedOptimizer(network.parameters(), model)
        train(network, optimizer, 5)
        file = io.BytesIO()
        torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict()}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        train(network, optimizer, 5)  # continues as if not saved

        resumed = small_network()
        resumed.load_state_dict(saved["network"])
        other = LearnedOptimizer(resumed.parameters(), model)
        train(resumed, other, 1)  # a state that loading must replace
        resumed.load_state_dict(saved["network"])
        other.load_state_dict(saved["optimizer"])
        train(resumed, other, 5)
        torch.testing.assert_close(parameters_of(resumed), parameters_of(network), rtol=0, atol=0)

        straight = small_network()
        train(straight, LearnedOptimizer(straight.parameters(), model), 10)
        torch.testing.assert_close(parameters_of(straight), parameters_of(network), rtol=0, atol=0)

    def test_a_rejected_state_changes_nothing(self):
        model, phi = synthetic_optimizer(SMALL)
        network = small_network()
        optimizer = LearnedOptimizer(network.parameters(), model)
        train(network, optimizer, 3)
        before = copy.deepcopy(optimizer.state_dict())
        good = copy.deepcopy(before)
        other_phi = l2o.Optimizer({"hidden": 8, "layers": 2})
        fewer = copy.deepcopy(good)
        fewer["param_groups"][0]["params"].pop()
        smaller = copy.deepcopy(good)
        smaller["state"][3]["rule"] = smaller["state"][3]["rule"][:0]
        infinite = copy.deepcopy(good)
        infinite["param_groups"][0]["lr"] = math.inf
        adam = torch.optim.Adam(network.parameters())
        train(network, adam, 1)
        adams = copy.deepcopy(good)
        adams["state"] = adam.state_dict()["state"]
        for state, message in (
            (LearnedOptimizer(small_network().parameters(), other_phi).state_dict(), "another model"),
            (fewer, "groups of \\[3\\] parameters"),
            (smaller, "is it the same model"),
            (infinite, "lr is inf"),
            (adams, "was it made by another optimizer"),
            (adam.state_dict(), "was it made by another optimizer"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                optimizer.load_state_dict(state)
            torch.testing.assert_close(optimizer.state_dict()["state"], before["state"], rtol=0, atol=0)
            self.assertEqual(optimizer.state_dict()["param_groups"], before["param_groups"])
        train(network, optimizer, 1)

    def test_a_state_from_before_states_were_torch_tensors(self):
        model, _ = synthetic_optimizer(SMALL)
        network, resumed = small_network(), small_network()
        optimizer = LearnedOptimizer(network.parameters(), model)
        train(network, optimizer, 3)
        old = copy.deepcopy(optimizer.state_dict())
        del old["param_groups"][0]["model_fingerprint"]
        for index, parameter in enumerate(network.parameters()):
            tiles = old["state"][index]["rule"].reshape(-1, model.state_size, 32)
            rows = tiles.transpose(0, 1).reshape(model.state_size, -1)[:, : parameter.numel()]
            old["state"][index] = {"lstm": rows}  # [S, numel]
        resumed.load_state_dict(network.state_dict())
        other = LearnedOptimizer(resumed.parameters(), model)
        other.load_state_dict(old)
        train(network, optimizer, 3)
        train(resumed, other, 3)
        torch.testing.assert_close(parameters_of(resumed), parameters_of(network), rtol=0, atol=0)

    def test_scales_are_saved_with_the_state(self):
        model, _ = synthetic_optimizer(SMALL)
        network, resumed = small_network(), small_network()
        optimizer = LearnedOptimizer(
            network.parameters(), model, lr=0.5, weight_decay=0.01, gradient_scale=3.0
        )
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
        other = LearnedOptimizer(resumed.parameters(), model)
        resuming = torch.optim.lr_scheduler.CosineAnnealingLR(other, 12)
        for _ in range(4):
            train(network, optimizer, 1)
            scheduler.step()
        file = io.BytesIO()
        torch.save([x.state_dict() for x in (network, optimizer, scheduler)], file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        for x, state in zip((resumed, other, resuming), saved):
            x.load_state_dict(state)
        for pair in ((network, optimizer, scheduler), (resumed, other, resuming)):
            for _ in range(4):
                train(*pair[:2], 1)
                pair[2].step()
        torch.testing.assert_close(parameters_of(resumed), parameters_of(network), rtol=0, atol=0)
        self.assertEqual(other.param_groups[0]["gradient_scale"], 3.0)

    def test_a_state_dict_from_before_there_were_scales(self):
        model, _ = synthetic_optimizer(SMALL)
        network = small_network()
        optimizer = LearnedOptimizer(network.parameters(), model)
        train(network, optimizer, 3)
        old = optimizer.state_dict()
        for option in ("lr", "weight_decay", "gradient_scale"):
            del old["param_groups"][0][option]
        other = LearnedOptimizer(small_network().parameters(), model, lr=0.5, weight_decay=0.1)
        other.load_state_dict(old)
        group = other.param_groups[0]
        options = [group[option] for option in ("lr", "weight_decay", "gradient_scale")]
        self.assertEqual(options, [0.5, 0.1, 1.0])
        torch.testing.assert_close(other.state_dict()["state"], optimizer.state_dict()["state"])

    def test_a_nan_policy_by_name_is_saved(self):
        optimizer = LearnedOptimizer(
            [torch.zeros(3)], sign_descent_optimizer(0.1), nan_policy="zero"
        )
        (group,) = optimizer.state_dict()["param_groups"]
        self.assertEqual(group["nan_policy"], "zero")

    def test_parameters_that_change_later(self):
        network = small_network()
        optimizer = LearnedOptimizer(network.parameters(), sign_descent_optimizer(0.01))
        train(network, optimizer, 1)
        before = parameters_of(network)
        bias, kept = network[0].bias, network[0].bias.data
        bias.grad = None
        bias.data = kept.repeat(8)
        bias.grad = torch.ones_like(bias)
        with self.assertRaisesRegex(ValueError, "the parameter has 40: did its size change"):
            optimizer.step()
        bias.grad = None
        bias.data = kept
        torch.testing.assert_close(parameters_of(network), before, rtol=0, atol=0)
        optimizer.param_groups[0]["model"] = l2o.Optimizer()
        small_loss(network).backward()
        with self.assertRaisesRegex(ValueError, "did the parameter or the model change"):
            optimizer.step()
        optimizer.param_groups[0]["model"] = sign_descent_optimizer(0.01)
        train(network, optimizer, 1)

    def test_copies_and_pickles_continue_with_the_same_bits(self):
        model, _ = synthetic_optimizer(SMALL)
        network = small_network()
        optimizer = LearnedOptimizer(network.parameters(), model, lr=0.5)
        train(network, optimizer, 3)
        pairs = [copy.deepcopy((network, optimizer)), pickle.loads(pickle.dumps((network, optimizer)))]
        train(network, optimizer, 3)
        for other, its_optimizer in pairs:
            train(other, its_optimizer, 3)
            torch.testing.assert_close(parameters_of(other), parameters_of(network), rtol=0, atol=0)

    def test_storage_may_move_under_the_same_tensors(self):
        # As done by share_memory() and recipes that move an optimizer to a device.
        model, _ = synthetic_optimizer(SMALL)
        network, other = small_network(), small_network()
        optimizer = LearnedOptimizer(network.parameters(), model)
        theirs = LearnedOptimizer(other.parameters(), model)
        for step in range(4):
            train(network, optimizer, 1)
            train(other, theirs, 1)
            for parameter in network.parameters():
                state = optimizer.state[parameter]["rule"]
                state.data = state.data.clone()
                if step % 2:
                    state.share_memory_()
                    parameter.data = parameter.data.clone()
            torch.testing.assert_close(parameters_of(network), parameters_of(other), rtol=0, atol=0)

    def test_parameters_may_be_replaced_in_a_group(self):
        model = sign_descent_optimizer(0.1)
        old, new = (torch.nn.Parameter(torch.zeros(3)) for _ in range(2))
        optimizer = LearnedOptimizer([old], model)
        old.grad, new.grad = torch.ones(3), torch.ones(3)
        optimizer.step()
        before = old.detach().clone()
        optimizer.param_groups[0]["params"][0] = new
        optimizer.step()
        self.assertTrue(torch.equal(old, before))
        self.assertTrue((new != 0).all())

    def test_hooks_may_change_the_states_that_are_loaded(self):
        model, _ = synthetic_optimizer(SMALL)
        network = small_network()
        optimizer = LearnedOptimizer(network.parameters(), model)
        train(network, optimizer, 2)
        seen = []

        def zeros(_, state):
            state["state"] = {
                index: {"rule": torch.zeros_like(values["rule"])}
                for index, values in state["state"].items()
            }
            return state

        def after(loaded):
            seen.append([loaded.state[p]["rule"].abs().sum().item() for p in network.parameters()])
            self.assertIs(loaded.param_groups[0]["model"], model)

        optimizer.register_load_state_dict_pre_hook(zeros)
        optimizer.register_load_state_dict_post_hook(after)
        optimizer.load_state_dict(optimizer.state_dict())
        self.assertEqual(seen, [[0.0] * 4])


if __name__ == "__main__":
    unittest.main()
