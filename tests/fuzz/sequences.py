"""Sequences in every form, with all that goes with them."""

from __future__ import annotations

import numpy as np

from fuzz.strategies import (
    UNKNOWN,
    Value,
    dress,
    numbers,
    rubbish,
    spoil,
)


class Data:
    """Sequences in one of the forms x may take, with what goes with them, as Values; and, where
    all is right, `sequences` (x, counted) for the reference."""

    def __init__(self, r, net, bad):
        self.r, self.net = r, net
        D = net.input_size
        self.B, self.T = r.choice([1, 1, 2, 3, 5]), r.choice([1, 1, 2, 3, 4])
        if r.random() < 0.01:
            self.B = r.choice([17, 33, 65])
        self.form = r.choice(["array", "array", "array", "tokens", "list", "token list"])
        self.tokens = "token" in self.form
        self.listed = "list" in self.form
        self.lengths = [self.T] * self.B
        if self.listed:
            self.lengths = [r.randint(1, self.T) for _ in range(self.B)]
            self.T = max(self.lengths)
        self.arguments: dict[str, Value] = {}
        counted = np.arange(self.T) < np.array(self.lengths)[:, None]
        extra = {}
        if not self.listed and r.random() < 0.3:
            lengths = numbers(r, (self.B,), 1, self.T, whole=True)
            extra["lengths"] = dress(r, lengths)
            counted = np.arange(self.T) < lengths[:, None]
        if r.random() < 0.25:
            mask = numbers(r, (self.B, self.T), 0, 1, whole=True)
            extra["mask"] = self.mask(mask)
            counted &= mask == 1
        self.counted = counted
        rows = []
        for length in self.lengths:
            rows.append(
                numbers(r, (length,), 0, D - 1, True) if self.tokens else numbers(r, (length, D))
            )
        if self.listed:
            parts = [dress(r, row) if len(row) else Value(row, row) for row in rows]
            given = [part.given for part in parts]
            x = Value(tuple(given) if r.random() < 0.2 else given, [p.means for p in parts])
        else:
            x = dress(r, np.stack(rows), lists=False)
            if (
                r.random() < 0.2
                and not counted.all()
                and not self.tokens
                and type(x.given) is np.ndarray
            ):
                x = self.junk(x, counted[..., None])
        self.arguments = {"x": x, **extra}
        if bad and r.random() < 0.6:
            name = r.choice(["x", "x", "lengths", "mask"])
            self.arguments[name] = self.wrong(name)
        means = x.means
        eye = np.eye(D)
        self.sequences = [
            (eye[m] if self.tokens else np.asarray(m), c[: len(m)])
            for m, c in zip(means, counted, strict=True)
        ]

    def junk(self, x, counted):
        """The same, with numbers where nothing counts that must not be looked at."""
        given = np.array(x.given, order="K")
        given[np.broadcast_to(~counted, given.shape)] = self.r.choice([np.nan, np.inf, -np.inf])
        return Value(given, x.means)

    def mask(self, mask):
        r = self.r
        if self.listed and r.random() < 0.5:
            rows = [row[:n] for row, n in zip(mask, self.lengths, strict=True)]
            return Value([dress(r, row).given for row in rows], True)
        if r.random() < 0.4:
            mask = mask.astype(bool)
            return Value(np.asfortranarray(mask) if r.random() < 0.3 else mask, True)
        return Value(
            dress(r, mask if r.random() < 0.5 else mask.astype(float), lists=False).given, True
        )

    def wrong(self, name):
        r, given = self.r, self.arguments.get(name)
        if given is None or r.random() < 0.3:
            return rubbish(r)
        given = given.given
        if isinstance(given, list | tuple):
            given, at = list(given), r.randrange(len(given))
            if r.random() < 0.3:
                given.pop() if r.random() < 0.5 else given.append(given[0])
            elif r.random() < 0.5:
                given[at] = rubbish(r).given
            else:
                given[at] = spoil(r, given[at]).given
            return Value(given, UNKNOWN)
        return spoil(r, given)

    def impossible(self):
        """Whether x surely holds what must be refused."""
        if not all(value.good for name, value in self.arguments.items() if name != "x"):
            return False  # which steps count is not known
        x = self.arguments["x"].given
        tokens = type(x) is np.ndarray and x.ndim == 2
        return beyond(x, self.counted, *((0, self.net.input_size - 1) if tokens else ()))

    def impossible_targets(self, y):
        """Likewise the targets."""
        if not all(value.good for value in self.arguments.values()):
            return False
        counted = self.counted if self.net.readout != "last" else np.ones(self.B, bool)
        loss = self.net.config["loss"]
        if loss == "cross_entropy" and getattr(y, "dtype", np.dtype(int)).kind == "f":
            return beyond(y, counted, 0)  # probabilities
        if loss == "cross_entropy":
            return beyond(y, counted, -np.inf, self.net._model.spec.outputs - 1)
        return beyond(y, counted, *((0, 1) if loss == "bce" else ()))

    def targets(self, bad):
        """y, and the targets of every sequence."""
        r, net = self.r, self.net
        K, every, loss = net._model.spec.outputs, net.readout != "last", net.config["loss"]
        shape = (self.B, self.T) if every else (self.B,)
        soft = loss == "cross_entropy" and r.random() < 0.3
        if soft:  # of K classes
            y = np.reshape([split(r, 8, K) for _ in range(int(np.prod(shape)))], (*shape, K)) / 8
        elif loss == "cross_entropy":
            y = numbers(r, shape, -1, K - 1, whole=True)
            if not ((y >= 0) & (self.counted if every else True)).any():
                bad = True  # nothing counts
        else:
            if K > 1 or r.random() < 0.5:
                shape = (*shape, K)
            y = numbers(r, shape, 0, 8) if loss == "bce" else numbers(r, shape)
        nothing = (every and not self.counted.any()) or (
            loss == "cross_entropy"
            and not soft
            and not ((y >= 0) & (self.counted if every else True)).any()
        )
        value = self.per_output(y)
        targets = [part[:n] if every else part for part, n in zip(y, self.lengths, strict=True)]
        if bad and r.random() < 0.7:
            value = spoil(r, y) if r.random() < 0.7 else rubbish(r)
        if nothing or loss is None:
            value = Value(value.given, UNKNOWN)
        return value, targets

    def per_output(self, y):
        """As an array, or a list of one for every sequence."""
        r, every = self.r, self.net.readout != "last"
        if every and self.listed and r.random() < 0.5:
            rows = [row[:n] for row, n in zip(y, self.lengths, strict=True)]
            return Value([dress(r, row).given for row in rows], True)
        value = dress(r, y, lists=not (every and self.listed))
        if (
            type(value.given) is np.ndarray
            and every
            and r.random() < 0.1
            and value.given.dtype.kind == "f"
        ):
            counted = self.counted if y.ndim == 2 else self.counted[..., None]
            value = self.junk(value, counted)
        return value

    def state(self, bad):
        """(h0 or None, its meaning or None)"""
        r, form = self.r, self.net._model.spec
        if r.random() < 0.6:
            return (None, None) if not bad or r.random() < 0.8 else (rubbish(r), None)
        H, passes, s = form.hidden_size, form.passes, form.history
        shapes = [(self.B, passes * s, H)]
        if s > 1:
            shapes.append((self.B, passes, H))
        if passes == 1:
            shapes.append((self.B, H))
        shape = r.choice(shapes)
        # (B, passes, H) with several states a pass is ambiguous only where the sizes agree
        parts = [dress(r, numbers(r, shape)) for _ in range(form.states)]
        if bad and r.random() < 0.5:
            at = r.randrange(len(parts))
            parts[at] = spoil(r, parts[at].means)
        means = [part.means for part in parts]
        unknown = any(m is UNKNOWN for m in means)
        if form.states == 1:
            return Value(parts[0].given, UNKNOWN if unknown else means[0]), means[0]
        given = [part.given for part in parts]
        given = tuple(given) if r.random() < 0.5 else given
        return Value(given, UNKNOWN if unknown else means), means

    def threads(self, bad):
        r = self.r
        if r.random() < 0.9:
            return {}
        if bad and r.random() < 0.3:
            return {"threads": rubbish(r)}
        count = r.choice([None, 1, 2, 3, 2**31 - 1, np.int8(1)])
        return {"threads": Value(count, True)}


def split(r, total, parts):
    """A whole number as a sum of so many, some of them 0."""
    cuts = sorted(r.randint(0, total) for _ in range(parts - 1))
    return np.diff([0, *cuts, total])


def beyond(given, counted, low=-np.inf, high=np.inf):
    """Whether an array has a number that is not finite or not in [low, high], where it counts."""
    if type(given) is not np.ndarray or given.dtype.kind not in "fiu" or given.size > 1000:
        return False
    if given.shape[: counted.ndim] != counted.shape:
        return False
    values = given[counted]
    return not (np.isfinite(values) & (low <= values) & (values <= high)).all()
