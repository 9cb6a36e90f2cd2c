"""Everything that a network says about a batch, to be compared bit by bit."""

import numpy as np

import rnncore as rc


def results(net, x, y, **options):
    """Everything a network says about a batch, as bytes by name."""
    out = net(x, **options)
    loss, grads = net.loss_and_grad(x, y, **options)
    dy = np.linspace(-1, 1, out.y.size, dtype=out.y.dtype).reshape(out.y.shape)
    own, dx, dh0 = net.vjp(x, dy, **options)
    arrays = {"y": out.y, "hidden": out.hidden, "final": out.final, "dx": dx, "dh0": dh0}
    arrays |= grads | {f"own {name}": values for name, values in own.items()}
    numbers = {"loss": loss, "mean": net.loss(x, y, **options)}
    return {name: np.asarray(v).tobytes() for name, v in (arrays | numbers).items()}


def problem(size, dtype, readout="last", **options):
    H, D, B, T = size
    rng = np.random.default_rng(H)
    net = rc.RNN(D, H, 2, loss="mse", readout=readout, dtype=dtype, seed=0, **options)
    x = rng.standard_normal((B, T, D)).astype(dtype)
    y = rng.standard_normal((B, T, 2) if readout == "all" else (B, 2)).astype(dtype)
    return net, x, y
