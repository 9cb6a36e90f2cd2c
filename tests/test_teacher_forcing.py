"""Scheduled sampling: what is fed back, and how often; updates by the oracle's gradients on the
inputs that were made."""

import math
import pickle

import numpy as np
import oracle
import pytest
from crossed.reference import coins, noise_of, spec_of
from oracle.stack import REAL
from randomness import GOLDEN, next_random, unit_of
from states import same

import rnncore as rc

D = 3
KINDS = [
    ("RNN", {}), ("RNN", {"skip": 2}), ("LSTM", {"num_layers": 2}), ("GRU", {}),
    ("GRU", {"reset": "before", "num_layers": 2, "dropout": 0.3}), ("MGU", {"zoneout": 0.3}),
    ("LSTM", {"recurrent_dropout": 0.4, "zoneout": (0.2, 0.4)}), ("GRU", {"trainable_h0": True}),
]  # fmt: skip


def seeds_of(rng, drawing):
    """The seeds of dropout (None without) and of feeding back in a fit's first minibatch."""
    state = int(np.random.default_rng(rng).integers(2**63))
    numbers = [next_random(state), next_random((state + GOLDEN) % 2**64)]
    return (numbers[0], numbers[1]) if drawing else (None, numbers[0])


def network(kind, options, tokens=False, **more):
    loss = "cross_entropy" if tokens else "mse"
    given = {"loss": loss, "readout": "all", "dtype": "float64", "seed": 1} | options | more
    net = getattr(rc, kind)(D, 4, D, **given)
    net.flat[:] *= 2
    return net


class Reference:
    """A network's outputs and gradients by the oracle's equations, with noise from a seed."""

    def __init__(self, net, seed):
        self.net, self.seed = net, seed
        self.p = {k: v.tolist() for k, v in net.parameters().items() if k not in ("h0", "c0")}

    def spec(self, b, T):
        return spec_of(self.net) | noise_of(self.net, self.seed, b, range(T))

    def first(self):
        form, trained = self.net._model.spec, self.net.parameters()
        rows = np.zeros((form.state_rows, form.hidden_size)).tolist()
        return [trained[n].tolist() if n in trained else rows for n in ("h0", "c0")[: form.states]]

    def output(self, b, x):
        """The output after the last row of x."""
        spec = self.spec(b, len(x))
        outputs, met = oracle.stack.forward(
            self.p, spec, x.tolist(), self.first(), [1] * len(x), REAL
        )
        where = oracle.stack.numbering([1] * len(x))
        return np.array(oracle.stack.read(self.p, spec, outputs, met, len(x), where)[1])

    def made(self, b, x, forcing, seed):
        """The inputs that a sequence's step gets."""
        x = x.copy()
        for t in range(1, len(x)):
            draws = coins(coins(seed, b), t)
            if unit_of(draws) < forcing:
                continue
            y = self.output(b, x[:t])
            if self.net.config["loss"] == "cross_entropy":
                p = np.exp(y - y.max())
                level = unit_of(next_random(coins(draws, 1))) * p.sum()
                y = np.eye(D)[int((np.cumsum(p) <= level).sum())]
            x[t] = y
        return x

    def gradient(self, b, x, y):
        targets = {t + 1: target for t, target in enumerate(y.tolist())}
        loss = self.net.config["loss"]
        value, grads = oracle.stack.loss_and_grad(
            self.p, self.spec(b, len(x)), x.tolist(), self.first(), [1] * len(x), loss, targets
        )
        for k, name in enumerate(("h0", "c0")):
            if name in self.net.parameters():
                grads[name] = grads["h0"][k] if name == "h0" else grads[name]
        return value, {name: np.array(grads[name]) for name in self.net.parameters()}


@pytest.mark.parametrize("forcing", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_an_update_is_that_of_the_inputs_that_were_made(build, kind, options, tokens, forcing):
    rng = np.random.default_rng(0)
    lengths = np.array([7, 1, 4, 7, 2])
    numbers = rng.integers(0, D, (5, 7))
    rows = np.eye(D)[numbers] if tokens else rng.standard_normal((5, 7, D))
    y = rng.integers(0, D, (5, 7)) if tokens else rng.standard_normal((5, 7, D))
    net = network(kind, options, tokens)
    drawing = any(net.config[name] for name in ("dropout", "recurrent_dropout", "zoneout"))
    of_noise, of_inputs = seeds_of(5, drawing)
    reference, total, sums = Reference(net, of_noise), 0.0, {}
    for b, n in enumerate(lengths):
        x = reference.made(b, rows[b, :n], forcing, of_inputs)
        if forcing < 0.9 and n > 4:
            assert not same(x, rows[b, :n])
        value, grads = reference.gradient(b, x, y[b, :n])
        total += value
        sums = {name: sums.get(name, 0) + values for name, values in grads.items()}
    count = lengths.sum() * (1 if tokens else D)
    for threads in (1, 3):
        net = network(kind, options, tokens)
        before = {name: values.copy() for name, values in net.parameters().items()}
        history = net.fit(
            numbers if tokens else rows, y, lengths=lengths, epochs=1, batch_size=5,
            optimizer="sgd", lr=0.5, shuffle=False, rng=5, teacher_forcing=forcing, threads=threads,
        )  # fmt: skip
        assert history.loss[0] == pytest.approx(total / count, rel=1e-12)
        for name, values in net.parameters().items():
            taken = (before[name] - values) / 0.5
            assert np.abs(taken - sums[name] / count).max() < 1e-13 * max(1, abs(taken).max()), name


def data(rng, B=40, T=12):
    x = np.cumsum(rng.standard_normal((B, T + 1, D)), axis=1) / 3
    return x[:, :-1], x[:, 1:]


def test_of_one_nothing_changes(build, dtype):
    x, y = data(np.random.default_rng(0))
    ends = []
    for more in ({}, {"teacher_forcing": 1}, {"teacher_forcing": lambda epoch: 1.0}):
        net = network("GRU", {"dtype": dtype})
        net.fit(x, y, epochs=3, rng=0, shuffle=False, **more)
        ends.append(net.flat.copy())
    assert same(ends[0], ends[1])
    assert same(ends[0], ends[2])


@pytest.mark.parametrize("hidden", [1, 4, 20])
def test_the_same_bits_for_any_threads_and_number_of_epochs_at_once(build, dtype, hidden):
    x, y = data(np.random.default_rng(0), B=150)
    ends = []
    for threads, callback in ((1, None), (3, None), (2, lambda epoch, loss: None)):
        net = rc.RNN(D, hidden, D, loss="mse", readout="all", dtype=dtype, seed=0)
        net.fit(
            x, y, epochs=4, rng=0, batch_size=64, threads=threads, callback=callback,
            teacher_forcing=lambda epoch: 1 / epoch,
        )  # fmt: skip
        ends.append(net.flat.copy())
    assert same(ends[0], ends[1])
    assert same(ends[0], ends[2])


def test_a_trainer_makes_the_updates_of_a_fit(build, dtype):
    x, y = data(np.random.default_rng(0))
    one, other = (network("GRU", {"dtype": dtype, "zoneout": 0.1}) for _ in range(2))
    one.fit(
        x, y, epochs=3, batch_size=40, shuffle=False, rng=2, lr=0.01,
        teacher_forcing=lambda epoch: 1 - 0.3 * epoch,
    )  # fmt: skip
    trainer = other.trainer(lr=0.01, rng=2, teacher_forcing=0.9)
    for epoch in range(1, 4):
        trainer.teacher_forcing = 1 - 0.3 * epoch
        trainer.step(x, y)
        trainer = pickle.loads(pickle.dumps(trainer))
        assert trainer.teacher_forcing == pytest.approx(1 - 0.3 * epoch)
    assert same(trainer.net.flat, one.flat)


def test_the_data_and_forward_passes_are_left_alone(build):
    x, y = data(np.random.default_rng(0))
    kept = x.copy()
    net = network("LSTM", {})
    net.fit(x, y, epochs=2, teacher_forcing=0.2, rng=0, validation=(x, y))
    assert same(x, kept)
    history = net.fit(
        x, y, epochs=1, teacher_forcing=0.0, rng=0, validation=(x, y), lr=1e-30, optimizer="sgd"
    )
    assert history.validation[0] == pytest.approx(net.loss(x, y))
    assert abs(history.loss[0] / history.validation[0] - 1) > 0.01


def test_a_checkpoint_goes_on(tmp_path):
    x, y = data(np.random.default_rng(0))
    options = {"rng": 0, "batch_size": 8, "teacher_forcing": 0.5}
    whole, parts = network("GRU", {}), network("GRU", {})
    whole.fit(x, y, epochs=6, **options)
    parts.fit(x, y, epochs=3, checkpoint=tmp_path / "fit", **options)
    other = options | {"teacher_forcing": 0.4}
    with pytest.raises(ValueError, match=r"teacher_forcing=0\.5"):
        parts.fit(x, y, epochs=6, checkpoint=tmp_path / "fit", **other)
    parts = network("GRU", {})
    parts.fit(x, y, epochs=6, checkpoint=tmp_path / "fit", **options)
    assert same(whole.flat, parts.flat)


def test_how_often_inputs_are_given():
    """A network whose output is its state, 0: every input that is fed back is 0."""
    net = rc.RNN(1, 1, 1, loss="mse", readout="all", bias=False, dtype="float64")
    net.flat[:] = 0
    net.parameters()["weight_ih_l0"] = [[1e-9]]
    net.parameters()["head.weight"] = [[1.0]]  # dL/dW_y = -2 h, h = 1e-9 x
    x = np.ones((200, 51, 1))
    net.fit(
        x, np.ones_like(x), epochs=1, batch_size=200, optimizer="sgd", lr=1.0, rng=0,
        freeze="weight", teacher_forcing=0.3,
    )  # fmt: skip
    share = (net.parameters()["head.weight"][0, 0] - 1) / 2e-9
    given = (share * 51 - 1) / 50
    assert abs(given - 0.3) < 5 * math.sqrt(0.21 / 10000) + 1e-6


def test_outputs_that_overflow_end_the_fit():
    net = rc.RNN(1, 1, 1, loss="mse", readout="all", nonlinearity="identity")
    net.parameters()["head.weight"] = [[3e38]]
    net.parameters()["weight_ih_l0"] = [[3e38]]
    before = net.flat.copy()
    with pytest.raises(FloatingPointError):
        net.fit(np.ones((3, 5, 1)), np.ones((3, 5, 1)), epochs=2, teacher_forcing=0.0, rng=0)
    assert same(net.flat, before)


BAD = [
    ({}, {"teacher_forcing": 1.5}, ValueError,
     "teacher_forcing: expected at least 0 and at most 1, got 1.5"),
    ({}, {"teacher_forcing": -0.1}, ValueError,
     "teacher_forcing: expected at least 0 and finite, got -0.1"),
    ({}, {"teacher_forcing": "half"}, TypeError,
     "teacher_forcing: expected a number, got 'half'"),
    ({}, {"teacher_forcing": lambda epoch: 2.0}, ValueError,
     "teacher_forcing(1): expected at least 0 and at most 1, got 2.0"),
    ({"readout": "last"}, {"teacher_forcing": 0.5}, ValueError,
     "teacher_forcing: expected 1 unless readout='all', got 0.5 with 'last': an output must be "
     "there before the next input"),
    ({"bidirectional": True}, {"teacher_forcing": 0.5}, ValueError,
     "teacher_forcing: expected 1 unless bidirectional=False, got 0.5 with True: an output must be "
     "there before the next input"),
    ({"output_size": 2}, {"teacher_forcing": 0.5}, ValueError,
     "teacher_forcing: expected 1 unless there are as many outputs as inputs, got 0.5 with 3 "
     "inputs and 2 outputs"),
    ({"loss": "poisson"}, {"teacher_forcing": 0.5}, ValueError,
     "teacher_forcing: expected 1 unless the loss is 'mse' or 'huber', whose outputs can be the "
     "next numbers, got 0.5 with 'poisson'"),
    ({}, {"teacher_forcing": 0.5, "mask": np.tile([True, False, True], (2, 1))}, ValueError,
     "mask: expected no gaps with teacher_forcing=0.5: the output before an input is that of the "
     "step before"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "given", "error", "text"), BAD)
def test_what_is_refused(options, given, error, text):
    sizes = {"input_size": D, "hidden_size": 4, "output_size": D}
    net = rc.GRU(**sizes | {"loss": "mse", "readout": "all"} | options)
    before = net.flat.copy()
    x = np.zeros((2, 3, D))
    y = np.zeros((2, net.output_size) if options.get("readout") else (2, 3, net.output_size))
    with pytest.raises(error) as caught:
        net.fit(x, y, epochs=1, rng=0, **given)
    assert str(caught.value) == text
    assert same(net.flat, before)
    if "mask" not in given and not callable(given["teacher_forcing"]):
        with pytest.raises(error) as caught:
            net.trainer(**given).step(x, y)
        assert str(caught.value) == text
