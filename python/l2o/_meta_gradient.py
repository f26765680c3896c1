"""The meta-gradient of an unroll that only the caller could evaluate."""

from __future__ import annotations

from ._arguments import instance
from ._arrays import ArrayLike, empty, host_view, view
from ._context import Context, context_of_this_thread
from ._library import check, library
from ._long_calls import interruptible
from ._optimizer import Optimizer


def meta_gradient(
    optimizer: Optimizer,
    trace: ArrayLike,
    weights: ArrayLike | None = None,
    start_state: ArrayLike | None = None,
    *,
    context: Context | None = None,
    out: ArrayLike | None = None,
) -> ArrayLike:
    """d sum_t w[t] f(theta[t]) / d phi [P] along T steps of `optimizer` from start_state.

    trace        [T+1, n] context memory: d f / d theta at theta[0..T]
    weights      [T+1] host memory: w[0..T]; None: all 1
    start_state  [S, n] host memory: the state at theta[0], as from Run.get_state; None: zero
    context      None: a CPU context of this thread
    out          [P] host memory for the result; None: a new numpy array
    """
    instance(optimizer, Optimizer, "optimizer")
    context = context_of_this_thread() if context is None else instance(context, Context, "context")
    trace = context.view(trace, "trace")
    if len(trace.shape) != 2 or trace.shape[0] < 1:
        raise ValueError(f"trace has shape {trace.shape}; expected [T+1, n]")
    evaluations, n = trace.shape
    weights = host_view([1.0] * evaluations if weights is None else weights, "weights", evaluations)
    state_address = None
    if start_state is not None:
        start_state = host_view(start_state, "start_state", optimizer.state_size * n)
        state_address = start_state.address
    out = empty(optimizer.meta_parameter_count) if out is None else out
    result = view(out, "out", writable=True, count=optimizer.meta_parameter_count)
    with interruptible():
        check(
            library.l2o_meta_gradient(
                context._handle,
                optimizer._handle,
                n,
                evaluations - 1,
                trace.address,
                weights.address,
                state_address,
                result.address,
            )
        )
    return out
