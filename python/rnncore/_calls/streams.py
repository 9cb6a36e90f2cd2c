"""Many streams in one object, which keeps their states.

The functions with a ``self`` are methods of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._calls.streaming import (
    arrays_of,
    check_direction,
    check_place,
    converted_state,
    step_converted,
)  # fmt: skip
from rnncore._checks import arguments as check
from rnncore._data.states import shape_of_state
from rnncore._model.model import HasModel
from rnncore._model.spec import Spec
from rnncore._types import Array, State


def streams(self: HasModel, n: int) -> Streams:
    """Streams that are stepped together, in an object that keeps their states.

    Parameters
    ----------
    n : int
        How many.

    Returns
    -------
    Streams

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer of at least 1; if the network is bidirectional.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> streams = rc.GRU(3, 16, 2, seed=0).streams(64)
    >>> for x in np.zeros((10, 64, 3), np.float32):
    ...     y = streams.step(x)
    >>> y.shape
    (64, 2)
    >>> streams.reset([0, 5])  # two of them begin again
    """
    return Streams(self, n)


class Streams:
    """Streams that are stepped together; see the method `streams` of a network.

    Each has the bits it would have alone. They read the network's parameters at every step, so
    that they follow its training. A pickle contains the network.

    Parameters
    ----------
    net : RNN, LSTM, GRU or MGU
    n : int
        How many.

    Attributes
    ----------
    net
        As passed.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net, x = rc.RNN(3, 5, 1, readout="all", seed=0), np.ones((4, 10, 3), np.float32)
    >>> streams = net.streams(4)
    >>> y = [streams.step(x[:, t]) for t in range(10)]
    >>> bool((np.stack(y, axis=1) == net(x).y).all())
    True
    """

    def __init__(self, net: HasModel, n: int) -> None:
        check_direction(net._model, "streams")
        self.net = net
        n = check.whole("n", n, 1)
        spec = net._model.spec
        shape = shape_of_state(spec, (n,))
        parts = [np.empty(shape, spec.dtype) for _ in range(spec.states)]
        self._n = n
        self._state: State = parts[0] if spec.states == 1 else (parts[0], parts[1])
        self.reset()

    def __len__(self) -> int:
        return self._n

    def step(self, x_t: npt.ArrayLike, out: Array | None = None) -> Array:
        """One step of every stream.

        Parameters
        ----------
        x_t : array_like
            (n, D) numbers, or (n,) integer tokens; with one input, integers (n,) are numbers.
        out : ndarray, optional
            (n, K), of the network's precision: where to write the outputs.

        Returns
        -------
        ndarray
            (n, K), the logits after this step; with ``readout="before"`` those before it.

        Raises
        ------
        TypeError, ValueError
            If the input has the wrong shape or type, is not finite, or has tokens out of range.
            The states and `out` are then unchanged.
        """
        model = self.net._model
        spec = model.spec
        if type(x_t) is not np.ndarray or x_t.shape != (self._n, spec.input_size):
            x_t = self._rows(spec, x_t)
        shape = (self._n, spec.outputs)
        y = np.empty(shape, spec.dtype) if out is None else out
        into = (y, self._state)
        if model.stream.step(x_t, self._state, into) is None:
            check_place(spec, "out", y, shape)
            step_converted(model, x_t, self._state, into)
        return y

    def _rows(self, spec: Spec, given: Any) -> Array:
        """The input of a step as `step` of a network takes it: tokens as a column."""
        x, D = check.array("x_t", given), spec.input_size
        if x.dtype.kind in "iu" and x.shape == (self._n,):
            return x[:, None]
        if x.shape != (self._n, D):
            raise ValueError(
                f"x_t: expected {check.shapes((self._n, D))}, or {check.shapes((self._n,))} "
                f"integer tokens, got {x.shape} of {x.dtype}"
            )
        return x

    def reset(self, which: Any = None) -> None:
        """Let streams begin again: with zeros, or the network's first state as it is now.

        Parameters
        ----------
        which : int, array_like of int or bool, optional
            The numbers of the streams, or (n,) which of them. Without it, all.

        Raises
        ------
        TypeError, ValueError
            If there is no such stream.
        """
        spec, parameters = self.net._model.spec, self.net._model.parameters
        rows: Any = slice(None) if which is None else self._chosen(which)
        for name, part in zip(("h0", "c0"), arrays_of(self._state), strict=False):
            part[rows] = 0
            if name in parameters:
                latest = part.reshape(self._n, spec.passes, -1, spec.hidden_size)[:, :, 0]
                latest[rows] = parameters[name]

    def _chosen(self, which: Any) -> Array:
        chosen = check.array("which", which)
        if chosen.dtype.kind == "b":
            check.same_shape("which", chosen, (self._n,))
            return chosen
        if chosen.size == 0:
            return np.zeros(0, int)
        if chosen.dtype.kind == "f":
            raise TypeError(f"which: expected integers or booleans, got dtype {chosen.dtype}")
        check.within("which", "streams", chosen, 0, self._n - 1)
        return chosen

    @property
    def state(self) -> State:
        """A copy of the states, (n, R, H), of an LSTM a pair of such arrays. What is assigned is
        copied too, and may have any form that ``state=`` of `step` has."""
        parts = tuple(part.copy() for part in arrays_of(self._state))
        return parts[0] if len(parts) == 1 else (parts[0], parts[1])

    @state.setter
    def state(self, value: Any) -> None:
        if value is None:
            raise TypeError("state: expected an array, got None; reset() lets streams begin again")
        given = converted_state(self.net._model.spec, "state", value, (self._n,))
        for part in arrays_of(given):
            check.all_finite("state", part)
        for part, values in zip(arrays_of(self._state), arrays_of(given), strict=True):
            part[...] = values

    def __repr__(self) -> str:
        return f"Streams({self._n} of {self.net!r})"
