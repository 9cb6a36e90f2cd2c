"""Options, states and calls that do not fit several layers, both directions or a skip connection are
refused."""

import numpy as np
import pytest
from stacks import network

import rnncore as rc

X = np.zeros((2, 4, 3))


BAD = [
    (
        lambda: rc.GRU(3, 5, bias=False, update_bias=1),
        ValueError,
        "update_bias: expected None with bias=False",
    ),
    (lambda: rc.RNN(3, 5, skip=0), ValueError, "skip: expected at least 1, got 0"),
    (lambda: rc.RNN(3, 5, skip=1.5), TypeError, "skip: expected an integer, got 1.5"),
    (lambda: rc.LSTM(3, 5, skip=2), TypeError, "skip"),
    (lambda: rc.GRU(3, 5, num_layers=0), ValueError, "num_layers: expected at least 1, got 0"),
    (
        lambda: rc.GRU(3, 5, num_layers=33, bidirectional=True),
        ValueError,
        "num_layers: expected at most 32, got 33",
    ),
    (
        lambda: rc.GRU(3, 5, bidirectional=1),
        TypeError,
        "bidirectional: expected True or False, got 1",
    ),
    (
        lambda: rc.GRU(3, 5, num_layers=2, dropout=1),
        ValueError,
        "dropout: expected at least 0 and less than 1, got 1",
    ),
    (
        lambda: rc.GRU(3, 5, dropout=0.5),
        ValueError,
        "dropout: expected 0 with num_layers=1, got 0.5: it acts between layers",
    ),
    (lambda: rc.GRU(3, 5, trainable_h0="yes"), TypeError, "trainable_h0: expected True or False"),
    (
        lambda: network("GRU", num_layers=2)(X, h0=np.zeros((2, 1, 5))),
        ValueError,
        r"h0: expected \(2, 2, 5\), got \(2, 1, 5\)",
    ),
    (
        lambda: network("RNN", skip=3)(X, h0=np.zeros((2, 2, 5))),
        ValueError,
        r"h0: expected \(2, 3, 5\) or \(2, 1, 5\) or \(2, 5\), got \(2, 2, 5\)",
    ),
    (
        lambda: network("LSTM", bidirectional=True)(X, h0=(np.zeros((2, 2, 5)),)),
        TypeError,
        r"h0: expected a pair \(h0, c0\) for an LSTM, got a tuple",
    ),
    (
        lambda: network("GRU", bidirectional=True).step(X[0, 0]),
        ValueError,
        "step: expected a network with bidirectional=False; with True, a step would have to know",
    ),
    (
        lambda: network("GRU", bidirectional=True).run_stream(X[0]),
        ValueError,
        "run_stream: expected a network with bidirectional=False",
    ),
    (
        lambda: network("GRU", num_layers=2).step(X[0, 0], np.zeros((1, 5))),
        ValueError,
        r"state: expected \(2, 5\), got \(1, 5\)",
    ),
    (
        lambda: network("GRU", num_layers=2, dropout=0.5, loss="mse").loss_and_grad(
            X, np.zeros((2, 2)), rng="seed"
        ),
        TypeError,
        "rng: expected None, an integer",
    ),
    (
        lambda: network("GRU", num_layers=2).load_state_dict(network("GRU").state_dict()),
        ValueError,
        "missing weight_ih_l1",
    ),
    (lambda: network("GRU")(X, lengths=[4, 5]), ValueError, "lengths: expected 1 to 4"),
    (lambda: network("GRU")(X, lengths=[4, 0]), ValueError, "lengths: expected 1 to 4"),
    (
        lambda: network("GRU")(X, mask=np.ones((2, 5))),
        ValueError,
        r"mask: expected \(2, 4\), got \(2, 5\)",
    ),
    (
        lambda: network("GRU")([np.zeros((4, 3)), [1, 2]]),
        ValueError,
        r"x\[1\]: expected \(time, 3\), got \(2,\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call()
