"""What an example has to come to, by the oracle, in float64."""

import numpy as np
import oracle
from oracle.stack import COMPLEX, REAL, joined, suffixes
from randomness import GOLDEN, MASK, next_random
from rnncore._model.configuration import zoneout_of
from states import carried


def coins(seed, which):
    return next_random((seed + which * GOLDEN) & MASK)


EVERY_STEP, OF_H, OF_C = 1 << 62, 1 << 62, (1 << 62) + 1


def drawn(share, draw, units):
    """Which units are among a share."""
    least = min(int(share * 65536 + 0.5), 65535)
    return [coins(draw, i // 4 * 4) >> (16 * (i % 4)) & 65535 < least for i in range(units)]


def dropped(share, draw, units):
    """What the units are multiplied by."""
    kept = 65536 / (65536 - min(int(share * 65536 + 0.5), 65535))
    return [0.0 if out else kept for out in drawn(share, draw, units)]


def noise_of(net, seed, sequence, steps):
    """What dropout and zoneout do, as `oracle.stack` asks for it: `steps` are the numbers of the
    counted steps; without a seed, what they do on average. Which unit is drawn is a hash of all
    this, documented nowhere but in the core: the test is that nothing else depends on it."""
    form, H, config = net._model.spec, net.hidden_size, net.config
    order = [s for layer in suffixes(spec_of(net)) for s in layer]
    rates = zoneout_of(config)[: form.states]

    def number(suffix, t):
        row = order.index(suffix) * form.history
        return coins(coins(coins(seed, sequence), int(t)), row)

    def stays(suffix, k):
        if seed is None:
            return [[rate] * H for rate in rates]
        draw = number(suffix, steps[k])
        pairs = zip(rates, (OF_H, OF_C), strict=False)
        return [[float(out) for out in drawn(p, coins(draw, which), H)] for p, which in pairs]

    noise = {"zoneout": stays} if any(rates) else {}
    if seed is None:
        return noise
    if config["dropout"]:
        noise["dropout"] = lambda s, k: dropped(config["dropout"], number(s, steps[k]), H)
    if config["recurrent_dropout"]:
        share = config["recurrent_dropout"]
        noise["recurrent"] = lambda s: dropped(share, number(s, EVERY_STEP), H)
    return noise


def spec_of(net):
    return {
        "cell": net._model.cell.in_core or net._cell.name,
        "nonlinearity": net.config.get("nonlinearity"),
        "layers": net.config["num_layers"], "bidirectional": net.config["bidirectional"],
        "skip": net.config.get("skip"), "readout": net.config["readout"],
        "switching": net.config["switching"],
    }  # fmt: skip


class Reference:
    """Outputs, states, losses and gradients of an example; with ``along`` (size,) all of them at
    parameters moved by i times that, but for the losses, which are real."""

    def __init__(self, example, along=None):
        self.example = example
        self.net = net = example.network("float64")
        self.functions = REAL if along is None else COMPLEX
        self.dtype = float if along is None else complex
        self.values, at = {}, 0
        for name, values in net.parameters().items():
            self.values[name] = values.copy()
            if along is not None:
                moved = along[at : at + values.size].reshape(values.shape)
                self.values[name] = values + 1j * moved
            at += values.size
        self.parameters = {
            name: values.tolist()
            for name, values in self.values.items()
            if name not in ("h0", "c0")
        }
        self.counts = example.counts
        self.outputs, self.hidden, self.final = self.forward()

    def states(self, b):
        """The state before a sequence's first step, as the oracle takes it."""
        example, form = self.example, self.net._model.spec
        h0 = example.h0
        if h0 is not None:
            pair = h0 if form.states == 2 else (h0,)
            return [part[b].astype(float).tolist() for part in pair]
        parts = []
        for name in ("h0", "c0")[: form.states]:
            rows = np.zeros((form.state_rows, form.hidden_size), self.dtype)
            if self.net.config["trainable_h0"]:
                rows[:: form.history] = self.values[name]
            parts.append(rows.tolist())
        return parts

    def forward(self):
        """Outputs (B, K) or (B, T, K), states (B, T, width), and final states, without dropout."""
        example, form, spec = self.example, self.net._model.spec, spec_of(self.net)
        B, T, _ = example.rows.shape
        H = form.hidden_size
        hidden = np.zeros((B, T, form.width), self.dtype)
        final = np.zeros((form.states, B, form.state_rows, H), self.dtype)
        for b in range(B):
            first, counts = self.states(b), self.counts[b]
            x = example.rows[b].astype(float).tolist()
            full = spec | noise_of(self.net, None, b, None)
            _, met = oracle.stack.forward(
                self.parameters, full, x, first, counts.tolist(), self.functions
            )
            hidden[b] = carried(counts, [[s[0] for s in r[3]] for r in met[-1]])
            rows = [r[3][-1] for runs in met for r in runs]
            for k in range(form.states):
                final[k, b] = [s[k] for s in rows] if form.states == 2 else joined(rows)
        W = np.array(self.parameters.get("head.weight", np.eye(form.width)))
        bias = np.array(self.parameters.get("head.bias", 0.0))
        if form.every_step:
            read = hidden
            if form.before:
                first = [self.states(b)[0][-form.history] for b in range(B)]
                read = np.concatenate([np.array(first)[:, None], hidden[:, :-1]], axis=1)
            y = np.where(self.counts[:, :, None], read @ W.T + bias, 0)
        else:
            s, d = form.history, form.width // H
            last = final[0][:, :: s if form.states == 1 else 1][:, -d:].reshape(B, -1)
            y = last @ W.T + bias
        return y, hidden, final

    def losses(self):
        """The weighted loss of every target, and dL/dy of their sum."""
        example, y = self.example, self.outputs
        weights = example.target_weights
        kind, d = example.options["loss"], example.y
        if kind == "mse":
            losses, slopes = (y - d) ** 2, 2 * (y - d)
        elif kind == "bce":
            losses, slopes = np.logaddexp(0, y.real) - d * y.real, 1 / (1 + np.exp(-y)) - d
        elif kind == "huber":
            e = y - d
            losses = np.where(np.abs(e.real) <= 1, e.real**2 / 2, np.abs(e.real) - 0.5)
            slopes = np.where(np.abs(e.real) <= 1, e, np.sign(e.real))
        elif kind == "poisson":
            losses, slopes = np.exp(y) - d * y, np.exp(y) - d
        elif kind == "gaussian_nll":
            m, s = np.split(y, 2, axis=-1)
            losses = 0.5 * (s + (d - m) ** 2 / np.exp(s))
            slopes = np.concatenate(
                [(m - d) / np.exp(s), 0.5 * (1 - (d - m) ** 2 / np.exp(s))], axis=-1
            )
            return weights * losses, np.concatenate([weights, weights], axis=-1) * slopes
        elif example.soft:
            p = d.astype(float)
            top = y.real.max(axis=-1, keepdims=True)
            log_sum = top + np.log(np.exp(y - top).sum(axis=-1, keepdims=True))
            losses = (p * (log_sum - y)).sum(axis=-1, keepdims=True)
            slopes = p.sum(axis=-1, keepdims=True) * np.exp(y - log_sum) - p
        else:
            chosen = np.maximum(d, 0)[..., None]
            top = y.real.max(axis=-1, keepdims=True)
            log_sum = top + np.log(np.exp(y - top).sum(axis=-1, keepdims=True))
            losses = log_sum - np.take_along_axis(y, chosen, -1)
            slopes = np.exp(y - log_sum)
            slopes -= np.arange(y.shape[-1]) == chosen
        return weights * losses, weights * slopes

    def gradients(self, dy, truncate=None, seed=None):
        """Of sum(dy * y): every parameter's, "x" (B, T, D) and "h0" (states, B, rows, H)."""
        example, form = self.example, self.net._model.spec
        B, T, _ = example.rows.shape
        totals: dict = {}
        dx, dh0 = [], []
        for b in range(B):
            counts = self.counts[b]
            spec = spec_of(self.net) | {"truncate": truncate}
            spec |= noise_of(self.net, seed, b, counts.nonzero()[0])
            targets = {T: dy[b].tolist()}
            if form.every_step:
                targets = {t + 1: dy[b, t].tolist() for t in range(T) if counts[t]}
            _, grads = oracle.stack.loss_and_grad(
                self.parameters, spec, example.rows[b].astype(float).tolist(), self.states(b),
                counts.tolist(), "given", targets, self.functions,
            )  # fmt: skip
            dx.append(grads.pop("x"))
            dh0.append(grads.pop("h0"))
            for name, values in grads.items():
                totals[name] = totals.get(name, 0) + np.array(values)
        totals["x"], states = np.array(dx), np.array(dh0).swapaxes(0, 1)
        totals["h0 of call"] = states
        if self.net.config["trainable_h0"]:
            for k, name in enumerate(("h0", "c0")[: form.states]):
                trained = states[k].sum(axis=0)[:: form.history]
                totals[name] = trained if example.h0 is None else np.zeros_like(trained)
        return totals
