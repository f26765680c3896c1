"""The update rule as modules of PyTorch. Their weights are phi: {name: array} of problem.py."""

import numpy as np
import torch
from torch import Tensor, nn

from problem import HIDDEN, LAYERS, OUTPUT_SCALE, P, STEPS


# A script sees no globals: constants are the defaults of arguments.
def preprocess(g: Tensor, dim: int, p: float = P, exp_p: float = float(np.exp(P))) -> Tensor:
    """[...] -> two inputs, along the dimension `dim`."""
    magnitude = g.abs()
    large = magnitude >= 1 / exp_p
    first = torch.where(large, magnitude.log() * (1 / p), -1.0)
    second = torch.where(large, g.sign(), g * exp_p)
    return torch.stack([first, second], dim)


class NaturalRule(nn.Module):
    """One LSTMCell per layer; coordinates are rows."""

    columns = False

    def __init__(self, phi):
        super().__init__()
        self.cell_1 = nn.LSTMCell(2, HIDDEN)
        self.cell_2 = nn.LSTMCell(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        weights = {name: torch.from_numpy(value.copy()) for name, value in phi.items()}
        with torch.no_grad():
            for k, cell in ((1, self.cell_1), (2, self.cell_2)):
                cell.weight_ih.copy_(weights[f"weight_ih_{k}"])
                cell.weight_hh.copy_(weights[f"weight_hh_{k}"])
                cell.bias_ih.copy_(weights[f"bias_{k}"])
                cell.bias_hh.zero_()
            self.out.weight.copy_(weights["out_weight"][None])
            self.out.bias.copy_(weights["out_bias"])

    def forward(self, g: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        h1, c1 = self.cell_1(preprocess(g, -1), (h1, c1))
        h2, c2 = self.cell_2(h1, (h2, c2))
        return OUTPUT_SCALE * self.out(h2).squeeze(-1), h1, c1, h2, c2

    def gradients(self):
        parts = {"out_weight": self.out.weight.grad, "out_bias": self.out.bias.grad}
        for k, cell in ((1, self.cell_1), (2, self.cell_2)):
            parts[f"weight_ih_{k}"] = cell.weight_ih.grad
            parts[f"weight_hh_{k}"] = cell.weight_hh.grad
            parts[f"bias_{k}"] = cell.bias_ih.grad
        return parts


class WrittenOutRule(nn.Module):
    """The weights of a rule with explicit cells."""

    output_scale: torch.jit.Final[float] = OUTPUT_SCALE

    def __init__(self, phi):
        super().__init__()
        for name, value in phi.items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(value.copy())))

    def gradients(self):
        return {name: parameter.grad for name, parameter in self.named_parameters()}


def advance(z: Tensor, c: Tensor, dim: int):
    """h and c after the step; z has the gates' pre-activations, one after another along dim."""
    i, f, g, o = z.chunk(4, dim)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def row_cell(x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor):
    return advance(torch.addmm(torch.addmm(bias, x, w_ih.t()), h, w_hh.t()), c, 1)


class RowRule(WrittenOutRule):
    columns = False

    def forward(self, g: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        x = preprocess(g, 1)
        h1, c1 = row_cell(x, h1, c1, self.weight_ih_1, self.weight_hh_1, self.bias_1)
        h2, c2 = row_cell(h1, h2, c2, self.weight_ih_2, self.weight_hh_2, self.bias_2)
        return self.output_scale * (torch.mv(h2, self.out_weight) + self.out_bias), h1, c1, h2, c2


def column_cell(x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor):
    return advance(torch.addmm(torch.addmm(bias.unsqueeze(1), w_ih, x), w_hh, h), c, 0)


class ColumnRule(WrittenOutRule):
    columns = True

    def forward(self, g: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        x = preprocess(g, 0)
        h1, c1 = column_cell(x, h1, c1, self.weight_ih_1, self.weight_hh_1, self.bias_1)
        h2, c2 = column_cell(h1, h2, c2, self.weight_ih_2, self.weight_hh_2, self.bias_2)
        u = self.output_scale * (torch.mm(self.out_weight.unsqueeze(0), h2).squeeze(0) + self.out_bias)
        return u, h1, c1, h2, c2


class ApplyStep(nn.Module):
    """theta += update."""

    def __init__(self, rule: nn.Module):
        super().__init__()
        self.rule = rule

    def forward(self, g: Tensor, theta: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        u, h1, c1, h2, c2 = self.rule(g, h1, c1, h2, c2)
        return theta + u, h1, c1, h2, c2


class ApplyStepInPlace(ApplyStep):
    """The same, without allocating memory for its results."""

    def forward(self, g: Tensor, theta: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        results = super().forward(g, theta, h1, c1, h2, c2)
        for old, new in zip((theta, h1, c1, h2, c2), results):
            old.copy_(new)
        return theta, h1, c1, h2, c2


class CellLoop(nn.Module):
    """The part of the unroll's meta-loss that depends on phi: sum_t lambda[t] . update[t]."""

    def __init__(self, rule: nn.Module):
        super().__init__()
        self.rule = rule

    def forward(self, trace: Tensor, adjoints: Tensor, h1: Tensor, c1: Tensor, h2: Tensor, c2: Tensor):
        total = torch.zeros([], dtype=trace.dtype, device=trace.device)
        for t in range(adjoints.size(0)):
            u, h1, c1, h2, c2 = self.rule(trace[t], h1, c1, h2, c2)
            total = total + torch.dot(u, adjoints[t])
        return total


class NaturalUnroll(nn.Module):
    """The same by torch.nn.LSTM over the whole sequence."""

    columns = False

    def __init__(self, phi):
        super().__init__()
        self.lstm = nn.LSTM(2, HIDDEN, num_layers=LAYERS)
        self.out = nn.Linear(HIDDEN, 1)
        weights = {name: torch.from_numpy(value.copy()) for name, value in phi.items()}
        with torch.no_grad():
            for k in range(LAYERS):
                getattr(self.lstm, f"weight_ih_l{k}").copy_(weights[f"weight_ih_{k + 1}"])
                getattr(self.lstm, f"weight_hh_l{k}").copy_(weights[f"weight_hh_{k + 1}"])
                getattr(self.lstm, f"bias_ih_l{k}").copy_(weights[f"bias_{k + 1}"])
                getattr(self.lstm, f"bias_hh_l{k}").zero_()
            self.out.weight.copy_(weights["out_weight"][None])
            self.out.bias.copy_(weights["out_bias"])

    def forward(self, trace, adjoints, h1, c1, h2, c2):
        start = (torch.stack([h1, h2]), torch.stack([c1, c2]))
        top, _ = self.lstm(preprocess(trace[:STEPS], -1), start)
        return (OUTPUT_SCALE * self.out(top).squeeze(-1) * adjoints).sum()

    def gradients(self):
        parts = {"out_weight": self.out.weight.grad, "out_bias": self.out.bias.grad}
        for k in range(LAYERS):
            parts[f"weight_ih_{k + 1}"] = getattr(self.lstm, f"weight_ih_l{k}").grad
            parts[f"weight_hh_{k + 1}"] = getattr(self.lstm, f"weight_hh_l{k}").grad
            parts[f"bias_{k + 1}"] = getattr(self.lstm, f"bias_ih_l{k}").grad
        return parts
