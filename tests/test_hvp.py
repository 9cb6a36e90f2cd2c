"""Products of the Hessian and a vector, against derivatives formed in other ways."""

import numpy as np
import pytest
from crossed.draw import draw
from crossed.reference import Reference
from refusals import X, unchanged

import rnncore as rc

#: Of the complex step. Its square is 0: real parts have the bits that they have without it, so relu
#: is 0 at 0 for all.
STEP = 1e-200


def by_complex_step(example, v, gauss_newton=False):
    """H v: the imaginary part of the oracle's gradient at parameters moved by i e v, over e. Of the
    Gauss-Newton matrix: the gradient of sum(dy y), with dy the change of dL/dy along v."""
    moved = Reference(example, STEP * v)
    scale = 1 / example.target_weights.sum() if example.reduction == "mean" else 1.0
    slopes = scale * moved.losses()[1]
    if gauss_newton:
        grads = Reference(example).gradients(slopes.imag / STEP)
        return np.concatenate([np.ravel(grads[name]) for name in moved.net.parameters()])
    grads = moved.gradients(slopes)
    return np.concatenate([np.ravel(grads[name]).imag for name in moved.net.parameters()]) / STEP


def vectors(net, number, count):
    """Directions of length 1."""
    found = np.random.default_rng(number).standard_normal((count, net.flat.size))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("number", range(320))
def test_with_all_options_crossed(build, dtype, number):
    """It is the oracle's, symmetric, linear, and the same for any number of threads."""
    example = draw(number)
    if not example.target_weights.any():
        return
    net = example.network(dtype)
    x, options = example.arguments("float64")
    y, of_targets = example.targets()
    options |= of_targets | {"reduction": example.reduction}
    u, v = vectors(net, number, 2)
    Hu = net.hvp(x, y, u, **options, threads=example.threads)
    Hv = net.hvp(x, y, v, **options)
    Gu = net.hvp(x, y, u, **options, gauss_newton=True)
    expected = by_complex_step(example, u)
    scale = max(np.abs(expected).max(), 1e-3)
    assert np.abs(Hu - expected).max() <= 1e-11 * scale
    expected = by_complex_step(example, u, gauss_newton=True)
    assert np.abs(Gu - expected).max() <= 1e-11 * max(np.abs(expected).max(), 1e-3)
    if example.options["loss"] != "gaussian_nll":
        assert u @ Gu >= -1e-12 * scale
    scale = max(np.linalg.norm(Hu), np.linalg.norm(Hv), 1e-3)
    assert abs(v @ Hu - u @ Hv) <= 1e-12 * scale
    both = net.hvp(x, y, 2 * u - v, **options)
    assert np.abs(both - 2 * Hu + Hv).max() <= 1e-12 * scale
    assert (net.hvp(x, y, 0 * u, **options) == 0).all()
    assert (net.hvp(x, y, u, **options, threads=2) == Hu).all()


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("hidden", [1, 2, 4, 8, 17, 33])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RNN", {}), ("RNN", {"skip": 2}), ("LSTM", {}), ("GRU", {}), ("GRU", {"reset": "before"}),
        ("MGU", {}), ("LSTM", {"num_layers": 2, "bidirectional": True}),
    ],
)  # fmt: skip
def test_it_is_the_change_of_the_gradient(build, kind, options, hidden, readout):
    """By differences of the core's own gradient, in sizes that the oracle would be slow for."""
    net = getattr(rc, kind)(
        3, hidden, 2, loss="cross_entropy", readout=readout, dtype="float64", seed=1, **options
    )
    rng = np.random.default_rng(0)
    x = rng.standard_normal((19, 7, 3))
    y = rng.integers(0, 2, (19, 7) if readout == "all" else 19)
    (v,), at, step = vectors(net, 0, 1), net.flat.copy(), 1e-2
    product, expected = net.hvp(x, y, v, threads=2), np.zeros(net.flat.size)
    for steps, weight in {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}.items():  # 8th order
        for sign in (-1, 1):
            net.flat[:] = at + sign * steps * step * v
            grads = net.loss_and_grad(x, y)[1]
            expected += sign * weight / step * np.concatenate([g.ravel() for g in grads.values()])
    assert np.linalg.norm(product - expected) <= 1e-9 * np.linalg.norm(expected)


def test_of_a_long_sequence_whose_tape_is_formed_twice(build):
    """The tape beyond 8 MB is kept in part: the product is that of the pieces' sum."""
    net = rc.GRU(1, 12, 1, loss="mse", readout="all", dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((1, 3000, 1)), rng.standard_normal((1, 3000))
    u, v = vectors(net, 0, 2)
    Hu, Hv = net.hvp(x, y, u), net.hvp(x, y, v)
    assert abs(v @ Hu - u @ Hv) <= 1e-12 * np.linalg.norm(Hu)
    at, step, expected = net.flat.copy(), 1e-3, 0.0
    for steps, weight in {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}.items():
        net.flat[:] = at + steps * step * u
        grads = net.loss_and_grad(x, y)[1]
        expected += weight / step * (v @ np.concatenate([g.ravel() for g in grads.values()]))
    assert abs(v @ Hu - expected) <= 1e-9 * np.linalg.norm(Hu)


def test_of_the_scalar_network_by_hand(build):
    """Two steps, o_1 = f(w x_1), o_2 = f(w x_2 + r o_1), and L = (d - s o_2)^2, f = tanh."""
    net = rc.RNN(1, 1, 1, bias=False, loss="mse", dtype="float64")
    w, r, s, (x1, x2), d = 0.7, -1.3, 0.9, (0.4, -0.8), 0.3
    net.flat[:] = w, r, s
    o1, o2 = np.tanh(w * x1), np.tanh(w * x2 + r * np.tanh(w * x1))
    f1, f2 = 1 - o1**2, 1 - o2**2
    a = np.array([x2 + r * f1 * x1, o1, 0.0])  # of a_2 = w x_2 + r o_1: its slopes
    A = np.zeros((3, 3))  # and their slopes
    A[0, 0], A[0, 1], A[1, 0] = r * -2 * o1 * f1 * x1**2, f1 * x1, f1 * x1
    o, bent = f2 * a, f2 * A - 2 * o2 * f2 * np.outer(a, a)
    y, Y = s * o + np.array([0, 0, o2]), s * bent
    Y[2] += o
    Y[:, 2] += o
    H = 2 * np.outer(y, y) + 2 * (s * o2 - d) * Y
    x = np.array([[[x1], [x2]]])
    got = np.array([net.hvp(x, [[d]], v) for v in np.eye(3)])
    assert np.abs(got - H).max() <= 1e-15 * 4
    got = np.array([net.hvp(x, [[d]], v, gauss_newton=True) for v in np.eye(3)])
    assert np.abs(got - 2 * np.outer(y, y)).max() <= 1e-15 * 4


def test_relu_and_hubers_loss_have_no_curvature_of_their_own(build):
    """One step from h_0 = 0, all units and errors on the far side: the loss is linear."""
    net = rc.RNN(2, 3, 3, nonlinearity="relu", loss="huber", dtype="float64", seed=0)
    x = np.ones((1, 1, 2))
    v = np.zeros(net.flat.size)
    v[:6] = 1.0  # along W_ih, which comes first
    assert (net.hvp(x, np.full((1, 3), 100.0), v)[:6] == 0).all()


def test_of_a_quadratic_loss_it_is_exact():
    """A linear network of one step and its squared error: H = 2 mean(z z^T), z = (x, 1)."""
    net = rc.RNN(2, 1, None, nonlinearity="identity", loss="mse", bias=False, dtype="float64")
    x = np.random.default_rng(0).standard_normal((9, 1, 2))
    v = np.array(
        [0.3, -2.0, 5.0]
    )  # of w_ih, which the loss depends on, and w_hh, which it does not
    H = 2 * x[:, 0].T @ x[:, 0] / 9
    product = net.hvp(x, np.zeros((9, 1)), v)
    assert np.abs(product[:2] - H @ v[:2]).max() < 1e-14
    assert product[2] == 0


def test_forms_of_the_vector():
    net = rc.GRU(2, 3, 1, loss="mse", seed=0)
    x, y = np.random.default_rng(0).standard_normal((4, 5, 2)), np.ones(4)
    v = {name: np.ones_like(values) for name, values in net.parameters().items()}
    by_name = net.hvp(x, y, v)
    assert list(by_name) == list(v)
    assert all(by_name[name].shape == v[name].shape for name in v)
    flat = net.hvp(x, y, np.ones(net.flat.size))
    assert (np.concatenate([a.ravel() for a in by_name.values()]) == flat).all()
    assert (net.hvp(x, y, np.zeros(net.flat.size)) == 0).all()
    small = net.hvp(x, y, 1e-30 * np.ones(net.flat.size))
    assert np.abs(1e30 * small - flat).max() <= 1e-10 * np.abs(flat).max()


def test_it_is_torchs():
    torch = pytest.importorskip("torch")
    net = rc.LSTM(2, 5, 1, loss="mse", dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    x, y, v = (
        rng.standard_normal((6, 7, 2)),
        rng.standard_normal((6, 1)),
        rng.standard_normal(net.flat.size),
    )
    lstm, head = torch.nn.LSTM(2, 5, batch_first=True).double(), torch.nn.Linear(5, 1).double()
    p = {name: torch.tensor(values) for name, values in net.parameters().items()}
    lstm.load_state_dict({k: w for k, w in p.items() if not k.startswith("head.")})
    head.load_state_dict({k[5:]: w for k, w in p.items() if k.startswith("head.")})
    weights = [*lstm.parameters(), *head.parameters()]
    out = head(lstm(torch.tensor(x))[0][:, -1])
    grads = torch.autograd.grad(((out - torch.tensor(y)) ** 2).mean(), weights, create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in grads])
    product = torch.autograd.grad(flat @ torch.tensor(v), weights)
    expected = torch.cat([g.reshape(-1) for g in product]).numpy()
    assert np.linalg.norm(net.hvp(x, y, v) - expected) <= 1e-10 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("v", "options", "error", "text"),
    [
        (np.zeros(3), {}, ValueError, "v: expected (17,), got (3,)"),
        (np.full(17, np.nan), {}, ValueError, "v: expected finite numbers"),
        ({"head.bias": [0.0]}, {}, ValueError, "v: expected weight_ih_l0, weight_hh_l0"),
        ("a", {}, TypeError, "v: expected real numbers"),
        (np.zeros(17), {"reduction": "none"}, ValueError, "reduction: expected one of 'mean'"),
        (np.zeros(17), {"lengths": [9] * 4}, ValueError, "lengths: expected 1 to 5"),
        (np.zeros(17), {"target_mask": [False] * 4}, ValueError, "y: expected at least one target"),
        (np.zeros(17), {"threads": 0}, ValueError, "threads: expected at least 1"),
    ],
)
def test_bad_input(v, options, error, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(net, lambda: net.hvp(X, [0.0] * 4, v, **options), error, text)
