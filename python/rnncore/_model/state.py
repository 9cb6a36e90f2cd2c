"""The methods of a network that read and replace its parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._model.model import HasModel
from rnncore._model.parameters import Parameters, Shapes, checked_array, views
from rnncore._types import Array


class Loaded(NamedTuple):
    """How the names of a state dict and of a network differ.

    Attributes
    ----------
    missing_keys : list of str
        Names of the network that the state dict does not have.
    unexpected_keys : list of str
        Names of the state dict (of those with the prefix) that the network does not have.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


def parameters(self: HasModel) -> dict[str, Array]:
    """Parameters by PyTorch's names: views into `flat`, so writing to them changes the network.

    Both ``p[name][:] = values`` and ``p[name] = values`` do; the latter checks name, shape and
    that the values are finite, with the errors of `load_state_dict`. Names can neither be
    added nor removed.

    Returns
    -------
    dict of str to ndarray
        ``weight_ih_l0`` (H, D), ``weight_hh_l0`` (H, H), ``weight_skip_l0`` (H, H),
        ``bias_ih_l0`` and ``bias_hh_l0`` (H,), with ``switching=True`` ``weight_hh_l0`` (D, H, H)
        and ``bias_hh_l0`` (D, H), and so on for ``_l1`` and, with the suffix
        ``_reverse``, for the reverse direction; ``head.weight`` (K, H or 2 H), ``head.bias``
        (K,); ``h0`` and ``c0`` (layers times directions, H): those the network has. In a cell
        with G gates the first axis is G H instead of H.

    Examples
    --------
    >>> import rnncore as rc
    >>> net = rc.RNN(1, 1, 1, bias=False)
    >>> net.parameters()["weight_hh_l0"][:] = 1.0
    >>> net.parameters()["weight_ih_l0"] = [[2.0]]
    >>> net.flat[:2].tolist()
    [2.0, 1.0]
    """
    model = self._model
    model.engine.note_exposure()
    return Parameters(model.parameters)


def state_dict(self: HasModel) -> dict[str, Array]:
    """Copies of the parameters by name, in the form `load_state_dict` takes.

    Examples
    --------
    >>> import rnncore as rc
    >>> sorted(rc.RNN(2, 3, bias=False).state_dict())
    ['weight_hh_l0', 'weight_ih_l0']
    """
    return {name: values.copy() for name, values in self._model.parameters.items()}


def load_state_dict(
    self: HasModel,
    state_dict: Mapping[str, npt.ArrayLike],
    strict: bool = True,
    prefix: str = "",
) -> Loaded:
    """Take parameters from a mapping of names to arrays, such as a state dict of PyTorch.

    Parameters
    ----------
    state_dict : mapping of str to array_like
        Arrays, or tensors of PyTorch: also those that require a gradient, are on another
        device, or are bfloat16.
    strict : bool
        Whether there must be an entry for every parameter and no other. If False, parameters
        without an entry keep their values, and entries without a parameter are ignored.
    prefix : str
        What the names begin with, such as ``"rnn."`` where the state dict is that of a module
        with an LSTM called ``rnn``. Entries whose names begin otherwise are ignored.

    Returns
    -------
    Loaded
        A named tuple ``(missing_keys, unexpected_keys)`` of lists of names, as from PyTorch;
        both empty with `strict`.

    Raises
    ------
    TypeError, ValueError
        If an entry has the wrong shape or is not finite, or with `strict` is missing or not
        expected. The network is then unchanged.
    RuntimeError
        While another thread uses the network; it is then unchanged.

    Examples
    --------
    >>> import rnncore as rc
    >>> net, other = rc.RNN(2, 3, seed=0), rc.RNN(2, 3, seed=1)
    >>> net.load_state_dict(other.state_dict())
    Loaded(missing_keys=[], unexpected_keys=[])
    >>> bool((net.flat == other.flat).all())
    True
    >>> module = {f"rnn.{name}": values for name, values in other.state_dict().items()}
    >>> module["out.bias"] = [0.5]
    >>> net.load_state_dict(module, prefix="rnn.")
    Loaded(missing_keys=[], unexpected_keys=[])
    """
    model, strict = self._model, check.flag("strict", strict)
    if not isinstance(prefix, str):
        raise TypeError(f"prefix: expected a str, got {check.kind(prefix)}")
    shapes = model.shapes
    values, loaded = checked_state(state_dict, shapes, model.spec.dtype, strict, prefix)
    flat, given = np.zeros_like(model.flat), np.zeros(model.flat.shape, np.uint8)
    new, where = views(flat, shapes), views(given, shapes)
    for name, array in values.items():
        new[name][...], where[name][...] = array, 1
    model.engine.assign("load_state_dict", flat, given)
    return loaded


def checked_state(
    given: Any, shapes: Shapes, dtype: np.dtype[Any], strict: bool, prefix: str
) -> tuple[dict[str, Array], Loaded]:
    """The arrays of a state dict by the network's names, in its precision; of entries whose names
    begin with the prefix. Errors name the entry."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"state_dict: expected a mapping of names to arrays, got {check.kind(given)}"
        )
    given = check.entries("state_dict", given)
    named = {prefix + name: name for name in shapes}
    missing = [key for key in named if key not in given]
    extra = [
        key
        for key in given
        if key not in named and (not prefix or (isinstance(key, str) and key.startswith(prefix)))
    ]
    if strict and (missing or extra):
        parts = []
        if missing:
            parts.append(f"missing {', '.join(missing)}")
        if extra:
            parts.append(f"not expected {check.names(extra)}")
        raise ValueError(f"state_dict: expected {', '.join(named)}; {'; '.join(parts)}")
    values = {
        name: checked_array(f"state_dict[{key!r}]", given[key], shapes[name], dtype)
        for key, name in named.items()
        if key in given
    }
    return values, Loaded(missing, extra)
