"""Wrong things to call a network with, and the check that it refuses them and stays as it was."""

import re

import numpy as np
import pytest

#: Input of four sequences, five steps, three features.
X = np.zeros((4, 5, 3))
F32 = np.float32


def put(values, at, value):
    result = np.array(values)
    result[at] = value
    return result


def unchanged(net, call, error, text):
    before = net.flat.copy()
    with pytest.raises(error, match=re.escape(text)):
        call()
    assert (net.flat == before).all()


class Trouble(Exception):
    """Of a broken object."""


def broken(*names, **others):
    def trouble(*args, **options):
        raise Trouble

    return type("Broken", (), dict.fromkeys(names, trouble) | others)()


class BrokenMapping(dict):
    def __getitem__(self, name):
        raise Trouble


class BrokenList(list):
    def __len__(self):
        raise Trouble


NO_ARRAY = broken("__array__", "__len__", "__getitem__")
