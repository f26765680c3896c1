"""One episode of meta-training in eager PyTorch, in the style of its tutorials.

The optimizee is the network 784-20-10 with sigmoids on images of MNIST's size; 100 steps in unrolls
of 20; the meta-loss of an unroll is the sum of its 21 losses, gradients of the optimizee are data;
Adam on phi after every unroll. That is what `l2o train` does with its defaults.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

ROWS, INPUTS, UNITS, CLASSES, BATCH = 60000, 784, 20, 10, 128
STEPS, UNROLL = 100, 20
INITIAL_SIGMA, LEARNING_RATE = 0.01, 3e-3
SHAPES = [(INPUTS, UNITS), (UNITS,), (UNITS, CLASSES), (CLASSES,)]
COORDINATES = sum(int(np.prod(shape)) for shape in SHAPES)


class MnistEpisode:
    def __init__(self, make_rule, device):
        self.make_rule, self.device = make_rule, device
        random = torch.Generator().manual_seed(1)
        self.images = torch.randint(0, 256, (ROWS, INPUTS), dtype=torch.uint8, generator=random).to(device)
        self.labels = torch.randint(0, CLASSES, (ROWS,), generator=random).to(device)
        self.reset()

    def reset(self):
        self.rule = self.make_rule()
        with torch.no_grad():  # a rule that does nothing yet
            self.rule.out.weight.zero_()
            self.rule.out.bias.zero_()
        self.optimizer = torch.optim.Adam(self.rule.parameters(), lr=LEARNING_RATE)

    def loss(self, theta):
        sizes = [int(np.prod(shape)) for shape in SHAPES]
        w1, b1, w2, b2 = (part.view(shape) for part, shape in zip(theta.split(sizes), SHAPES))
        chosen = torch.randint(0, ROWS, (BATCH,), device=self.device)
        x = self.images[chosen].float() * (1 / 255)
        logits = torch.sigmoid(x @ w1 + b1) @ w2 + b2
        return F.cross_entropy(logits, self.labels[chosen])

    def episode(self):
        """The mean loss."""
        hidden = self.rule.cell_1.hidden_size
        theta = INITIAL_SIGMA * torch.randn(COORDINATES, device=self.device)
        state = [torch.zeros(COORDINATES, hidden, device=self.device) for _ in range(4)]
        losses = []
        for _ in range(STEPS // UNROLL):
            theta, state = theta.detach().requires_grad_(), [part.detach() for part in state]
            meta_loss = 0.0
            for t in range(UNROLL + 1):
                loss = self.loss(theta)
                meta_loss = meta_loss + loss
                if t == UNROLL:
                    break
                (gradient,) = torch.autograd.grad(loss, theta, retain_graph=True)
                update, *state = self.rule(gradient.detach(), *state)
                theta = theta + update
            self.optimizer.zero_grad()
            meta_loss.backward()
            self.optimizer.step()
            losses.append(meta_loss.detach() / (UNROLL + 1))
        return torch.stack(losses).mean()

    def warm_up(self):
        self.run(1)

    def run(self, calls):
        for _ in range(calls):
            # Metrics need it; it also waits for all queued work.
            self.mean_loss = self.episode().item()

    def results(self):
        self.reset()
        before = nn.utils.parameters_to_vector(self.rule.parameters()).detach().clone()
        self.run(1)
        after = nn.utils.parameters_to_vector(self.rule.parameters()).detach()
        return np.array([self.mean_loss, (after - before).abs().max().item()], np.float32)
