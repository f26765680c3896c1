"""A learned optimizer as a torch.optim.Optimizer."""

import operator
import os

import torch

from ._context import Context
from ._optimizer import Optimizer
from ._run import NanPolicy, Run, checked_scale, nan_policy_of

_STATE = "lstm"  # key of a parameter's state in state_dict(): [S, numel] float32
# What a group may have besides its options: names of parameters, and what a scheduler that resumes
# wants to find.
_OTHER_KEYS = {"params", "param_names", "initial_lr"}


class LearnedOptimizer(torch.optim.Optimizer):
    """Steps parameters by a learned rule:

        parameter += lr * (update(gradient_scale * gradient) - weight_decay * parameter)

        optimizer = l2o.torch.LearnedOptimizer(network.parameters(), "mnist.safetensors")

    params          tensors or groups of them; a group may have a "model" and any of the options
                    below of its own, but for threads
    model           path of a model file, or an l2o.Optimizer
    lr              a factor on the updates, whose sizes the rule has learned: 1 is what it was
                    trained for, and torch.optim.lr_scheduler makes schedules of it
    weight_decay    decoupled from the gradient, as in AdamW
    gradient_scale  brings gradients to the sizes that the rule was trained on
    nan_policy      an l2o.NanPolicy or its name
    threads         of the CPU; 0: one per available core

    Parameters are float32 and contiguous, those of a group on one device; they and their gradients
    are used in place.

    A parameter without a gradient is left out of a step, as torch's optimizers do: neither it nor
    its state changes. Keep the same parameters with gradients from step to step where you can: where
    that changes, the states move through host memory.
    """

    def __init__(
        self,
        params,
        model,
        lr=1.0,
        weight_decay=0.0,
        gradient_scale=1.0,
        *,
        nan_policy=NanPolicy.SKIP_STEP,
        threads=0,
    ):
        self._threads = threads
        self._contexts = {}  # device -> Context
        self._streams = {}  # CUDA device -> the torch stream that its context queues on
        self._runs = {}  # index of a group -> (its parameters with gradients, their Run)
        self._skipped_by_old_runs = 0
        options = {
            "model": model,
            "lr": lr,
            "weight_decay": weight_decay,
            "gradient_scale": gradient_scale,
            "nan_policy": nan_policy,
        }
        super().__init__(params, options)

    def add_param_group(self, param_group):
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            _check_keys(group, self.defaults)
            _scales(group)
            _check_parameters(group["params"])
            if not isinstance(group["model"], Optimizer):
                group["model"] = Optimizer.load(os.fspath(group["model"]))
        except Exception:
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for index, group in enumerate(self.param_groups):
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                _check_parameters(parameters)  # again: a network may be moved or cast at any time
                scales = _scales(group)  # of now: a scheduler may have changed them
                run = self._run_of(index, parameters)
                run.set_scales(**scales)
                self._step(run, parameters)
        return loss

    def _step(self, run, parameters):
        gradients = [_gradient_like(p) for p in parameters]
        device = parameters[0].device
        if device.type == "cuda":
            # The context's stream is the one that was current when it was made.
            ours, current = self._streams[device], torch.cuda.current_stream(device)
            ours.wait_stream(current)
            run.step_addresses(_addresses(gradients), _addresses(parameters))
            current.wait_stream(ours)
        else:
            run.step_addresses(_addresses(gradients), _addresses(parameters))
        torch.autograd.graph.increment_version(parameters)

    def _run_of(self, index, parameters):
        """The run of a group over just these parameters."""
        sizes = tuple(p.numel() for p in parameters)
        context = self._context(parameters[0].device)
        if index in self._runs:
            members, run = self._runs[index]
            same = len(members) == len(parameters) and all(map(operator.is_, members, parameters))
            if same and run.sizes == sizes and run.context is context:
                return run
            self._store_states(index)
        group = self.param_groups[index]
        run = Run(group["model"], sizes, context=context, nan_policy=group["nan_policy"])
        states = [self.state.get(p, {}).get(_STATE) for p in parameters]
        if any(state is not None for state in states):
            for k, (parameter, state) in enumerate(zip(parameters, states)):
                if state is None:
                    states[k] = torch.zeros(group["model"].state_size, parameter.numel())
                else:
                    _check_state(state, group["model"], parameter)
                    states[k] = state.cpu()
            run.set_state(torch.cat(states, dim=1))
        for parameter in parameters:
            self.state.pop(parameter, None)  # it is in the run now
        self._runs[index] = (parameters, run)
        return run

    def _store_states(self, index):
        """Moves the states of a group's run to where torch keeps states, and drops the run."""
        parameters, run = self._runs.pop(index)
        states = run.get_state(torch.empty(run.state_shape))
        for parameter, state in zip(parameters, states.split(run.sizes, dim=1)):
            self.state[parameter][_STATE] = state.contiguous()
        self._skipped_by_old_runs += run.skipped_steps

    def _context(self, device):
        if device not in self._contexts:
            if device.type == "cuda":
                self._streams[device] = torch.cuda.current_stream(device)
                stream = self._streams[device].cuda_stream
                self._contexts[device] = Context(f"cuda:{device.index}", stream=stream)
            else:
                self._contexts[device] = Context("cpu", threads=self._threads)
        return self._contexts[device]

    @property
    def skipped_steps(self):
        """Steps of groups left out so far because a gradient was not finite."""
        return self._skipped_by_old_runs + sum(run.skipped_steps for _, run in self._runs.values())

    def state_dict(self):
        """As torch's, with the LSTM states and without the models: they are files of their own."""
        for index in list(self._runs):
            self._store_states(index)
        result = super().state_dict()
        for group in result["param_groups"]:
            del group["model"]
            group["nan_policy"] = int(nan_policy_of(group["nan_policy"]))
        return result

    def load_state_dict(self, state_dict):
        """Of older versions, too: an option that a group of theirs does not have stays as it is."""
        options = [{key: group[key] for key in self.defaults} for group in self.param_groups]
        super().load_state_dict(state_dict)
        self._runs.clear()
        for group, own in zip(self.param_groups, options):
            model = group["model"] = own.pop("model")
            for key, value in own.items():
                group.setdefault(key, value)
            for parameter in group["params"]:
                if parameter in self.state:
                    _check_state(self.state[parameter].get(_STATE), model, parameter)


def _check_keys(group, options):
    unknown = sorted(map(str, group.keys() - options.keys() - _OTHER_KEYS))
    if unknown:
        raise ValueError(
            f"unknown option {unknown[0]!r} of a parameter group: expected {', '.join(options)}"
        )


def _scales(group):
    """A group's options as Run.set_scales wants them."""
    return {
        "update_scale": checked_scale("lr", group["lr"]),
        "gradient_scale": checked_scale("gradient_scale", group["gradient_scale"], positive=True),
        "weight_decay": checked_scale("weight_decay", group["weight_decay"]),
    }


def _check_parameters(parameters):
    for parameter in parameters:
        if parameter.dtype != torch.float32 or parameter.layout != torch.strided:
            kind = f"{parameter.dtype} ({parameter.layout})"
            raise TypeError(f"a parameter is {kind}; expected dense float32")
        if not parameter.is_contiguous():
            raise ValueError("a parameter is not contiguous; make it so with .contiguous()")
        if parameter.device.type not in ("cpu", "cuda"):
            raise ValueError(f"a parameter is on {parameter.device}; expected cpu or cuda")
        if parameter.device != parameters[0].device:
            raise ValueError("the parameters of a group are on one device: use a group for each")


def _check_state(state, model, parameter):
    expected = (model.state_size, parameter.numel())
    if state is None or tuple(state.shape) != expected:
        found = "missing" if state is None else f"of shape {tuple(state.shape)}"
        raise ValueError(
            f"a parameter's state is {found}; the model needs {expected}: is it the same model?"
        )


def _gradient_like(parameter):
    """The gradient, in place where it is contiguous as its parameter is."""
    gradient = parameter.grad
    if gradient.dtype != torch.float32 or gradient.layout != torch.strided:
        kind = f"{gradient.dtype} ({gradient.layout})"
        raise TypeError(f"a gradient is {kind}; expected dense float32")
    if gradient.shape != parameter.shape or gradient.device != parameter.device:
        raise ValueError("a gradient is of another shape or on another device than its parameter")
    return gradient.contiguous()


def _addresses(tensors):
    return [tensor.data_ptr() for tensor in tensors]
