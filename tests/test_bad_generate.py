"""What cannot be generated is refused, and the network stays as it was."""

import numpy as np
import pytest
from refusals import NO_ARRAY, unchanged

import rnncore as rc

START = [1, 2]
NUMBERS = np.zeros((4, 3))


def tokens(**options):
    options = {"readout": "all", "loss": "cross_entropy"} | options
    return rc.GRU(3, 5, 3, seed=0, **options)


def numbers(K=3, **options):
    return rc.GRU(3, 5, K, seed=0, **{"readout": "all", "loss": "mse"} | options)


CASES = [
    (tokens, START, {"steps": 0}, ValueError, "steps: expected at least 1, got 0"),
    (tokens, START, {"steps": 2.0}, TypeError, "steps: expected an integer"),
    (tokens, START, {"temperature": 0}, ValueError, "temperature: expected more than 0"),
    (tokens, START, {"temperature": np.inf}, ValueError, "temperature: expected more than 0"),
    (tokens, START, {"temperature": "a"}, TypeError, "temperature: expected a number"),
    (tokens, START, {"sample": "beam"}, ValueError, "sample: expected one of 'softmax', 'argmax'"),
    (tokens, START, {"sample": 3}, TypeError, "sample: expected one of 'softmax', 'argmax'"),
    (tokens, START, {"feedback": 3}, TypeError, "feedback: expected a function, got 3"),
    (tokens, START, {"rng": -1}, ValueError, "rng: expected at least 0"),
    (tokens, START, {"rng": "a"}, TypeError, "rng: expected real numbers"),
    (tokens, START, {"rng": [1, 2]}, ValueError, "rng: expected a seed, a numpy.random.Generator"),
    (tokens, START, {"rng": [0.5]}, ValueError, "rng: expected a seed, a numpy.random.Generator"),
    (tokens, START, {"rng": [-1]}, ValueError, "rng: expected seeds from 0 up, got -1 at [0]"),
    (tokens, [], {}, ValueError, "start: expected at least 1 sequence"),
    (tokens, np.zeros(0, int), {}, ValueError, "start: expected at least 1 time step"),
    (tokens, np.zeros((0, 2), int), {}, ValueError, "start: expected at least 1 sequence"),
    (tokens, [1, 3], {}, ValueError, "start: expected tokens from 0 to 2, got 3 at [0, 1]"),
    (tokens, [[1], [0.5]], {}, ValueError, "start[1]: expected (time, 3), or in every sequence"),
    (tokens, [[1], []], {}, ValueError, "start[1]: expected at least 1 time step"),
    (tokens, None, {}, TypeError, "start: expected real numbers"),
    (tokens, NO_ARRAY, {}, TypeError, "start: expected an array"),
    (tokens, START, {"h0": np.zeros(4)}, ValueError, "h0: expected (1, 5) or (5,), got (4,)"),
    (tokens, [START], {"h0": np.zeros(5)}, ValueError, "h0: expected (1, 1, 5) or (1, 5), got (5"),
    (tokens, START, {"h0": np.full(5, np.nan)}, ValueError, "h0: expected finite numbers, got nan"),
    (numbers, NUMBERS[:, :2], {}, ValueError, "start: expected (time, 3) or (batch, time, 3)"),
    (numbers, NUMBERS[0], {}, ValueError, "start: expected (time, 3) or (batch, time, 3)"),
    (numbers, NUMBERS[None, None], {}, ValueError, "start: expected (time, 3) or (batch, time, 3)"),
    (numbers, NUMBERS[None, :, :2], {}, ValueError, "start: expected (batch, time, 3), got (1, 4"),
    (numbers, NUMBERS + np.inf, {}, ValueError, "start: expected finite numbers, got inf at [0, 0"),
    (numbers, NUMBERS, {"sample": "argmax"}, ValueError, "sample: expected None for loss 'mse'"),
    (
        lambda: rc.GRU(1, 5, 1, loss="mse"), np.zeros(4), {}, ValueError,
        "integer tokens, got (4,) of float64; write start[:, None] for one number per step",
    ),
    (
        lambda: numbers(2), NUMBERS, {}, ValueError,
        "feedback: expected a function, since the network has 2 outputs and 3 inputs, got None",
    ),
    (
        lambda: numbers(loss="bce"), NUMBERS, {}, ValueError,
        "feedback: expected a function for loss 'bce', whose outputs are no predictions, got None",
    ),
    (
        lambda: numbers(bidirectional=True), NUMBERS, {}, ValueError,
        "generate: expected a network with bidirectional=False",
    ),
    (
        lambda: numbers(readout="before"), NUMBERS, {}, ValueError,
        "generate: expected a network with readout 'last' or 'all', got 'before'",
    ),
    (
        numbers, NUMBERS, {"feedback": lambda y, t: y[:2]}, ValueError,
        "feedback(y, t): expected (3,), or () integer tokens, got (2,) of float32",
    ),
    (
        numbers, NUMBERS[None], {"feedback": lambda y, t: y[0]}, ValueError,
        "feedback(y, t): expected (1, 3), or (1,) integer tokens, got (3,) of float32",
    ),
    (
        numbers, NUMBERS, {"feedback": lambda y, t: y * np.nan}, ValueError,
        "feedback(y, t): expected finite numbers, got nan at [0]",
    ),
    (
        numbers, NUMBERS, {"feedback": lambda y, t: 3}, ValueError,
        "feedback(y, t): expected tokens from 0 to 2, got 3 at []",
    ),
    (numbers, NUMBERS, {"feedback": lambda y, t: None}, TypeError, "feedback(y, t): expected real"),
    (
        tokens, START, {"sample": lambda y, t: 0.0}, ValueError,
        "sample(y, t): expected integers (), got () of float64",
    ),
    (
        tokens, [START], {"sample": lambda y, t: 0}, ValueError,
        "sample(y, t): expected integers (1,), got () of int64",
    ),
    (
        tokens, START, {"sample": lambda y, t: -1}, ValueError,
        "sample(y, t): expected tokens from 0 to 2, got -1 at []",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "start", "options", "error", "text"), CASES)
def test_what_is_refused(make, start, options, error, text):
    net, options = make(), {"steps": 5} | options
    unchanged(net, lambda: net.generate(start, **options), error, text)


@pytest.mark.parametrize("function", [None, lambda y, t: y])
def test_numbers_that_grow_without_end(build, function):
    net = rc.RNN(1, 1, 1, nonlinearity="identity", bias=False, readout="all", seed=0)
    net.flat[:] = [1e8, 0, 1]
    text = "steps: expected at most 4, got outputs or states that are not finite after them"
    for steps in (5, 6, 50):
        call = lambda steps=steps: net.generate(np.ones((1, 1)), steps, feedback=function)  # noqa: E731
        unchanged(net, call, ValueError, text)
    assert net.generate(np.ones((1, 1)), 4, feedback=function).values.shape == (4, 1)


@pytest.mark.parametrize("function", [None, lambda y, t: y])
def test_logits_that_are_not_finite(build, function):
    net = rc.RNN(3, 5, 3, readout="all", loss="cross_entropy", seed=0)
    net.parameters()["head.weight"][:] = 3e38
    net.parameters()["bias_ih_l0"][:] = 9
    for sample in ("softmax", "argmax"):
        with pytest.raises(ValueError, match="steps: expected at most 0, got outputs or states"):
            net.generate(START, 5, sample=sample, feedback=function)
