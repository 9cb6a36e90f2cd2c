"""The Jacobians from step to step, and their products, against central differences;
gradients of states against dL/dh0."""

import numpy as np
import pytest

import rnncore as rc

JACOBIANS = [
    ("RNN", {}), ("RNN", {"nonlinearity": "sigmoid"}), ("RNN", {"skip": 3}), ("LSTM", {}),
    ("GRU", {}), ("RNN", {"num_layers": 2}), ("GRU", {"num_layers": 2}), ("RNN", {"skip": 1}),
    ("GRU", {"reset": "before"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), JACOBIANS)
@pytest.mark.parametrize("masked", [False, True])
def test_jacobians_equal_central_differences(build, kind, options, masked):
    rng = np.random.default_rng(0)
    net = getattr(rc, kind)(2, 3, 1, loss="mse", dtype="float64", seed=0, **options)
    net.flat[:] *= 2
    T = 6
    x, y = rng.standard_normal((3, T, 2)), rng.standard_normal((3, 1))
    mask = np.ones((3, T), bool)
    if masked:
        mask[:, 2] = mask[1, 4] = False
    flow = net.gradient_flow(x, y, **({"mask": mask} if masked else {}))
    top = 3 * (options.get("skip") or 1)  # rows of the last layer are the last of the state

    def states(start, s, t, rows):
        """From the state before step t to the one after it, as one vector."""
        pair = [part.copy() for part in start]
        for part, values in zip(pair, np.split(rows, len(pair)), strict=True):
            part.reshape(-1)[part.size - values.size :] = values
        out = net(
            x[s : s + 1, t : t + 1], h0=tuple(pair) if kind == "LSTM" else pair[0],
            mask=mask[s : s + 1, t : t + 1],
        )  # fmt: skip
        final = out.final if kind == "LSTM" else (out.final,)
        return np.concatenate([part.reshape(-1)[-len(rows) // len(pair) :] for part in final])

    rows = net._model.spec.state_rows
    for s in (0, 1):
        state = tuple(np.zeros((1, rows, 3)) for _ in range(2 if kind == "LSTM" else 1))
        product = np.eye(len(state) * top)
        steps = []
        for t in range(T):
            flat = np.concatenate([part.reshape(-1)[-top:] for part in state])
            J = np.empty((flat.size, flat.size))
            for k in range(flat.size):
                ends = []
                for eps in (1e-6, -1e-6):
                    moved = flat.copy()
                    moved[k] += eps
                    ends.append(states(state, s, t, moved))
                J[:, k] = (ends[0] - ends[1]) / 2e-6
            assert np.abs(flow.jacobians[t, s] - J).max() < 1e-7, t
            steps.append(flow.jacobians[t, s])
            h0 = state if kind == "LSTM" else state[0]
            out = net(x[s : s + 1, t : t + 1], h0=h0, mask=mask[s : s + 1, t : t + 1])
            state = out.final if kind == "LSTM" else (out.final,)
        for t in range(T - 1, -1, -1):
            product = product @ steps[t]
            assert np.abs(flow.products[t, s] - product).max() < 1e-12
    assert flow.jacobian_norms == pytest.approx(
        np.linalg.norm(flow.jacobians, 2, axis=(2, 3)).mean(axis=1), rel=1e-10
    )
    assert flow.jacobian_radii == pytest.approx(
        np.abs(np.linalg.eigvals(flow.jacobians)).max(axis=2).mean(axis=1), rel=1e-10
    )


def test_dh0_is_where_the_states_slopes_end(build):
    rng = np.random.default_rng(0)
    for kind, options in (("RNN", {}), ("GRU", {}), ("LSTM", {}), ("RNN", {"skip": 2})):
        net = getattr(rc, kind)(2, 3, 1, loss="mse", dtype="float64", seed=0, **options)
        x, y = rng.standard_normal((5, 7, 2)), rng.standard_normal((5, 1))
        flow = net.gradient_flow(x, y)
        dh0 = net.vjp(x, 2 * (net(x).y - y) / y.size)[2]
        if kind == "LSTM":
            dh0 = np.concatenate(dh0)
        elif options:
            dh0 = dh0[:, :1]
        assert flow.state_norms[0] == pytest.approx(np.linalg.norm(dh0), rel=1e-12)


def test_reverse_directions_run_the_other_way(build):
    """Of a network that is its own mirror image, both directions' norms are the same."""
    rng = np.random.default_rng(0)
    net = rc.RNN(1, 3, 1, bidirectional=True, loss="mse", dtype="float64", seed=0)
    p = net.parameters()
    for name, values in p.items():
        if name.endswith("_reverse"):
            values[:] = p[name.removesuffix("_reverse")]
    p["head.weight"][:, 3:] = p["head.weight"][:, :3]
    x = rng.standard_normal((4, 20, 1))
    x[:, 10:] = x[:, 9::-1]
    flow = net.gradient_flow(x, np.ones(4))
    forwards, backwards = flow.norms["weight_hh_l0"], flow.norms["weight_hh_l0_reverse"]
    assert np.allclose(forwards, backwards[::-1], rtol=1e-10)
    assert flow.term_norms[-1] > 3 * flow.term_norms[0]
