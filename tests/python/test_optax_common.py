"""The installed optax's tests for contributed optimizers, on ours and on Adam."""

import importlib.util
import re
import unittest

import l2o

try:
    import jax  # noqa: F401
    import optax
    from absl.testing import absltest  # noqa: F401

    from l2o.jax import learned_optimizer

    SPEC = importlib.util.find_spec("optax.contrib._common_test")
except ImportError:
    raise unittest.SkipTest("jax, optax or absl is not installed")
if SPEC is None:
    raise unittest.SkipTest("this optax does not include its tests")

# Replaces the module's lists of optimizers under test with ours; the rest of it runs unchanged.
OURS = "({}, {})".format(
    "{'opt_name': 'learned', 'opt_kwargs': {'learning_rate': 1.0},"
    " 'wrapper_name': None, 'wrapper_kwargs': None}",
    "{'opt_name': 'adam', 'opt_kwargs': {'learning_rate': 1e-2},"
    " 'wrapper_name': None, 'wrapper_kwargs': None}",
)


def _learned(learning_rate=1.0):
    return learned_optimizer("general", learning_rate)


def _load():
    try:
        l2o.Optimizer.load("general")
    except l2o.Error:
        raise unittest.SkipTest("models/general.safetensors is missing")
    source = open(SPEC.origin).read()
    for name in ("_ALL_OPTIMIZERS_UNDER_TEST", "_MAIN_OPTIMIZERS_UNDER_TEST"):
        source, count = re.subn(rf"^{name} = tuple\([^)]*\)$", f"{name} = {OURS}", source, flags=re.M)
        if count != 1:
            raise unittest.SkipTest("this optax lists its optimizers under test differently")
    optax.contrib.learned = _learned
    names = {"__name__": __name__}
    exec(compile(source, SPEC.origin, "exec"), names)
    return names


globals().update({k: v for k, v in _load().items() if isinstance(v, type) and k.endswith("Test")})

if __name__ == "__main__":
    unittest.main()
