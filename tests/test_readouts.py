"""Read-outs with and without a bias: which parameters there are, in every form of a network."""

import copy
import pickle

import numpy as np
import pytest
from fits import data
from states import same

import rnncore as rc

KINDS = [rc.RNN, rc.LSTM, rc.GRU, rc.MGU]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("own", [None, True, False])
def test_the_bias_of_the_read_out_is_a_choice_of_its_own(tmp_path, kind, bias, own):
    net = kind(2, 3, 2, bias=bias, readout_bias=own, seed=0)
    has = bias if own is None else own
    assert net.readout_bias is has
    assert ("head.bias" in net.parameters()) is has
    assert ("bias_ih_l0" in net.parameters()) is bias
    assert net.config["readout_bias"] is own
    assert f"bias={bias}, readout_bias={own}" in repr(net)
    x = np.random.default_rng(0).standard_normal((3, 4, 2)).astype(np.float32)
    net.save(tmp_path / "net.npz")
    for other in (rc.load(tmp_path / "net.npz"), copy.deepcopy(net), kind(**net.config)):
        assert other.config == net.config
        other.load_state_dict(net.state_dict())
        assert same(other(x).y, net(x).y)
    net.flat[:] = 0.5
    if has:
        net.parameters()["head.bias"][:] = 0.25
    assert same(net(np.zeros((1, 1, 2))).y, net.step(np.zeros(2))[0][None])


def test_a_network_without_a_read_out_has_no_bias_of_one():
    assert not rc.RNN(2, 3).readout_bias
    assert "head.bias" not in rc.RNN(2, 3).parameters()


def test_networks_pickled_before_there_was_the_choice():
    net = rc.GRU(2, 3, 1, seed=0)
    state = net.__getstate__()
    state["config"] = {k: v for k, v in state["config"].items() if k != "readout_bias"}
    other = object.__new__(rc.GRU)
    other.__setstate__(state)
    assert same(other(np.ones((1, 4, 2))).y, net(np.ones((1, 4, 2))).y)
    assert same(pickle.loads(pickle.dumps(net)).flat, net.flat)


def test_without_a_bias_outputs_are_the_weighted_states(build, dtype):
    x, _ = data(B=5, T=8)
    for kind in KINDS:
        net = kind(2, 3, 2, readout_bias=False, readout="all", dtype=dtype, seed=0)
        out = net(x)
        expected = out.hidden.astype(float) @ net.parameters()["head.weight"].T.astype(float)
        np.testing.assert_allclose(out.y, expected, rtol=1e-5, atol=1e-6)
        net = kind(2, 3, 2, bias=False, readout_bias=True, readout="all", dtype=dtype, seed=0)
        net.parameters()["head.weight"][:] = 0
        assert (net(x).y == net.parameters()["head.bias"]).all()


def test_populations_and_sweeps_with_and_without(tmp_path):
    x, y = data(B=12)
    pop = rc.Population(rc.GRU, 3, 2, 2, 1, loss="mse", readout_bias=False, seed=0)
    assert "head.bias" not in pop.parameters()
    pop.save(tmp_path / "pop.npz")
    assert rc.load(tmp_path / "pop.npz").config == pop.config
    found = rc.sweep(
        rc.GRU, x, y, grid={"readout_bias": [None, False]}, input_size=2, hidden_size=2,
        output_size=1, loss="mse", epochs=2,
    )  # fmt: skip
    assert found["readout_bias"].tolist() == [None, False]
    assert [found.network(row).readout_bias for row in (0, 1)] == [True, False]
