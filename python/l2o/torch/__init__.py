"""l2o for PyTorch: learned optimizers as torch.optim.Optimizer, and their training on PyTorch functions."""

from __future__ import annotations

from ._objective import Objective, module_objective
from ._optimizer import LearnedOptimizer

__all__ = ["LearnedOptimizer", "Objective", "module_objective"]
