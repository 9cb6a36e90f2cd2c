"""Learning rates that change: every epoch uses the rate that the history records, and a plateau
lowers it when it should."""

import numpy as np
import pytest
from fits import data, network

import rnncore as rc


def test_rates_are_recorded_and_used(build):
    x, y = data()
    net, twin = network(), network()
    history = net.fit(x, y, epochs=4, lr=lambda epoch: 0.1 / epoch, optimizer="sgd", rng=0)
    assert history.lr == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025])
    rng = np.random.default_rng(0)  # one seed is drawn from it, as for the whole fit
    order = history.lr
    for rate in order:
        twin.fit(x, y, epochs=1, lr=float(rate), optimizer="sgd", batch_size=30, shuffle=False)
    net = network()
    net.fit(x, y, epochs=4, lr=lambda epoch: 0.1 / epoch, optimizer="sgd", batch_size=30,
            shuffle=False, rng=rng)  # fmt: skip
    assert net.flat.tobytes() == twin.flat.tobytes()


def test_a_plateau_lowers_the_rate(build):
    x, y = data()
    plateau = rc.schedules.Plateau(1e-12, factor=0.5, patience=2, least=2e-13)
    history = network().fit(x, y, epochs=12, lr=plateau, optimizer="sgd", shuffle=False)
    expected = np.repeat([1e-12, 5e-13, 2.5e-13, 2e-13], 3)
    assert history.lr[:1] == 1e-12
    assert history.lr[1:] == pytest.approx(expected[:11])


def test_a_plateau_raises_no_rate(build):
    """`least` bounds what is lowered; a rate below it stays."""
    x, y = data()
    plateau = rc.schedules.Plateau(1e-13, factor=0.5, patience=1, least=2e-13)
    history = network().fit(x, y, epochs=6, lr=plateau, optimizer="sgd", shuffle=False)
    assert history.lr.tolist() == [1e-13] * 6


@pytest.mark.parametrize("validation", [None, data(B=5, seed=1)])
def test_a_plateau_begins_after_the_warm_up(build, validation):
    x, y = data()
    plateau = rc.schedules.Plateau(1e-12, factor=0.5, patience=1, least=3e-13)
    options = {"optimizer": "sgd", "shuffle": False, "validation": validation}
    alone = network().fit(x, y, epochs=10, lr=plateau, **options).lr
    warm = rc.schedules.WarmUp(4, plateau)
    for schedule, shares in (
        (warm, [0.25, 0.5, 0.75, 1]),
        (rc.schedules.WarmUp(2, warm), [0.125, 0.25, 0.25, 0.5, 0.75, 1]),
    ):
        n = len(shares)
        got = network().fit(x, y, epochs=n + 10, lr=schedule, **options).lr
        assert got[:n] == pytest.approx(1e-12 * np.array(shares))
        assert got[n:].tolist() == alone.tolist()


def test_warm_up_leads_to_any_schedule():
    warm = rc.schedules.WarmUp(4, rc.schedules.Plateau(0.1, patience=1))
    assert warm.plateau == (0.1, 0.0, 1, 4)
    assert [warm(e, 8) for e in (1, 4, 8)] == pytest.approx([0.025, 0.1, 0.1])
    assert rc.schedules.WarmUp(4, 0.1).plateau == rc.schedules.Schedule().plateau
