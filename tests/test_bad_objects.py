"""Objects that raise errors of their own, print at any length or only look like numbers get the
library's own error, which names the argument."""

import re

import numpy as np
import pytest
from refusals import NO_ARRAY, BrokenList, BrokenMapping, X, broken, unchanged

import rnncore as rc

NO_NUMBER = broken("__index__", "__float__", "__repr__")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda net: net(NO_ARRAY), "x: expected an array, got a Broken with an error of its own"),
        (lambda net: net([NO_ARRAY]), "x[0]: expected an array, got a Broken"),
        (lambda net: net(BrokenList([X[0]])), "x: expected a list, got a BrokenList with an error"),
        (lambda net: net(X, h0=NO_ARRAY), "h0: expected an array, got a Broken"),
        (lambda net: net(X, mask=NO_ARRAY), "mask: expected an array, got a Broken"),
        (lambda net: net(X, threads=NO_NUMBER), "threads: expected an integer, got a Broken that"),
        (lambda net: net.loss(X, NO_ARRAY), "y: expected an array, got a Broken"),
        (lambda net: net.step(NO_ARRAY), "x_t: expected an array, got a Broken"),
        (lambda net: net.fit(X, np.zeros(4), epochs=NO_NUMBER), "epochs: expected an integer"),
        (lambda net: net.fit(X, np.zeros(4), epochs=1, lr=NO_NUMBER), "lr: expected a number, got"),
        (lambda net: net.fit(X, np.zeros(4), epochs=1, betas=NO_ARRAY), "betas: expected"),
        (lambda net: net.fit(X, np.zeros(4), epochs=1, l1=BrokenMapping(weight=1)),
         "l1: expected a mapping, got a BrokenMapping with an error of its own"),
        (lambda net: net.fit(X, np.zeros(4), epochs=1, validation=BrokenMapping(x=X, y=0)),
         "validation: expected a mapping, got a BrokenMapping"),
        (lambda net: net.load_state_dict(BrokenMapping(net.state_dict())),
         "state_dict: expected a mapping, got a BrokenMapping"),
        (lambda net: net.load_state_dict(net.state_dict() | {"head.bias": NO_ARRAY}),
         "state_dict['head.bias']: expected an array, got a Broken"),
        (lambda net: net.save(broken("__fspath__")), "path: expected a file's path, got <"),
        (lambda net: rc.RNN(NO_NUMBER, 2), "input_size: expected an integer, got a Broken that"),
        (lambda net: rc.RNN(3, 2, bias=NO_NUMBER), "bias: expected True or False, got a Broken"),
        (lambda net: rc.RNN(3, 2, readout=NO_NUMBER), "readout: expected one of 'last', 'all', 'before', got"),
        (lambda net: rc.RNN(3, 2, seed=NO_NUMBER), "seed: expected None, an integer or a numpy"),
        (lambda net: rc.RNN(3, 2, init=BrokenMapping(h0=1)), "init: expected a mapping, got a Bro"),
    ],
)  # fmt: skip
def test_objects_that_break_when_they_are_looked_at(call, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(net, lambda: call(net), TypeError, text)


LONG = 10**5000  # Python does not print so many digits


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda net: rc.RNN(LONG, 2),
            "input_size: expected at most 2147483647, got a int that can",
        ),
        (lambda net: rc.schedules.Step(-LONG, 1), "lr: expected more than 0 and finite, got a int"),
        (lambda net: rc.schedules.Cosine(LONG), "lr: expected more than 0 and finite, got a int"),
        (lambda net: net.fit(X, np.zeros(4), epochs=LONG), "epochs: expected at most 2147483647"),
        (lambda net: rc.RNN(3, 2, loss="m" * 10**6), "loss: expected one of None, 'bce', 'mse',"),
    ],
)
def test_what_came_is_not_shown_at_any_length(call, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        call(net)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "lr",
    [np.complex64(1), 1j, np.timedelta64(1, "s"), bytearray(b"1"), np.str_("1"), np.array("1"),
     np.array([0.1])],
)  # fmt: skip
def test_what_float_would_take_and_is_no_number(lr):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(
        net, lambda: net.fit(X, np.zeros(4), epochs=1, lr=lr), TypeError, "lr: expected a number"
    )
