"""Products of the Hessian and a vector, against derivatives that take no differences."""

import numpy as np
import oracle
import pytest
from crossed.draw import draw
from crossed.reference import spec_of
from oracle.stack import COMPLEX
from refusals import X, unchanged

import rnncore as rc

#: Points on a circle around the parameters: its values give derivatives to all digits.
POINTS, RADIUS = 32, 0.1


def loss_at(net, flat, x, y, every_step):
    """The mean squared error by the oracle's equations, for complex parameters."""
    p, at = {}, 0
    for name, values in net.parameters().items():
        p[name] = flat[at : at + values.size].reshape(values.shape).tolist()
        at += values.size
    states = [np.zeros((net._model.spec.state_rows, net.hidden_size)).tolist()]
    states *= net._model.spec.states
    total, spec = 0.0, spec_of(net)
    for s, row in enumerate(x):
        counts = [1] * len(row)
        outputs, met = oracle.stack.forward(p, spec, row.tolist(), states, counts, COMPLEX)
        for t in range(len(row)) if every_step else [len(row) - 1]:
            where = oracle.stack.numbering(counts)
            _, out = oracle.stack.read(p, spec, outputs, met, t + 1, where)
            wanted = np.atleast_1d(y[s, t] if every_step else y[s])
            total += sum((o - w) ** 2 for o, w in zip(out, wanted, strict=True))
    return total / y.size


def curvature(net, x, y, v, every_step):
    """v^T H v, by Cauchy's formula for the second derivative on a circle in the complex plane."""
    flat, r = net.flat.astype(complex), RADIUS / np.linalg.norm(v)
    total = 0
    for turn in np.exp(2j * np.pi * np.arange(POINTS) / POINTS):
        total += loss_at(net, flat + r * turn * v, x, y, every_step) / turn**2
    return (2 * total / POINTS / r**2).real


CASES = [
    ("RNN", {}), ("RNN", {"nonlinearity": "sigmoid", "skip": 2}), ("LSTM", {}), ("GRU", {}),
    ("MGU", {}), ("GRU", {"num_layers": 2}), ("LSTM", {"bidirectional": True}),
    ("RNN", {"num_layers": 2, "bidirectional": True}),
]  # fmt: skip


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize(("kind", "options"), CASES)
def test_it_is_the_second_derivative(build, dtype, kind, options, readout):
    rng = np.random.default_rng(0)
    net = getattr(rc, kind)(2, 3, 2, loss="mse", readout=readout, dtype=dtype, seed=1, **options)
    x = rng.standard_normal((2, 4, 2))
    y = rng.standard_normal((2, 4, 2) if readout == "all" else (2, 2))
    u, v = rng.standard_normal((2, net.flat.size))
    exact = rc_in_float64(net)
    Hu, Hv = net.hvp(x, y, u), net.hvp(x, y, v)
    assert Hv.dtype == float
    for a, product in ((u, Hu), (v, Hv)):
        expected = curvature(exact, x, y, a, readout == "all")
        assert abs(a @ product - expected) <= 1e-10 * np.linalg.norm(a) * np.linalg.norm(product)
    both = curvature(exact, x, y, u + v, readout == "all")
    mixed = (both - u @ Hu - v @ Hv) / 2
    scale = np.linalg.norm(u) * np.linalg.norm(Hv)
    assert abs(u @ Hv - mixed) <= 2e-10 * scale
    assert abs(v @ Hu - u @ Hv) <= 2e-10 * scale


def rc_in_float64(net):
    copy = type(net)(**net.config | {"dtype": "float64"})
    copy.flat[:] = net.flat
    return copy


def test_of_a_quadratic_loss_it_is_exact():
    """A linear network of one step and its squared error: H = 2 mean(z z^T), z = (x, 1)."""
    net = rc.RNN(2, 1, None, nonlinearity="identity", loss="mse", bias=False, dtype="float64")
    x = np.random.default_rng(0).standard_normal((9, 1, 2))
    v = np.array(
        [0.3, -2.0, 5.0]
    )  # of w_ih, which the loss depends on, and w_hh, which it does not
    H = 2 * x[:, 0].T @ x[:, 0] / 9
    product = net.hvp(x, np.zeros((9, 1)), v)
    assert np.abs(product[:2] - H @ v[:2]).max() < 1e-11
    assert product[2] == 0


@pytest.mark.parametrize("number", range(80))
def test_with_all_options_crossed(build, dtype, number):
    """It is that of a weighted sum of what each sequence brings, and symmetric, and linear."""
    example = draw(number)
    if not example.target_weights.any() or example.options.get("nonlinearity") == "relu":
        return
    net = example.network(dtype)
    x, options = example.arguments("float64")
    y, of_targets = example.targets()
    options = options | of_targets | {"reduction": example.reduction}
    if example.options["loss"] == "huber":  # which has a kink
        return
    rng = np.random.default_rng(number)
    u, v = (net._model.spec.dtype.type(1) * rng.standard_normal((2, net.flat.size))).astype(float)
    u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
    Hu, Hv = net.hvp(x, y, u, **options), net.hvp(x, y, v, **options)
    scale = max(np.linalg.norm(Hu), np.linalg.norm(Hv), 1e-6)
    assert abs(v @ Hu - u @ Hv) <= 1e-6 * scale
    both = net.hvp(x, y, 2 * u - v, **options)
    assert np.abs(both - 2 * Hu + Hv).max() <= 1e-6 * scale


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
