"""A network's forward pass in plain numpy, one sequence and one step after another, in float64."""

from __future__ import annotations

import numpy as np
from states import carried

FUNCTIONS = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "identity": lambda a: a,
}
logistic = FUNCTIONS["sigmoid"]


def step(kind, f, p, at, x, state, reset=None):
    """The next state: [h_t, h_{t-1}, ..] of an RNN, [h] of a GRU, [h, c] of an LSTM."""
    a = p["weight_ih" + at] @ x + p.get("bias_ih" + at, 0)
    b = p["weight_hh" + at] @ state[0] + p.get("bias_hh" + at, 0)
    if kind == "RNN":
        if "weight_skip" + at in p:
            b = b + p["weight_skip" + at] @ state[-1]
        return [FUNCTIONS[f](a + b), *state[:-1]]
    if kind == "LSTM":
        i, f, g, o = np.split(a + b, 4)
        c = logistic(f) * state[1] + logistic(i) * np.tanh(g)
        return [logistic(o) * np.tanh(c), c]
    (ar, az, an), (br, bz, bn) = np.split(a, 3), np.split(b, 3)
    r, z = logistic(ar + br), logistic(az + bz)
    if reset == "before":
        b = p["weight_hh" + at] @ (r * state[0]) + p.get("bias_hh" + at, 0)
        n = an + np.split(b, 3)[2]
    else:
        n = an + r * bn
    return [(1 - z) * FUNCTIONS[f](n) + z * state[0]]


def first_states(net, p, count, h0):
    """Of every sequence and pass the list of arrays that its first step needs."""
    form = net._model.spec
    H, s, passes = form.hidden_size, form.history, form.passes
    if form.states == 2:
        if h0 is None:
            h0 = [np.broadcast_to(p.get(n, np.zeros((passes, H))), (count, passes, H))
                  for n in ("h0", "c0")]  # fmt: skip
        h, c = (np.reshape(part, (count, passes, H)) for part in h0)
        return [[[h[b, k], c[b, k]] for k in range(passes)] for b in range(count)]
    if h0 is None:
        h0 = np.broadcast_to(p.get("h0", np.zeros((passes, H))), (count, passes, H))
    h = np.zeros((count, passes, s, H))
    h[:, :, : np.size(h0) // (count * passes * H)] = np.reshape(h0, (count, passes, -1, H))
    return [[list(h[b, k]) for k in range(passes)] for b in range(count)]


def forward(net, p, sequences, h0=None):
    """(y, hidden) per step or y per sequence, and final states: of sequences (x, counted)."""
    directions = ("", "_reverse") if net.config["bidirectional"] else ("",)
    kind, f, H = net._cell.name, net.config.get("nonlinearity"), net.hidden_size
    reset = net.config.get("reset")
    ys, hiddens, finals = [], [], []
    for (x, counted), states in zip(
        sequences, first_states(net, p, len(sequences), h0), strict=True
    ):
        rows, last = list(x[counted]), []
        for layer in range(net.config["num_layers"]):
            halves, last, ways = [], [], []
            for d, direction in enumerate(directions):
                k = layer * len(directions) + d
                state, outputs = states[k], []
                ways.append([state[0]])
                for x_t in reversed(rows) if d else rows:
                    state = step(kind, f, p, f"_l{layer}{direction}", x_t, state, reset)
                    outputs.append(state[0])
                ways[d] += outputs
                states[k] = state
                last.append(state[0])
                halves.append(outputs[::-1] if d else outputs)
            rows = [np.concatenate(both) for both in zip(*halves, strict=True)]
        hidden = np.zeros((len(x), len(directions) * H))
        hidden[counted] = np.reshape(rows, (-1, hidden.shape[1]))
        read = hidden if net.readout != "last" else np.concatenate(last)
        if net.readout == "before":
            read = np.zeros_like(hidden)
            read[counted] = np.reshape(ways[0][:-1], (-1, H))
        y = read
        if net.output_size is not None:
            y = read @ p["head.weight"].T + p.get("head.bias", 0)
        if net.readout != "last":
            y = np.where(counted[:, None], y, 0)
        ys.append(y)
        hiddens.append(carried(counted, ways))
        if kind == "LSTM":
            finals.append([np.array([s[j] for s in states]) for j in (0, 1)])
        else:
            finals.append(np.array([row for s in states for row in s]))
    return ys, hiddens, finals


def loss(net, p, sequences, targets, h0=None):
    """The mean over counted targets; of sequences (x, counted) and a target for each."""
    ys = forward(net, p, sequences, h0)[0]
    total = number = 0
    for y, d, (_, counted) in zip(ys, targets, sequences, strict=True):
        if net.readout != "last":
            y, d = y[counted], np.asarray(d)[counted]
        if net.config["loss"] == "cross_entropy" and np.asarray(d).dtype.kind == "f":
            y, d = (np.reshape(v, (-1, net._model.spec.outputs)) for v in (y, d))
            top = y.max(axis=-1, keepdims=True)
            total -= (d * (y - top - np.log(np.exp(y - top).sum(axis=-1, keepdims=True)))).sum()
            number += len(d)
        elif net.config["loss"] == "cross_entropy":
            y, d = np.reshape(y, (-1, net._model.spec.outputs)), np.reshape(d, -1)
            y, d = y[d >= 0], d[d >= 0]
            top = y.max(axis=-1, keepdims=True) if len(y) else 0
            log_p = y - top - np.log(np.exp(y - top).sum(axis=-1, keepdims=True))
            total -= log_p[np.arange(len(d)), d].sum()
            number += len(d)
        else:
            d = np.reshape(d, y.shape)
            if net.config["loss"] == "mse":
                total += ((d - y) ** 2).sum()
            else:
                total += (np.logaddexp(0, y) - d * y).sum()
            number += y.size
    return total / number
