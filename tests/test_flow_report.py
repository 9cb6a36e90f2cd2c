"""What a gradient flow says: its verdict, its summary, its advice, and errors for bad input."""

import copy
import re

import numpy as np
import pytest
from rnncore._diagnostics.remedies import remedies

import rnncore as rc


def test_what_it_says():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((8, 100, 1)), np.ones(8)
    flow = rc.RNN(1, 4, 1, loss="mse", nonlinearity="sigmoid", seed=0).gradient_flow(x, y)
    text = flow.summary()
    assert "vanishing" in text
    assert "per step backwards" in text
    assert "LSTM" in text
    assert "tanh" in text
    assert "weight_hh_l0" in text
    assert text.count("\n") < 20
    assert "vanishing" in repr(flow)
    healthy = rc.RNN(1, 8, 1, loss="mse", nonlinearity="relu", init="identity", seed=0)
    flow = healthy.gradient_flow(np.abs(x), y)
    assert flow.verdict == "healthy"
    assert flow.remedies == []
    assert flow.horizon > 50
    wild = rc.RNN(1, 8, 1, loss="mse", nonlinearity="relu", init="identity", init_scale=1.3, seed=0)
    flow = wild.gradient_flow(np.abs(x), y)
    assert flow.verdict == "exploding"
    assert "clip_norm" in flow.summary()
    kept = flow.to_dict()
    assert kept["horizon"] == flow.horizon
    assert len(kept["norms"]["weight_hh_l0"]) == 100


def test_the_network_stays_as_it_is():
    x, y = np.random.default_rng(0).standard_normal((8, 30, 1)), np.ones(8)
    net = rc.LSTM(1, 4, 1, loss="mse", seed=0)
    before = net.flat.copy()
    flow = net.gradient_flow(x, y)
    kept = copy.deepcopy(flow.to_dict())
    net.flat[:] = 0
    assert flow.jacobian_norms.tolist() == kept["jacobian_norms"]  # its own parameters
    net.flat[:] = before
    assert net.dtype == np.float32


def test_zero_gradients_are_no_problem():
    net = rc.RNN(1, 2, 1, loss="mse", bias=False, seed=0)
    flow = net.gradient_flow(np.zeros((2, 5, 1)), np.zeros(2))
    assert flow.verdict == "healthy"
    assert flow.horizon == 1
    assert "healthy" in flow.summary()


def test_bad_input():
    net = rc.RNN(1, 2, 1, loss="mse", seed=0)
    x = np.zeros((2, 5, 1))
    with pytest.raises(ValueError, match="x: expected finite numbers, got nan"):
        net.gradient_flow(x * np.nan, np.zeros(2))
    with pytest.raises(ValueError, match="y: expected"):
        net.gradient_flow(x, np.zeros(3))
    with pytest.raises(ValueError, match="loss: expected a network made with loss"):
        rc.RNN(1, 2, 1).gradient_flow(x, np.zeros(2))
    with pytest.raises(ValueError, match="y: expected either y or dy, got neither"):
        net.gradient_flow(x)
    with pytest.raises(ValueError, match="y: expected either y or dy, got both"):
        net.gradient_flow(x, np.zeros(2), dy=np.zeros(2))
    with pytest.raises(ValueError, match=r"dy: expected \(2,\) or \(2, 1\), got \(3,\)"):
        net.gradient_flow(x, dy=np.zeros(3))
    with pytest.raises(ValueError, match=r"dy: expected finite numbers, got inf at \[1, 0\]"):
        net.gradient_flow(x, dy=[0, np.inf])
    with pytest.raises(ValueError, match="x: expected finite numbers, got nan"):
        net.gradient_flow(x * np.nan, dy=np.zeros(2))
    every = rc.RNN(1, 2, 1, readout="all")
    dy = np.zeros((2, 5))
    dy[1, 3] = np.nan
    with pytest.raises(ValueError, match=r"dy: expected finite numbers, got nan at \[1, 3, 0\]"):
        every.gradient_flow(x, dy=dy)
    every.gradient_flow(x, dy=dy, lengths=[5, 3])  # where it does not count


VANISHING = {
    "RNN": ["rnncore.LSTM with forget_bias=4.6 or rnncore.GRU with update_bias=4.6", "identity",
            "Take skip=s, say 10:"],
    "GRU": ["Start with update_bias=4.6, about the log of 100 steps", "rnncore.LSTM with forget_"],
    "LSTM": ["Start with forget_bias=4.6, about the log of 100 steps", "readout="],
}  # fmt: skip


SENTENCE = re.compile(r"(Start|Take|Pass) [^.]*(\.\S[^.]*)*\.")


@pytest.mark.parametrize("kind", VANISHING)
def test_remedies_are_sentences_that_say_how_much(kind):
    net = getattr(rc, kind)(1, 4, 1, seed=0)
    found = remedies("vanishing", net._model, 100)
    assert len(found) == len(VANISHING[kind])
    for remedy, part in zip(found, VANISHING[kind], strict=True):
        assert part in remedy
    without = getattr(rc, kind)(1, 4, 1, bias=False, readout="all")
    assert "bias=True and " in remedies("vanishing", without._model, 100)[0]
    assert not any("readout" in remedy for remedy in remedies("vanishing", without._model, 100))
    others = [rc.RNN(1, 1, skip=3, nonlinearity="relu"), rc.RNN(1, 2, nonlinearity="sigmoid")]
    for verdict in ("vanishing", "exploding"):
        for one in (net, without, *others):
            for remedy in remedies(verdict, one._model, 100):
                assert SENTENCE.fullmatch(remedy), remedy
    assert "a skip= larger than 3" in remedies("vanishing", others[0]._model, 100)[-1]
    assert 'init="unit"' in remedies("exploding", others[0]._model, 100)[-1]
    assert remedies("healthy", net._model, 100) == []
