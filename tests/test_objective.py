"""The loss as a function of all parameters, for optimisers of others."""

import numpy as np
import pytest
from fits import data, flat, network

import rnncore as rc


def test_objective_is_the_loss_and_leaves_the_network_alone(build):
    x, y = data()
    net = network("LSTM", trainable_h0=True)
    before = net.flat.copy()
    objective = net.objective(x, y, lengths=np.full(30, 5))
    other = before + 0.1
    loss, gradient = objective(other)
    assert net.flat.tobytes() == before.tobytes()
    net.flat[:] = other
    expected, grads = net.loss_and_grad(x, y, lengths=np.full(30, 5))
    assert loss == expected
    assert gradient.tobytes() == flat(grads).tobytes()
    with pytest.raises(ValueError, match="flat: expected"):
        objective(other[:-1])
    with pytest.raises(ValueError, match="x: expected"):
        net.objective(x[0], y)


def test_second_order_methods(build):
    optimize = pytest.importorskip("scipy.optimize")
    x = np.random.default_rng(0).standard_normal((40, 5, 1))
    net = rc.RNN(1, 2, 1, loss="mse", dtype="float64", seed=0)
    y = x[:, -1, 0] * 0.5
    objective = net.objective(x, y)
    result = optimize.minimize(objective, net.flat, jac=True, method="L-BFGS-B")
    assert result.fun < 1e-3 * objective(net.flat)[0]
