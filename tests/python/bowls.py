"""Objectives in Python: one task at a time, and all at once."""

import l2o
import numpy as np


class Bowl(l2o.Objective):
    """sum (theta - target)^2, with a target for each task."""

    coordinates = 6

    def __init__(self):
        self.sampled = []
        self.evaluations = []

    def sample(self, seed, task):
        self.sampled.append((seed, task))
        return np.random.default_rng((seed, task)).normal(size=self.coordinates)

    def initial_parameters(self, target):
        return np.zeros(self.coordinates)

    def value_and_gradient(self, target, evaluation, parameters):
        self.evaluations.append(evaluation)
        difference = parameters - target
        return (difference**2).sum(), 2 * difference


class Bowls(l2o.BatchObjective):
    """Bowl, all tasks at once."""

    coordinates = 6

    def sample(self, seed, first_task, tasks):
        numbers = range(first_task, first_task + tasks)
        return np.stack([np.random.default_rng((seed, task)).normal(size=6) for task in numbers])

    def initial_parameters(self, targets, tasks):
        return np.zeros((tasks, 6))

    def value_and_gradient(self, targets, evaluation, parameters):
        difference = parameters - targets
        return (difference**2).sum(axis=1), 2 * difference


class TaskByTask(l2o.Objective):
    """The tasks of a batched objective, one at a time. Subclasses define value_and_gradient."""

    def __init__(self, objective):
        self.objective = objective
        self.coordinates = objective.coordinates

    def sample(self, seed, task):
        return self.objective.sample(seed, task, 1)

    def initial_parameters(self, batch):
        return np.asarray(self.objective.initial_parameters(batch, 1)[0])
