"""Data and networks for tests of fits."""

import numpy as np

import rnncore as rc

KINDS = ["RNN", "LSTM", "GRU"]
RULES = ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion"]


def data(B=30, T=9, D=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((B, T, D)), rng.standard_normal((B, 1))


def network(kind="RNN", dtype="float64", **options):
    return getattr(rc, kind)(2, 4, 1, loss="mse", dtype=dtype, seed=0, **options)


def flat(grads):
    return np.concatenate([g.ravel() for g in grads.values()])


def made_equal(of, tie):
    """Give all entries that share a value that of the first of them, in a network or population."""
    for m in range(len(of)) if isinstance(of, rc.Population) else [None]:
        net, first = of if m is None else of[m], {}
        for name, values in net.parameters().items():
            labels = np.broadcast_to(tie.get(name, -1), values.shape)
            for at, label in np.ndenumerate(labels):
                if label >= 0:
                    values[at] = first.setdefault(int(label), values[at])
    return of


def ties_of(net, seed, groups=4):
    """Random groups, over all parameters but those of the read-out, which has some of its own."""
    rng = np.random.default_rng(seed)
    tie = {
        name: rng.integers(-2, groups, v.shape)
        for name, v in net.parameters().items()
        if not name.startswith("head")
    }
    return tie | {"head.weight": groups + rng.integers(0, 2, net.parameters()["head.weight"].shape)}


def one_step(net, x, y, **options):
    """What one update of plain descent at lr 1 takes from the parameters: the gradient."""
    before = net.flat.copy()
    net.fit(x, y, epochs=1, batch_size=len(x), optimizer="sgd", lr=1.0, **options)
    step, net.flat[:] = before - net.flat, before
    return step


class Rule:
    """PyTorch's update rules for one vector, with the usual coefficients."""

    def __init__(self, name, lr):
        self.name, self.lr, self.m, self.v, self.t = name, lr, 0.0, 0.0, 0

    def step(self, p, g, decay):
        name, lr, self.t = self.name, self.lr, self.t + 1
        if name in ("adamw", "lion"):
            p = p - lr * decay * p
        else:
            g = g + decay * p
        if name == "sgd":
            return p - lr * g
        if name in ("momentum", "nesterov"):
            self.m = 0.9 * self.m + g
            return p - lr * (self.m if name == "momentum" else g + 0.9 * self.m)
        if name == "rmsprop":
            self.v = 0.99 * self.v + 0.01 * g * g
            return p - lr * g / (np.sqrt(self.v) + 1e-8)
        if name == "lion":
            way, self.m = np.sign(0.9 * self.m + 0.1 * g), 0.999 * self.m + 0.001 * g
            return p - lr * way
        self.m, self.v = 0.9 * self.m + 0.1 * g, 0.999 * self.v + 0.001 * g * g
        unbiased = self.v / (1 - 0.999**self.t)
        return p - lr * self.m / (1 - 0.9**self.t) / (np.sqrt(unbiased) + 1e-8)


class SharedValues:
    """Updates of a network's parameters in plain numpy, with one number for all that share a
    value by ``tie``, and the options of `fit`."""

    def __init__(self, net, *, optimizer, lr, tie=None, freeze=None, l1=0.0, weight_decay=0.0,
                 clip_value=np.inf, clip_norm=np.inf):  # fmt: skip
        shapes = {name: v.shape for name, v in net.parameters().items()}
        labels = flat(
            {k: np.broadcast_to((tie or {}).get(k, -1), shape) for k, shape in shapes.items()}
        )
        labels = np.where(labels < 0, labels.max() + 1 + np.arange(len(labels)), labels)
        _, first, self.index = np.unique(labels, return_index=True, return_inverse=True)
        frozen = [
            np.full(s, freeze is not None and k.startswith(freeze)) for k, s in shapes.items()
        ]
        self.free = 1 - np.concatenate([part.ravel() for part in frozen])[first]
        self.l1, self.decay = l1, weight_decay
        self.clip_value, self.clip_norm = clip_value, clip_norm
        self.values, self.rule = net.flat[first], Rule(optimizer, lr)

    @property
    def flat(self):
        """All parameters."""
        return self.values[self.index]

    def step(self, gradient):
        """An update by the gradient of all parameters; returns its norm before clipping."""
        g = np.bincount(self.index, gradient)
        g = self.free * (g + self.l1 * np.sign(self.values))
        norm = np.linalg.norm(g)
        g = np.clip(g, -self.clip_value, self.clip_value)
        g = g * min(1, self.clip_norm / (np.linalg.norm(g) + 1e-6))
        self.values = self.rule.step(self.values, g, self.free * self.decay)
        return norm


def overflowing(scale, **options):
    """A fit whose validation loss is inf - inf while the recurrent weights are large. They decay,
    and nothing else happens to them: there is nothing to learn."""
    net = rc.RNN(1, 2, 1, nonlinearity="identity", bias=False, loss="mse", seed=0)
    p = net.parameters()
    p["weight_ih_l0"][:], p["weight_hh_l0"][:] = 1, scale * np.diag([1, 0.9])
    p["head.weight"][:] = 1, -1
    history = net.fit(
        np.zeros((4, 2, 1)), np.zeros(4), optimizer="sgd", lr=0.1, weight_decay=0.5,
        validation=(np.ones((2, 400, 1)), np.ones(2)), **options,
    )  # fmt: skip
    return net, history
