"""Validation losses are those of the network after each epoch, and patience ends a fit with the
best network."""

import numpy as np
import pytest
from fits import data, network


def test_validation_losses_are_those_of_the_network_after_each_epoch(build):
    x, y = data()
    other = data(B=11, seed=1)
    losses = []
    net = network("GRU")
    history = net.fit(
        x, y, epochs=5, rng=0, validation=other,
        callback=lambda *_: losses.append(net.loss(*other)),
    )  # fmt: skip
    assert history.validation == pytest.approx(losses, rel=1e-12)
    twin = network("GRU")
    twin.fit(x, y, epochs=5, rng=0)
    assert twin.flat.tobytes() == net.flat.tobytes()  # looking changes nothing
    assert history.best_epoch == int(np.argmin(losses)) + 1


def test_validation_with_lengths_and_lists(build):
    x, y = data()
    vx, vy = data(B=7, seed=1)
    lengths = np.array([9, 1, 3, 5, 9, 2, 4])
    listed = [row[:n] for row, n in zip(vx, lengths, strict=True)]
    both = [
        network().fit(x, y, epochs=2, rng=0, validation=given).validation
        for given in ({"x": vx, "y": vy, "lengths": lengths}, (listed, vy))
    ]
    assert both[0] == pytest.approx(both[1], rel=1e-12)


def test_a_share_is_set_apart(build):
    x, y = data(B=40)
    net = network()
    seen = []
    history = net.fit(
        x, y, epochs=3, rng=5, validation=0.25, batch_size=40, shuffle=False,
        callback=lambda epoch, loss: seen.append(loss),
    )  # fmt: skip
    again = network().fit(x, y, epochs=3, rng=5, validation=0.25, batch_size=40, shuffle=False)
    assert (history.validation == again.validation).all()
    start = network()
    losses = np.array([start.loss(x[s : s + 1], y[s : s + 1]) for s in range(40)])
    # the first epoch's loss is the mean of thirty of these, that of the whole is known
    rest = (losses.sum() - 30 * seen[0]) / 10
    assert 0 < rest
    assert not np.isclose(seen[0], losses.mean())


def test_patience_ends_with_the_best_network(build):
    x, y = data(B=12)
    other = data(B=40, seed=1)
    net, flats = network(), []
    history = net.fit(
        x, y, epochs=500, lr=0.05, rng=0, validation=other, patience=6,
        callback=lambda *_: flats.append(net.flat.copy()),
    )  # fmt: skip
    assert history.stopped == "patience"
    assert len(history) == history.best_epoch + 6 < 500
    assert (history.validation[history.best_epoch - 1 :] >= history.validation.min()).all()
    assert net.flat.tobytes() == flats[history.best_epoch - 1].tobytes()
    assert net.loss(*other) == pytest.approx(history.validation.min(), rel=1e-12)
    quick = network()
    assert quick.fit(
        x, y, epochs=500, lr=0.05, rng=0, validation=other, patience=6
    ).loss.tolist() == history.loss.tolist()  # fmt: skip
    assert quick.flat.tobytes() == net.flat.tobytes()
