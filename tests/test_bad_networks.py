"""Options and parameters that no network can have are refused, before anything is changed."""

import re

import numpy as np
import pytest
from refusals import X, unchanged

import rnncore as rc


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"input_size": 0}, ValueError, "input_size: expected at least 1, got 0"),
        ({"hidden_size": 0}, ValueError, "hidden_size: expected at least 1, got 0"),
        ({"hidden_size": -3}, ValueError, "hidden_size: expected at least 1, got -3"),
        ({"hidden_size": 2.0}, TypeError, "hidden_size: expected an integer, got 2.0"),
        ({"hidden_size": True}, TypeError, "hidden_size: expected an integer, got True"),
        ({"hidden_size": 2**31}, ValueError, "hidden_size: expected at most 2147483647"),
        ({"hidden_size": 2**30}, ValueError, "hidden_size: expected a network that fits in memory"),
        ({"output_size": 0}, ValueError, "output_size: expected at least 1, got 0"),
        ({"nonlinearity": "than"}, ValueError,
         "nonlinearity: expected one of 'tanh', 'relu', 'sigmoid', 'identity', got 'than'; did you mean 'tanh'?"),
        ({"nonlinearity": None}, ValueError, "nonlinearity: expected one of"),
        ({"nonlinearity": np.tanh}, TypeError, "nonlinearity: expected one of"),
        ({"loss": "crossentropy"}, ValueError, "did you mean 'cross_entropy'?"),
        ({"loss": "BCE"}, ValueError, "loss: expected one of None, 'bce', 'mse', 'cross_entropy', 'huber', 'poisson', 'gaussian_nll', got 'BCE'; did you mean 'bce'?"),
        ({"readout": "first"}, ValueError, "readout: expected one of 'last', 'all', 'before', got 'first'"),
        ({"dtype": "float16"}, ValueError, "dtype: expected one of 'float32', 'float64', got 'float16'"),
        ({"dtype": int}, ValueError, "dtype: expected one of 'float32', 'float64', got 'int64'"),
        ({"dtype": ","}, ValueError, "dtype: expected one of 'float32', 'float64', got ','"),
        ({"dtype": None}, ValueError, "dtype: expected one of 'float32', 'float64', got None"),
        ({"loss": "cross_entropy", "output_size": 2**25}, ValueError, "output_size: expected at most 16777216"),
        ({"dtype": "real"}, ValueError, "dtype: expected one of 'float32', 'float64', got 'real'"),
        ({"init": "orthogonal", "init_scale": 1e300}, ValueError, "init_scale: expected weight_hh_l0 to be finite, got 1e+300"),
        ({"bias": 1}, TypeError, "bias: expected True or False, got 1"),
        ({"readout_bias": 0, "output_size": 1}, TypeError, "readout_bias: expected True or False, got 0"),
        ({"readout_bias": "no"}, TypeError, "readout_bias: expected True or False, got 'no'"),
        ({"readout_bias": False}, ValueError, "readout_bias: expected None without a read-out (output_size=None), got False"),
        ({"seed": -1}, ValueError, "seed: expected at least 0, got -1"),
        ({"seed": "a"}, TypeError, "seed: expected None, an integer or a numpy.random.Generator, got 'a'"),
    ],
)  # fmt: skip
def test_bad_networks(options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        rc.RNN(**({"input_size": 3, "hidden_size": 2} | options))


def test_a_network_survives_a_second_construction_that_fails():
    net = rc.RNN(3, 2, 1, seed=0)
    with pytest.raises(ValueError, match="hidden_size"):
        net.__init__(7, 0)
    assert net(X).y.shape == (4, 1)


def test_no_loss():
    net = rc.RNN(3, 2, 1, seed=0)
    for call in (net.loss, net.loss_and_grad):
        unchanged(
            net,
            lambda call=call: call(X, np.zeros(4)),
            ValueError,
            "loss: expected a network made with loss=",
        )
    unchanged(
        net,
        lambda: net.fit(X, np.zeros(4), epochs=1),
        ValueError,
        "loss: expected a network made with",
    )
    unchanged(
        net,
        lambda: net.predict_proba(X),
        ValueError,
        "predict_proba: expected a network with loss 'bce'",
    )


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda s: s.pop("head.bias"), ValueError, "missing head.bias"),
        (lambda s: s.update(extra=1), ValueError, "not expected extra"),
        (lambda s: s.update({"weight_hh_l0": np.zeros((3, 2))}), ValueError,
         "state_dict['weight_hh_l0']: expected (2, 2), got (3, 2)"),
        (lambda s: s.update({"head.bias": np.array([np.nan])}), ValueError,
         "state_dict['head.bias']: expected finite numbers, got nan at [0]"),
        (lambda s: s.update({"head.bias": np.array(["a"])}), TypeError,
         "state_dict['head.bias']: expected real numbers, got dtype <U1"),
    ],
)  # fmt: skip
def test_bad_state_dicts(change, error, text):
    net = rc.RNN(3, 2, 1, seed=0)
    state = rc.RNN(3, 2, 1, seed=1).state_dict()
    change(state)
    unchanged(net, lambda: net.load_state_dict(state), error, text)


def test_state_dict_of_another_type():
    net = rc.RNN(3, 2, 1, seed=0)
    unchanged(net, lambda: net.load_state_dict([1]), TypeError, "state_dict: expected a mapping")


def test_parameters_that_are_not_finite():
    net = rc.RNN(3, 2, 3, loss="cross_entropy", seed=0)
    net.parameters()["head.bias"][1] = np.nan
    assert np.isnan(net.loss(X, np.zeros(4, int)))
    with pytest.raises(ValueError, match=r"parameters\(\)\['head.bias'\]: expected finite numbers"):
        net.fit(X, np.zeros(4, int), epochs=1)
    with pytest.raises(ValueError, match=r"parameters\(\)\['head.bias'\]: expected finite numbers"):
        net.save("nowhere")


def test_numpy_error_settings_do_not_leak_in():
    with np.errstate(all="raise"):
        net = rc.RNN(1, 2, 3, loss="cross_entropy", seed=0)
        assert np.isfinite(net(np.full((1, 2, 1), 1e-50)).y).all()
        net.parameters()["head.bias"][:] = [0, 500, -500]
        assert net.predict_proba(np.zeros((1, 2, 1))).argmax() == 1
