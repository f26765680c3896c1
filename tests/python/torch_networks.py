"""A small network for tests of optimizers."""

import torch


def small_network():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))


def small_loss(network):
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(40, 6, generator=generator)
    targets = inputs[:, :3].argmax(dim=1)
    return torch.nn.functional.cross_entropy(network(inputs), targets)


def train(network, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        small_loss(network).backward()
        optimizer.step()


def parameters_of(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])
