"""What a fit reports: its history, and the error in which it ends."""

import json

import numpy as np
import pytest
from fits import data, flat, network, overflowing

import rnncore as rc


def test_the_best_epoch_has_a_finite_loss(build):
    net, history = overflowing(1.5, epochs=16, patience=20)
    losses = history.validation
    assert np.isnan(losses[0])
    assert np.isfinite(losses[8:]).all()
    best = int(np.nanargmin(losses))
    assert history.best_epoch == best + 1
    assert net.flat.tobytes() == overflowing(1.5, epochs=best + 1)[0].flat.tobytes()
    assert f"best validation {losses[best]:.4g} in epoch {best + 1}" in repr(history)
    kept = json.loads(json.dumps(history.to_dict(), allow_nan=False))
    assert kept["validation"] == [v if np.isfinite(v) else None for v in losses.tolist()]
    assert kept["best_epoch"] == best + 1


def test_no_validation_loss_is_finite(build):
    _, history = overflowing(9.0, epochs=5, patience=3)
    assert history.stopped == "patience"
    assert np.isnan(history.validation).all()
    assert history.best_epoch is None
    assert "no finite validation" in repr(history)
    assert json.loads(json.dumps(history.to_dict(), allow_nan=False))["best_epoch"] is None


def test_a_history_can_be_taken_away(build):
    x, y = data()
    history = network().fit(x, y, epochs=3, validation=0.2, rng=0)
    kept = json.loads(json.dumps(history.to_dict()))
    assert kept["loss"] == history.loss.tolist()
    assert kept["stopped"] == "epochs"
    assert "best validation" in repr(history)
    norms = []
    net = network()
    for _ in range(3):
        norms.append(np.linalg.norm(flat(net.loss_and_grad(x, y)[1])))
        net.fit(x, y, epochs=1, batch_size=30, optimizer="sgd", lr=0.1, clip_norm=0.01)
    net = network()
    history = net.fit(x, y, epochs=3, batch_size=30, optimizer="sgd", lr=0.1, clip_norm=0.01)
    assert history.gradient_norm == pytest.approx(norms, rel=1e-9)


# ---- explosions ---------------------------------------------------------------------


def explosion(scale, **options):
    rng = np.random.default_rng(0)
    net = rc.RNN(
        1, 4, 1, nonlinearity="identity", loss="mse", init="identity", init_scale=scale, seed=0,
        **options,
    )  # fmt: skip
    return net, rng.standard_normal((8, 200, 1)) ** 2


def test_an_exploding_gradient_is_explained(build):
    net, x = explosion(1.5, dtype="float64")
    with pytest.raises(FloatingPointError, match="largest norms of the gradient") as caught:
        net.fit(x, np.ones(8), epochs=50, optimizer="sgd", lr=1.0)
    text = str(caught.value)
    assert "clip_norm=" in text
    assert "gradient_flow" in text
    assert len(caught.value.history) < 50
    assert np.isfinite(net.flat).all()


def norms_in(error):
    return str(error.value).split("last epochs: ")[1].split(")")[0].split(" -> ")


def test_norms_are_of_gradients_that_there_were(build):
    """A loss that is not finite has no gradient."""
    x, y = data()
    options = {"optimizer": "sgd", "lr": 0.5, "shuffle": False, "batch_size": 30}
    net, twin = (network(nonlinearity="identity") for _ in range(2))
    with pytest.raises(FloatingPointError, match=r"got loss (nan|inf) after") as caught:
        net.fit(x, 100 * y, epochs=1000, **options)
    finished = len(caught.value.history)
    norms = twin.fit(x, 100 * y, epochs=finished, **options).gradient_norm
    assert norms_in(caught) == [
        f"{norm:.3g}" if norm < np.inf else "not finite" for norm in norms[-6:]
    ]
    assert (norms > 0).all()


def test_a_norm_that_is_not_finite_is_said_to_be(build):
    """The loss is 1e30, its slope in the weights 2e40."""
    net = rc.RNN(1, 1, 1, bias=False, nonlinearity="identity", loss="mse", seed=0)
    net.flat[:] = [1e-10, 0, 1]
    with pytest.raises(FloatingPointError, match="The gradient exploded") as caught:
        net.fit(np.full((1, 1, 1), 1e25), [0.0], epochs=3, optimizer="sgd", lr=1e-3)
    assert norms_in(caught) == ["not finite"]


def test_a_first_loss_that_is_not_finite_has_no_norm(build):
    net, x = explosion(1.9)
    with pytest.raises(FloatingPointError, match="Before any update the parameters") as caught:
        net.fit(x, np.ones(8), epochs=50, optimizer="sgd", lr=1.0)
    assert "norms" not in str(caught.value)
    assert len(caught.value.history) == 0
