"""First parameters, by name, by mapping and by function."""

import numpy as np
import pytest
from states import same

import rnncore as rc

KINDS = {"RNN": 1, "LSTM": 4, "GRU": 3}


@pytest.mark.parametrize("kind", KINDS)
def test_torch_is_uniform_within_one_over_root_h(kind):
    net = getattr(rc, kind)(3, 25, 7, seed=0)
    assert np.abs(net.flat).max() <= 0.2
    assert np.abs(net.flat).max() > 0.199
    assert abs(net.flat.mean()) < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_glorot_is_uniform_within_its_bound_for_every_gate(kind):
    gates = KINDS[kind]
    p = getattr(rc, kind)(30, 20, 5, init="glorot", seed=0, dtype="float64").parameters()
    for name, fan in {"weight_ih_l0": 50, "weight_hh_l0": 40, "head.weight": 25}.items():
        parts = np.split(p[name], 1 if name == "head.weight" else gates)
        for part in parts:
            assert 0.9 * np.sqrt(6 / fan) < np.abs(part).max() <= np.sqrt(6 / fan)
    assert all((p[name] == 0).all() for name in p if "bias" in name)


@pytest.mark.parametrize("kind", KINDS)
def test_orthogonal_blocks(kind):
    net = getattr(rc, kind)(3, 8, init="orthogonal", init_scale=1.5, seed=0, dtype="float64")
    for block in np.split(net.parameters()["weight_hh_l0"], KINDS[kind]):
        assert np.abs(block @ block.T - 2.25 * np.eye(8)).max() < 1e-12


def test_identity_and_unit():
    net = rc.RNN(3, 4, nonlinearity="relu", init="identity", init_scale=0.5, seed=0)
    assert (net.parameters()["weight_hh_l0"] == 0.5 * np.eye(4)).all()
    assert (net.parameters()["bias_ih_l0"] == 0).all()
    assert rc.RNN(3, 1, 1, init="unit", seed=0).parameters()["weight_hh_l0"] == 1


def test_a_mapping_gives_some_and_leaves_the_rest():
    plain = rc.RNN(3, 4, 1, seed=0).state_dict()
    net = rc.RNN(3, 4, 1, init={"weight_hh_l0": np.eye(4)}, seed=0)
    assert (net.parameters()["weight_hh_l0"] == np.eye(4)).all()
    assert (net.parameters()["head.weight"] == plain["head.weight"]).all()


def test_a_function_is_asked_for_every_parameter():
    asked = {}

    def init(name, shape, rng):
        asked[name] = shape
        return rng.standard_normal(shape) if len(shape) == 2 else np.full(shape, 2)

    net = rc.GRU(3, 4, 1, init=init, seed=0)
    assert asked == {name: value.shape for name, value in net.parameters().items()}
    assert (net.parameters()["bias_hh_l0"] == 2).all()


def test_forget_bias():
    p = rc.LSTM(3, 4, forget_bias=1.0, seed=0).parameters()
    total = p["bias_ih_l0"] + p["bias_hh_l0"]
    assert (total[4:8] == 1).all()
    assert (total[:4] != 1).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: rc.RNN(2, 3, init="xavier"), ValueError, "init: expected one of 'torch'"),
        (lambda: rc.RNN(2, 3, init=3), TypeError, "init: expected one of 'torch'"),
        (lambda: rc.RNN(2, 3, init="unit"), ValueError, "init: expected 'unit' for hidden_size 1"),
        (lambda: rc.GRU(2, 3, init="identity"), ValueError, "init: expected 'identity' for an RNN"),
        (lambda: rc.RNN(2, 3, init={"w": 1}), ValueError, "init: expected names among weight_ih"),
        (
            lambda: rc.RNN(2, 3, init={"weight_hh_l0": np.eye(2)}),
            ValueError,
            r"init\['weight_hh_l0'\]: expected \(3, 3\), got \(2, 2\)",
        ),
        (
            lambda: rc.RNN(2, 3, init=lambda name, shape, rng: np.full(shape, np.nan)),
            ValueError,
            r"init\['weight_ih_l0'\]: expected finite numbers",
        ),
        (lambda: rc.RNN(2, 3, init_scale=0), ValueError, "init_scale: expected more than 0"),
        (lambda: rc.LSTM(2, 3, forget_bias="1"), TypeError, "forget_bias: expected a number"),
        (lambda: rc.LSTM(2, 3, forget_bias=1, bias=False), ValueError, "forget_bias: expected N"),
        (lambda: rc.LSTM(2, 3, forget_bias=1e308), ValueError, "forget_bias: expected more than"),
        (lambda: rc.GRU(2, 3, update_bias=-np.inf), ValueError, "update_bias: expected more than"),
    ],
)  # fmt: skip
def test_bad_values(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_first_values_of_every_layer():
    net = rc.RNN(3, 4, num_layers=2, bidirectional=True, skip=2, init="identity", init_scale=0.9)
    for name, values in net.parameters().items():
        if name.startswith("weight_hh"):
            assert same(values, (0.9 * np.eye(4)).astype("f4"))
        elif name.startswith("bias"):
            assert (values == 0).all()
        else:
            assert (values != 0).all()
    net = rc.LSTM(3, 4, num_layers=2, bidirectional=True, forget_bias=1.0)
    biases = {n: v for n, v in net.parameters().items() if n.startswith("bias_ih")}
    assert len(biases) == 4
    for name, values in biases.items():
        other = net.parameters()[name.replace("_ih", "_hh")]
        assert (values[4:8] + other[4:8] == 1).all()
        assert (values[:4] != 1).all()
    gru = rc.GRU(3, 4, num_layers=2, update_bias=2.0)
    for name in ("bias_ih_l0", "bias_ih_l1"):
        assert (gru.parameters()[name][4:8] == 2).all()
