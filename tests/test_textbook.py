"""Examples that a textbook works by hand, by the core; docs/explanation/textbook.md tells them."""

import math
from itertools import pairwise

import numpy as np
import oracle
import pytest
from cases import difference

import rnncore as rc

WORDS = {"cat": 0, "mat": 1, "rat": 2}
SENTENCES = [("cat mat rat", 1), ("rat rat mat", 1), ("mat mat cat", 0)]


def scalar(dtype="float64", **options):
    return rc.RNN(1, 1, 1, bias=False, dtype=dtype, **options)


def test_four_steps_with_one_weight_each(build):
    """(a) o_t = tanh(x_t w_i + o_{t-1} w_h), y = o_4 w_o, L = y - target, W -= eta dL/dW.

    L is linear in y and has no minimum of its own: what is sought is y = target, L = 0.
    """
    x = np.array([0.5, -0.3, 0.8, 0.2]).reshape(1, 4, 1)
    target, eta = -0.5, 0.01
    net = scalar(seed=3)
    net.flat[:] = [0.4, 0.5, 0.6]

    def by_hand(w_i, w_h, w_o):
        o = [0.0]
        for v in x.ravel():
            o.append(math.tanh(v * w_i + o[-1] * w_h))
        # every time step's term, written out
        f = [None, *(1 - v * v for v in o[1:])]
        steps = range(1, 5)
        chain = {j: math.prod(f[t] * w_h for t in range(j + 1, 5)) for j in steps}
        d_i = sum(w_o * chain[j] * f[j] * x.ravel()[j - 1] for j in steps)
        d_h = sum(w_o * chain[j] * f[j] * o[j - 1] for j in steps)
        return o[4] * w_o, np.array([d_i, d_h, o[4]])

    losses = []
    while not losses or losses[-1] > 0:
        y, expected = by_hand(*net.flat)
        got = net(x).y[0, 0]
        assert got == pytest.approx(y, abs=1e-14)
        losses.append(got - target)
        grads, _, _ = net.vjp(x, np.ones((1, 1)))  # dL/dy = 1
        flat = np.concatenate([grads[name].ravel() for name in net.parameters()])
        assert difference(flat, expected) < 1e-12
        net.flat[:] -= eta * flat
        assert len(losses) < 1000
    assert all(later < earlier for earlier, later in pairwise(losses))
    assert losses[0] > 0.6
    assert abs(losses[-1]) < 0.02


def toy(dtype="float64"):
    x = np.array([[WORDS[word] for word in text.split()] for text, _ in SENTENCES])
    y = np.array([label for _, label in SENTENCES])
    return x, y, rc.RNN(3, 1, 1, loss="bce", bias=False, dtype=dtype, seed=0)


def test_sentiment_toy_is_learned(build, dtype):
    """(b) many to one: cat mat rat -> 1, rat rat mat -> 1, mat mat cat -> 0."""
    x, y, net = toy(dtype)
    history = net.fit(x, y, epochs=2000, optimizer="sgd", lr=0.5, batch_size=3, rng=0)
    assert history.loss[-1] < 0.05
    assert (net.predict(x) == y).all()
    assert net.predict_proba(x).shape == (3, 1)


def test_sentiment_toy_gradients_are_the_sums_of_three_terms(build):
    x, y, net = toy()
    _, grads = net.loss_and_grad(x, y)
    parameters = {name: value.tolist() for name, value in net.parameters().items()}
    terms = {name: np.zeros((3, *value.shape)) for name, value in net.parameters().items()}
    for sentence, label in zip(x, y, strict=True):
        onehot = np.eye(3)[sentence].tolist()
        _, parts = oracle.loss_and_terms(
            parameters, "tanh", onehot, [0.0], [True] * 3, "bce", {3: [float(label)]}
        )
        for name in ("weight_ih_l0", "weight_hh_l0"):
            assert len(parts[name]) == 3
            terms[name] += np.array(parts[name]) / len(y)
        terms["head.weight"][2] += np.array(parts["head.weight"]).sum(axis=0) / len(y)
    for name, grad in grads.items():
        assert difference(grad, terms[name].sum(axis=0)) < 1e-12
    # o_0 = 0, so the first step has no term in w_h; all the others have one
    assert (terms["weight_hh_l0"][0] == 0).all()
    assert (terms["weight_hh_l0"][1:] != 0).all()


@pytest.mark.parametrize("g1", ["tanh", "relu", "sigmoid", "identity"])
@pytest.mark.parametrize("g2", ["tanh", "relu", "sigmoid", "identity"])
def test_error_at_the_third_step_by_hand(build, g1, g2):
    """(c) S_t = g1(W_x X_t + W_s S_{t-1}), Y_t = g2(W_y S_t), E_t = (d_t - Y_t)^2, at t = 3."""
    value1, slope1 = oracle.recurrence.NONLINEARITIES[g1]
    value2, slope2 = oracle.recurrence.NONLINEARITIES[g2]
    x, d = [0.9, 0.4, 0.7], 0.25
    net = scalar(nonlinearity=g1, readout="all", seed=0)
    net.flat[:] = W_x, W_s, W_y = 0.8, 0.6, 1.2

    S0 = 0.0
    S1 = value1(W_x * x[0] + W_s * S0)
    S2 = value1(W_x * x[1] + W_s * S1)
    S3 = value1(W_x * x[2] + W_s * S2)
    Y3 = value2(W_y * S3)
    dE3_dY3 = -2 * (d - Y3)
    dY3_dS3 = slope2(Y3) * W_y
    dS3_dS2, dS2_dS1 = slope1(S3) * W_s, slope1(S2) * W_s
    dE3_dWy = dE3_dY3 * slope2(Y3) * S3
    dE3_dWs = (
        dE3_dY3
        * dY3_dS3
        * (slope1(S3) * S2 + dS3_dS2 * slope1(S2) * S1 + dS3_dS2 * dS2_dS1 * slope1(S1) * S0)
    )
    dE3_dWx = (
        dE3_dY3
        * dY3_dS3
        * (slope1(S3) * x[2] + dS3_dS2 * slope1(S2) * x[1] + dS3_dS2 * dS2_dS1 * slope1(S1) * x[0])
    )

    rows = np.array(x).reshape(1, 3, 1)
    out = net(rows)
    assert difference(out.hidden.ravel(), [S1, S2, S3]) < 1e-14
    Y = np.array([value2(v) for v in out.y.ravel()])
    dy = np.zeros((1, 3, 1))
    dy[0, 2, 0] = -2 * (d - Y[2]) * slope2(Y[2])  # g2 and E are ours: dE_3/d(W_y S_3)
    grads, _, _ = net.vjp(rows, dy)
    assert grads["head.weight"][0, 0] == pytest.approx(dE3_dWy, rel=1e-12)
    assert grads["weight_hh_l0"][0, 0] == pytest.approx(dE3_dWs, rel=1e-12)
    assert grads["weight_ih_l0"][0, 0] == pytest.approx(dE3_dWx, rel=1e-12)
    if g2 == "identity":  # then E is the built-in squared error of the last step
        last = scalar(nonlinearity=g1, loss="mse", seed=0)
        last.flat[:] = net.flat
        loss, grads = last.loss_and_grad(rows, [d])
        assert loss == pytest.approx((d - Y3) ** 2, rel=1e-12)
        assert grads["weight_hh_l0"][0, 0] == pytest.approx(dE3_dWs, rel=1e-12)
