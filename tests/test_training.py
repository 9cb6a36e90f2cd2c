"""What a fit offers beyond plain descent: penalties, schedules, validation, patience, callbacks;
against the oracle where there is a number to compare."""

import numpy as np
import pytest
from cases import difference
from fits import KINDS, data, flat, network, one_step

import rnncore as rc

# ---- penalties ----------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_penalties_on_chosen_parameters(build, optimizer):
    net = network()
    x, y = data()
    grads = net.loss_and_grad(x, y)[1]
    if optimizer == "sgd":
        for option, slope in (("l1", np.sign), ("weight_decay", lambda p: p)):
            expected = {name: g.copy() for name, g in grads.items()}
            for name, strength in (("weight_hh_l0", 0.3), ("bias_ih_l0", 0.01)):
                expected[name] += strength * slope(net.parameters()[name])
            chosen = {option: {"weight_hh": 0.3, "bias_ih_l0": 0.01}}
            assert difference(one_step(net, x, y, **chosen), flat(expected)) < 1e-12
            everywhere = flat(grads) + 0.1 * slope(net.flat)
            assert difference(one_step(net, x, y, **{option: 0.1}), everywhere) < 1e-12
    else:
        other = network()
        for each, decay in ((net, 0.0), (other, {"weight_hh": 0.5})):
            each.fit(x, y, epochs=1, batch_size=30, optimizer="adamw", lr=0.1, weight_decay=decay)
        start = network().parameters()["weight_hh_l0"]
        change = net.parameters()["weight_hh_l0"] - other.parameters()["weight_hh_l0"]
        assert difference(change, 0.1 * 0.5 * start) < 1e-12


def test_the_longest_beginning_of_a_name_counts(build):
    net = network()
    x, y = data()
    expected = flat(net.loss_and_grad(x, y)[1]) + np.where(
        np.arange(net.flat.size) < 8, 0.5, 0.0
    ) * np.sign(net.flat)
    got = one_step(net, x, y, l1={"weight": 0.0, "weight_ih_l0": 0.5})
    assert difference(got, expected) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("given", ["lengths", "mask"])
def test_a_penalty_on_the_states(build, kind, readout, options, given):
    """The gradient of strength times the mean of h^2, by central differences."""
    rng = np.random.default_rng(0)
    net = network(kind, readout=readout, **options)
    x, lengths = rng.standard_normal((6, 5, 2)), np.array([5, 2, 3, 5, 1, 4])
    y = rng.standard_normal((6, 5, 1) if readout == "all" else (6, 1))
    counted = np.arange(5) < lengths[:, None]
    if given == "mask":
        counted[[0, 3], 2] = False
    ragged = {"lengths": lengths} if given == "lengths" else {"mask": counted}

    def mean_square():
        squares, below, layers = 0.0, x, options.get("num_layers", 1)
        for layer in range(layers):
            single = rc_layer(net, kind, layer, options)
            below = single(below, **ragged).hidden
            squares += (below[counted] ** 2).sum()
        units = layers * (2 if "bidirectional" in options else 1) * 4
        return squares / (counted.sum() * units)

    penalty = one_step(net, x, y, activation=0.7, **ragged) - flat(
        net.loss_and_grad(x, y, **ragged)[1]
    )
    kept = net.flat.copy()
    for direction in rng.standard_normal((3, net.flat.size)):
        ends = []
        for step in (1e-5, -1e-5):
            net.flat[:] = kept + step * direction
            ends.append(mean_square())
        net.flat[:] = kept
        assert penalty @ direction == pytest.approx(0.7 * (ends[0] - ends[1]) / 2e-5, rel=1e-7)


def rc_layer(net, kind, layer, options):
    """One layer of a network as a network of its own."""
    both = options.get("bidirectional", False)
    single = getattr(rc, kind)(
        2 if layer == 0 else 4 * (1 + both), 4, bidirectional=both, readout="all", dtype="float64"
    )
    for name, values in single.parameters().items():
        values[:] = net.parameters()[name.replace("_l0", f"_l{layer}")]
    return single


# ---- learning rates -----------------------------------------------------------------


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


# ---- validation and patience --------------------------------------------------------


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


@pytest.mark.parametrize("answer", [True, np.True_, np.bool_(True)])
def test_a_callback_can_end_a_fit(build, answer):
    history = network().fit(
        *data(), epochs=100, callback=lambda epoch, loss: answer if epoch == 4 else not answer
    )
    assert len(history) == 4
    assert history.stopped == "callback"


@pytest.mark.parametrize("answer", [1, "stop", [True], np.ones(1, bool), 0.5, None, False])
def test_what_else_a_callback_returns_means_nothing(answer):
    history = network().fit(*data(), epochs=3, callback=lambda epoch, loss: answer)
    assert len(history) == 3
    assert history.stopped == "epochs"


@pytest.mark.parametrize("watch", ["callback", "checkpoint", "progress"])
def test_records_are_not_copied_every_epoch(monkeypatch, tmp_path, capsys, hide, watch):
    hide("tqdm")
    epochs, made = 500, 0

    def counted(name):
        function = getattr(np, name)

        def call(*args, **options):
            nonlocal made
            result = function(*args, **options)
            made += result.size
            return result

        return call

    for name in ("concatenate", "zeros", "empty", "append", "vstack", "resize"):
        monkeypatch.setattr(np, name, counted(name))
    given = {"callback": lambda *_: None, "checkpoint": tmp_path / "fit", "progress": True}[watch]
    history = network().fit(*data(), epochs=epochs, **{watch: given})
    assert len(history) == epochs
    assert made < 5 * epochs * 6  # five columns, of arrays that double


def test_a_raising_callback_leaves_a_usable_network(build):
    x, y = data()
    net, twin = network(), network()

    def fail(epoch, loss):
        if epoch == 3:
            raise OverflowError("enough")

    with pytest.raises(OverflowError, match="enough"):
        net.fit(x, y, epochs=10, rng=0, callback=fail)
    twin.fit(x, y, epochs=3, rng=0)
    assert net.flat.tobytes() == twin.flat.tobytes()
    net.fit(x, y, epochs=1)


# ---- checkpoints --------------------------------------------------------------------
# ---- the loss as a function ---------------------------------------------------------


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


# ---- bad input ----------------------------------------------------------------------

X, Y = np.zeros((4, 3, 2)), np.zeros((4, 1))
BAD = [
    ({"truncate": 0}, ValueError, "truncate: expected at least 1, got 0"),
    ({"activation": -1}, ValueError, "activation: expected at least 0"),
    ({"l1": {"weight_xx": 1}}, ValueError, "l1: expected beginnings of weight_ih_l0"),
    ({"weight_decay": {"weight": "a"}}, TypeError, r"weight_decay\['weight'\]: expected a number"),
    ({"weight_decay": -0.1}, ValueError, "weight_decay: expected at least 0"),
    ({"patience": 3}, ValueError, "patience: expected validation= with it"),
    ({"validation": 1.5}, ValueError, "validation: expected more than 0 and less than 1"),
    ({"validation": 0.9999}, ValueError, "validation: expected to leave a sequence to train on"),
    ({"validation": True}, TypeError, "validation: expected a share"),
    ({"validation": (X,)}, TypeError, "validation: expected a share of the sequences, a pair"),
    ({"validation": {"x": X}}, ValueError, "validation: expected a mapping with x, y"),
    ({"validation": (X[:, :, :1], Y)}, ValueError, r"validation: x: expected \(batch, time, 2\)"),
    ({"validation": (X, Y * np.nan)}, ValueError, "validation: y: expected finite numbers"),
    ({"lr": lambda epoch: "fast"}, TypeError, r"lr\(1\): expected a number, got 'fast'"),
    ({"lr": lambda epoch: -1.0}, ValueError, r"lr\(1\): expected at least 0"),
    ({"alpha": 1.0}, ValueError, "alpha: expected at least 0 and less than 1"),
    ({"checkpoint": 3}, TypeError, "checkpoint: expected a file's path, got 3"),
]


@pytest.mark.parametrize(("options", "error", "text"), BAD)
def test_bad_options(options, error, text):
    net = network()
    before = net.flat.copy()
    with pytest.raises(error, match=text):
        net.fit(X, Y, **({"epochs": 2} | options))
    assert net.flat.tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rc.schedules.Step(0, every=2), "lr: expected more than 0"),
        (lambda: rc.schedules.Step(0.1, every=0), "every: expected at least 1"),
        (lambda: rc.schedules.Cosine(0.1, end=-1), "end: expected at least 0"),
        (lambda: rc.schedules.WarmUp(0, 0.1), "epochs: expected at least 1"),
        (lambda: rc.schedules.Plateau(0.1, factor=1), "factor: expected more than 0 and less"),
    ],
)
def test_bad_schedules(make, text):
    with pytest.raises(ValueError, match=text):
        make()
