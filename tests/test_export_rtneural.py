"""The JSON of RTNeural, loaded by a reader written from its format."""

import json

import numpy as np
import pytest
import rnncore.export
from compiled import steps

import rnncore as rc


def logistic(a):
    return 1 / (1 + np.exp(-a))


class Gru:
    """Gates z, r, h in the columns of W (in, 3 out), U (out, 3 out) and b (2, 3 out)."""

    def __init__(self, size, weights):
        self.W, self.U, self.b = map(np.array, weights)
        self.h = np.zeros(size)
        assert (self.U.shape, self.b.shape) == ((size, 3 * size), (2, 3 * size))

    def forward(self, x):
        z_x, r_x, c_x = np.split(x @ self.W + self.b[0], 3)
        z_h, r_h, c_h = np.split(self.h @ self.U + self.b[1], 3)
        z, r = logistic(z_x + z_h), logistic(r_x + r_h)
        self.h = (1 - z) * np.tanh(c_x + r * c_h) + z * self.h
        return self.h


class Lstm:
    """Gates i, f, c, o in the columns of W (in, 4 out), U (out, 4 out) and b (4 out)."""

    def __init__(self, size, weights):
        self.W, self.U, self.b = map(np.array, weights)
        self.h, self.c = np.zeros((2, size))
        assert (self.U.shape, self.b.shape) == ((size, 4 * size), (4 * size,))

    def forward(self, x):
        i, f, c, o = np.split(x @ self.W + self.h @ self.U + self.b, 4)
        self.c = logistic(f) * self.c + logistic(i) * np.tanh(c)
        self.h = logistic(o) * np.tanh(self.c)
        return self.h


class Dense:
    """W (in, out) and b (out)."""

    def __init__(self, size, weights):
        self.W, self.b = map(np.array, weights)
        assert self.b.shape == (size,)

    def forward(self, x):
        return x @ self.W + self.b


def loaded(path):
    """The layers of a file, as RTNeural's loader reads them; and how many inputs it has."""
    with open(path) as file:
        parent = json.load(file)
    kinds = {"gru": Gru, "lstm": Lstm, "dense": Dense}
    layers = []
    for layer in parent["layers"]:
        assert layer["activation"] == ("" if layer["type"] == "dense" else "tanh")
        layers.append(kinds[layer["type"]](layer["shape"][-1], layer["weights"]))
    return parent["in_shape"][-1], layers


@pytest.mark.parametrize("k", range(24))
def test_a_reader_of_the_format_computes_what_the_network_does(tmp_path, k):
    rng = np.random.default_rng(k)
    cell = (rc.GRU, rc.LSTM)[k % 2]
    K = None if rng.random() < 0.25 else int(rng.integers(1, 4))
    net = cell(
        int(rng.integers(1, 5)), int(rng.integers(1, 12)), K, num_layers=int(rng.integers(1, 4)),
        bias=bool(rng.random() < 0.7), readout_bias=None if K is None else bool(rng.random() < 0.5),
        readout=str(rng.choice(["last", "all"])), trainable_h0=bool(rng.random() < 0.5), seed=k,
        dtype=str(rng.choice(["float32", "float64"])),
    )  # fmt: skip
    rnncore.export.rtneural(net, tmp_path / "net.json")
    inputs, layers = loaded(tmp_path / "net.json")
    assert inputs == net.input_size
    x = rng.standard_normal((15, inputs))
    y = []
    for x_t in x:
        for layer in layers:
            x_t = layer.forward(x_t)
        y.append(x_t)
    np.testing.assert_allclose(y, steps(net, x), rtol=0, atol=1e-6)


def test_numbers_are_those_of_the_network(tmp_path):
    net = rc.LSTM(2, 3, 1, seed=0)
    rnncore.export.rtneural(net, tmp_path / "net.json")
    _, (lstm, _) = loaded(tmp_path / "net.json")
    assert (lstm.W.T.astype(np.float32) == net.parameters()["weight_ih_l0"]).all()
    text = (tmp_path / "net.json").read_text()
    assert str(net.parameters()["weight_hh_l0"][2, 1]) in text
    assert text.startswith('{"in_shape": [null, null, 2], "layers": [{"type": "lstm"')
