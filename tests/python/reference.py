"""The learned rule in numpy and float64, written only from docs/math.md, without the engine."""

import math

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


class Rule:
    """Shape and constants of an LSTM rule, and values derived from them."""

    def __init__(self, hidden, layers, preprocessing, p=10.0, output_scale=0.1):
        self.hidden, self.layers = hidden, layers
        self.preprocessing, self.p, self.output_scale = preprocessing, p, output_scale
        self.inputs = 1 if preprocessing == "identity" else 2

    def shapes(self):
        """The shapes of phi's tensors, in order."""
        rows = 4 * self.hidden
        for layer in range(self.layers):
            yield (rows, self.inputs if layer == 0 else self.hidden)
            yield (rows, self.hidden)
            yield (rows,)
        yield (self.hidden,)
        yield (1,)

    def split(self, phi):
        tensors, start = [], 0
        for shape in self.shapes():
            tensors.append(phi[start : start + math.prod(shape)].reshape(shape))
            start += math.prod(shape)
        assert start == phi.size
        return tensors

    def preprocess(self, gradient):
        """[n] -> [n, inputs]"""
        if self.preprocessing == "identity":
            return gradient[:, None]
        magnitude = np.abs(gradient)
        large = magnitude >= math.exp(-self.p)
        logarithm = np.log(np.where(large, magnitude, 1.0)) / self.p
        first = np.where(large, logarithm, -1.0)
        second = np.where(large, np.sign(gradient), math.exp(self.p) * gradient)
        return np.stack([first, second], axis=1)

    def unpack(self, state):
        """[S, n], per layer all h, then all c -> [layers, 2, n, H]"""
        shape = (self.layers, 2, self.hidden, state.shape[1])
        return state.astype(np.float64).reshape(shape).transpose(0, 1, 3, 2).copy()

    def pack(self, state):
        return state.transpose(0, 1, 3, 2).reshape(2 * self.layers * self.hidden, -1)

    def forward(self, phi, gradients, state):
        """gradients [T, n], state [S, n] -> updates [T, n], the final state, and the values for backward."""
        tensors = self.split(phi.astype(np.float64))
        w_out, b_out = tensors[-2:]
        state = self.unpack(state)
        updates, tape = [], []
        for gradient in gradients.astype(np.float64):
            x, cells = self.preprocess(gradient), []
            for layer in range(self.layers):
                w_ih, w_hh, bias = tensors[3 * layer : 3 * layer + 3]
                h, c = state[layer].copy()
                z = x @ w_ih.T + h @ w_hh.T + bias
                i, f, g, o = np.split(z, 4, axis=1)
                i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
                new_c = f * c + i * g
                cells.append((x, h, c, i, f, g, o, new_c))
                x = o * np.tanh(new_c)
                state[layer] = x, new_c
            tape.append((cells, x))
            updates.append(self.output_scale * (x @ w_out + b_out))
        return np.array(updates), self.pack(state), tape

    def meta_gradient(self, phi, trace, weights, state):
        """d sum_t w[t] f(theta[t]) / d phi along the solid edges; trace [T+1, n], weights [T+1]."""
        steps = len(trace) - 1
        tensors = self.split(phi.astype(np.float64))
        _, _, tape = self.forward(phi, trace[:steps], state)
        gradients = [np.zeros_like(tensor) for tensor in tensors]
        n = trace.shape[1]
        dh = np.zeros((self.layers, n, self.hidden))
        dc = np.zeros_like(dh)
        adjoint = weights[steps] * trace[steps].astype(np.float64)  # of theta[t + 1]
        for t in reversed(range(steps)):
            cells, output = tape[t]
            du = self.output_scale * adjoint
            gradients[-2] += output.T @ du
            gradients[-1] += du.sum()
            below = du[:, None] * tensors[-2]
            for layer in reversed(range(self.layers)):
                w_ih, w_hh, _ = tensors[3 * layer : 3 * layer + 3]
                x, h, c, i, f, g, o, new_c = cells[layer]
                d_output = below + dh[layer]
                tangent = np.tanh(new_c)
                d_cell = d_output * o * (1 - tangent**2) + dc[layer]
                dz = np.concatenate(
                    [
                        d_cell * g * i * (1 - i),
                        d_cell * c * f * (1 - f),
                        d_cell * i * (1 - g**2),
                        d_output * tangent * o * (1 - o),
                    ],
                    axis=1,
                )
                gradients[3 * layer] += dz.T @ x
                gradients[3 * layer + 1] += dz.T @ h
                gradients[3 * layer + 2] += dz.sum(axis=0)
                dh[layer], dc[layer], below = dz @ w_hh, d_cell * f, dz @ w_ih
            adjoint = adjoint + weights[t] * trace[t]
        return np.concatenate([gradient.ravel() for gradient in gradients])
