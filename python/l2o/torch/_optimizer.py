"""A learned optimizer as a torch.optim.Optimizer."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeVar, overload

import torch
from torch.optim import optimizer as torch_optimizer

from .._arguments import INT_MAX, FilePath, integer
from .._context import Context
from .._optimizer import Optimizer
from .._run import NanPolicy, nan_policy_of
from .._step import TILE, Step, tile_values
from ._calls import NUMEL, OPTIONS, STATE, Call, Calls, Group, group_options, refuse_size
from ._memory import Memory
from ._tensors import check_elements_apart, local, state_like, working_copy

if TYPE_CHECKING:
    from torch.optim.optimizer import ParamsT

_Loss = TypeVar("_Loss")
_Function = TypeVar("_Function", bound=Callable[..., Any])

_not_compiled: Callable[[_Function], _Function] = torch.compiler.disable  # typed
_profiler_enabled: Callable[[], bool] = getattr(torch.autograd, "_profiler_enabled", lambda: True)
# Hooks on the steps of all optimizers.
_global_hooks: list[dict[int, Any] | None] = [
    getattr(torch_optimizer, f"_global_optimizer_{when}_hooks", None) for when in ("pre", "post")
]

_FINGERPRINT = "model_fingerprint"  # key of a group in state_dict() that replaces its model
# Keys of a group besides its options: names of parameters, keys that resuming schedulers need, and keys
# that torch adds to pickled optimizers.
_OTHER_KEYS = {"params", "param_names", "initial_lr", "swa_lr", "differentiable"}


class LearnedOptimizer(torch.optim.Optimizer):
    """Steps parameters with a learned rule:

        parameter += lr * (update(gradient_scale * gradient) - weight_decay * parameter)

        optimizer = l2o.torch.LearnedOptimizer(network.parameters(), "general")

    params          tensors or groups of them; a group may have its own "model" and any of the
                    options below except threads
    model           an l2o.Optimizer, the path of a model file, or the name of one that ships
    lr              a factor on the updates, whose magnitudes the rule has learned: it was trained
                    for 1; torch.optim.lr_scheduler can schedule it
    weight_decay    decoupled from the gradient, as in AdamW
    gradient_scale  brings gradients to the magnitudes that the rule was trained on
    maximize        maximizes the function instead of minimizing it
    nan_policy      an l2o.NanPolicy or its name: "skip_step", "error", "zero", "propagate"; the first two
                    apply to the gradients of one group on one device
    threads         of the CPU; 0: one per available core

    Contiguous float32 parameters are stepped in place; others, and those of other floating-point
    types, through a float32 copy. DTensors are stepped shard by shard: a rule works on every
    coordinate separately, so nothing is communicated.

    A parameter without a gradient is left out of a step, as in torch's optimizers: neither it nor
    its state changes. The state, optimizer.state[parameter]["rule"], is an ordinary float32 tensor:
    tiles of 32 coordinates, each with the state values of the rule. "numel" is the parameter's size.
    """

    def __init__(
        self,
        params: ParamsT,
        model: Optimizer | FilePath,
        lr: SupportsFloat = 1.0,
        weight_decay: SupportsFloat = 0.0,
        gradient_scale: SupportsFloat = 1.0,
        *,
        maximize: bool = False,
        nan_policy: NanPolicy | int | str = NanPolicy.SKIP_STEP,
        threads: int = 0,
    ) -> None:
        self._threads = integer(threads, "threads", 0, INT_MAX)
        self._skipped_steps = 0
        self._reset_caches()
        options = {
            "model": model,
            "lr": lr,
            "weight_decay": weight_decay,
            "gradient_scale": gradient_scale,
            "maximize": maximize,
            "nan_policy": nan_policy,
        }
        super().__init__(params, options)

    def _reset_caches(self) -> None:
        # device -> (Context, the torch stream it queues on or None)
        self._contexts: dict[torch.device, tuple[Context, torch.cuda.Stream | None]] = {}
        # By device and id of a model: number of state floats of a tile, and the model, which is held so
        # that its id is not reused.
        self._tiles: dict[tuple[torch.device, int], tuple[int, Optimizer]] = {}
        self._calls: dict[int, Calls] = {}  # index of a group -> its calls of the last step
        self._memory = Memory([])  # of those calls

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            _check_keys(group)
            group_options(group)
            for parameter in group["params"]:
                working_copy(parameter)
                check_elements_apart(local(parameter))
            group["nan_policy"] = nan_policy_of(group["nan_policy"]).name.lower()
            if not isinstance(group["model"], Optimizer):
                group["model"] = Optimizer.load(group["model"])
        except BaseException:
            self.param_groups.pop()
            raise

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], _Loss]) -> _Loss: ...

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; the optional closure re-evaluates the loss and its gradients."""
        if self._is_observed():
            return self._observed_step() if closure is None else self._observed_step(closure)
        return self._unobserved_step(closure)

    # torch would wrap every step for hooks and the profiler, which takes ten microseconds.
    step.hooked = True  # type: ignore[attr-defined]

    def _is_observed(self) -> bool:
        """Whether there is a hook or a profiler. torch wraps the step of a subclass for them itself."""
        if type(self).step is not LearnedOptimizer.step:
            return False
        return (
            _profiler_enabled()
            or len(self._optimizer_step_pre_hooks) + len(self._optimizer_step_post_hooks) > 0
            or any([hooks is None or len(hooks) > 0 for hooks in _global_hooks])
        )

    def _unobserved_step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._step()
        return loss

    _observed_step = torch.optim.Optimizer.profile_hook_step(_unobserved_step)

    @_not_compiled
    def _step(self) -> None:
        # Everything except the values of gradients is checked before anything is changed.
        calls = [call for index in range(len(self.param_groups)) for call in self._calls_of(index)]
        if calls != self._memory.calls:
            self._memory = Memory(calls)
        if len(calls) > 1:
            self._memory.check_gradients()
        had_skipped = self._skipped_steps > 0
        for call in calls:
            if not call.run():
                self._skipped_steps += 1
        if self._skipped_steps and not had_skipped:
            warnings.warn(
                'a gradient is not finite: the step is skipped because of nan_policy="skip_step"; '
                "optimizer.skipped_steps counts skipped steps",
                RuntimeWarning,
            )

    def _calls_of(self, index: int) -> list[Call]:
        """A call for each device with parameters of the group that have gradients."""
        group = self.param_groups[index]
        known = self._calls.get(index)
        if known is None or not known.are_as_before(group, self.state):
            known = self._calls[index] = self._new_calls(group)
        return known.calls

    def _new_calls(self, group: Group) -> Calls:
        by_device: dict[torch.device, Call] = {}
        missing: list[torch.Tensor] = []
        model = group["model"]
        for parameter in group["params"]:
            if parameter.grad is None:
                missing.append(parameter)
                continue
            device = parameter.device
            if device not in by_device:
                by_device[device] = Call(device, model, self._tile_values(device, model))
            call = by_device[device]
            state = self.state[parameter]
            if STATE not in state:
                state[STATE] = state_like(parameter, call.tile_values)
            call.add(parameter, state)
        for call in by_device.values():
            context, call.stream = self._context(call.device)
            call.step = Step(context, model, len(call.parameters))
            call.is_as_before(group)
        return Calls(self.state, list(group["params"]), missing, list(by_device.values()))

    def _tile_values(self, device: torch.device, model: Optimizer) -> int:
        """The number of state floats of 32 coordinates."""
        key = device, id(model)
        if key not in self._tiles:
            self._tiles[key] = tile_values(self._context(device)[0], model), model
        return self._tiles[key][0]

    def _context(self, device: torch.device) -> tuple[Context, torch.cuda.Stream | None]:
        if device not in self._contexts:
            if device.type == "cuda":
                stream = torch.cuda.current_stream(device)
                context = Context(f"cuda:{device.index}", stream=stream.cuda_stream)
                self._contexts[device] = context, stream
            else:
                self._contexts[device] = Context("cpu", threads=self._threads), None
        return self._contexts[device]

    @property
    def skipped_steps(self) -> int:
        """Steps of groups skipped so far because a gradient was not finite."""
        return self._skipped_steps

    def state_dict(self) -> dict[str, Any]:
        """Like torch's: states unchanged, and the fingerprint of each model, which has its own file."""
        result: dict[str, Any] = super().state_dict()
        for group in result["param_groups"]:
            group[_FINGERPRINT] = group.pop("model").fingerprint()
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Changes nothing if the state is rejected: of another model or other sizes. An option that is
        missing in a group of an older version is left unchanged."""
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, state_dict.copy()) or state_dict
        groups = state_dict["param_groups"]
        lengths = [len(group["params"]) for group in groups]
        if lengths != [len(group["params"]) for group in self.param_groups]:
            raise ValueError(
                f"the state has groups of {lengths} parameters; expected "
                f"{[len(group['params']) for group in self.param_groups]}"
            )
        states = {}
        for saved, own in zip(groups, self.param_groups):
            fingerprint = saved.get(_FINGERPRINT)
            if fingerprint is not None and fingerprint != own["model"].fingerprint():
                raise ValueError(
                    "the state was made by another model; expected one made by "
                    f"{own['model'].description}, fingerprint {own['model'].fingerprint()}"
                )
            merged = {**own, **{key: saved[key] for key in OPTIONS if key in saved}}
            group_options(merged)
            for index, parameter in zip(saved["params"], own["params"]):
                if index in state_dict["state"]:
                    states[parameter] = self._loaded_state(
                        state_dict["state"][index], parameter, own["model"]
                    )
        own_options = [{key: group[key] for key in ("model", *OPTIONS)} for group in self.param_groups]
        hooks = self._optimizer_load_state_dict_pre_hooks, self._optimizer_load_state_dict_post_hooks
        self._optimizer_load_state_dict_pre_hooks = OrderedDict()  # they have been called
        self._optimizer_load_state_dict_post_hooks = OrderedDict()  # called at the end
        try:
            super().load_state_dict({**state_dict, "state": {}})
        finally:
            self._optimizer_load_state_dict_pre_hooks = hooks[0]
            self._optimizer_load_state_dict_post_hooks = hooks[1]
        for group, own in zip(self.param_groups, own_options):
            group.pop(_FINGERPRINT, None)
            group["model"] = own.pop("model")
            for key, value in own.items():
                group.setdefault(key, value)
            group["nan_policy"] = nan_policy_of(group["nan_policy"]).name.lower()
        for parameter, state in states.items():
            self.state[parameter] = {STATE: state, NUMEL: parameter.numel()}
        self._calls.clear()
        self._memory = Memory([])
        for after in hooks[1].values():
            after(self)

    def _loaded_state(
        self, saved: dict[str, Any], parameter: torch.Tensor, model: Optimizer
    ) -> torch.Tensor:
        """A copy of a saved state for this parameter, on its device."""
        state = state_like(parameter, self._tile_values(parameter.device, model))
        values: Any = saved.get("lstm" if "lstm" in saved and len(saved) == 1 else STATE)
        if not torch.is_tensor(values):
            raise ValueError(
                f"a parameter's state has {', '.join(map(str, saved)) or 'nothing'}; expected "
                f"'{STATE}': was it made by another optimizer?"
            )
        if "lstm" in saved:  # [S, numel], from versions before states were torch tensors
            values = _tiled(values, model, parameter)
        if values.shape != state.shape:
            raise ValueError(
                f"a parameter's state has shape {tuple(values.shape)}; the model needs "
                f"{tuple(state.shape)}: is it the same model?"
            )
        if saved.get(NUMEL, parameter.numel()) != parameter.numel():  # none: of an older version
            refuse_size(saved[NUMEL], parameter)
        local(state).copy_(local(values))
        return state

    def __getstate__(self) -> dict[str, Any]:
        return {
            **super().__getstate__(),
            "_threads": self._threads,
            "_skipped_steps": self._skipped_steps,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._reset_caches()


def _tiled(values: torch.Tensor, model: Optimizer, parameter: torch.Tensor) -> torch.Tensor:
    """A state [S, numel] in tiles of 32 coordinates: [tiles, S, 32]."""
    n = parameter.numel()
    if tuple(values.shape) != (model.state_size, n):
        raise ValueError(
            f"a parameter's state has shape {tuple(values.shape)}; the model needs "
            f"{(model.state_size, n)}: is it the same model?"
        )
    padded = torch.nn.functional.pad(values.float(), (0, -n % TILE))
    tiles = padded.reshape(model.state_size, -1, TILE).transpose(0, 1)
    return tiles.reshape(-1, TILE * model.state_size)


def _check_keys(group: Group) -> None:
    unknown = sorted(map(str, group.keys() - {"model", *OPTIONS} - _OTHER_KEYS))
    if unknown:
        raise ValueError(
            f"unknown option {unknown[0]!r} of a parameter group: expected model, "
            f"{', '.join(OPTIONS)}"
        )
