"""Gradients of whatever is made of a network's outputs and states.

The functions with a ``self`` are methods of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._calls.gradients import dropout_seed, window
from rnncore._calls.running import Output
from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._model.model import HasModel, Model
from rnncore._types import Array, State

if TYPE_CHECKING:
    from rnncore._core_base_f32 import Tape

#: Gradients by name, with respect to x in its form, and with respect to the initial state.
Gradients = tuple[dict[str, Array], Array | list[Array] | None, State]


def vjp(
    self: HasModel,
    x: npt.ArrayLike,
    dy: npt.ArrayLike | None = None,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    threads: int | None = None,
    rng: int | np.random.Generator | None = None,
    truncate: int | None = None,
    dhidden: npt.ArrayLike | None = None,
    dfinal: Any = None,
) -> Gradients:
    """Backpropagate gradients of your own.

    With ``dy = dL/dy`` of any loss L of the outputs, these are the gradients of L; where L depends
    on states too, with ``dhidden = dL/dhidden`` and ``dfinal = dL/dfinal``. In other words: the
    gradient of ``sum(dy * out.y) + sum(dhidden * out.hidden) + sum(dfinal * out.final)``, where
    ``out = net(x)``. `linearize` gives the same in two steps.

    Parameters
    ----------
    x, h0, lengths, mask, threads
        See the notes of `rnncore.RNN`.
    dy : array_like, optional
        Shaped as ``net(x).y``; a last axis of length 1 may be left out.
    rng, truncate
        As for `loss_and_grad`.
    dhidden : array_like, optional
        Shaped as ``net(x).hidden``. What is given for steps after a sequence's last one that counts
        is ignored.
    dfinal : array_like, optional
        Shaped as ``net(x).final``. Of an LSTM a pair, of which one may be None.

    Returns
    -------
    grads : dict of str to ndarray
        As from `loss_and_grad`.
    dx : ndarray, list of ndarray, or None
        With respect to x, in its form; None for tokens.
    dh0 : ndarray, or pair of ndarray
        With respect to the initial state: shaped as h0; as ``Output.final`` where none was
        given.

    Raises
    ------
    TypeError, ValueError
        If the input has the wrong shape or type, or is not finite, or no gradient is given.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net, x = rc.RNN(2, 3, 1, seed=0), np.ones((4, 5, 2))
    >>> grads, dx, dh0 = net.vjp(x, np.ones((4, 1)))
    >>> dx.shape, dh0.shape
    ((4, 5, 2), (4, 1, 3))
    """
    model = self._model
    if dhidden is None and dfinal is None and dy is not None:
        plain: Gradients | None = model.spec.core.plain_vjp(
            model.engine, x, dy, h0, lengths, mask, threads, rng, truncate
        )
        if plain is not None:
            return plain
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    up = Upstream(inputs, dy, dhidden, dfinal)
    down = Downstream(inputs, partly=truncate is not None)
    grads, faults = model.spec.core.vjp(
        model.engine, inputs.batch, *up.parts, *down.parts, threads=check.threads(threads),
        dropout_seed=dropout_seed(rng), truncate=window(truncate),
    )  # fmt: skip
    if faults:
        inputs.explain()
        up.explain()
    return grads, down.dx, down.dh0


class Form(NamedTuple):
    """Of x, an array that needed no conversion, what a pull asks for that needs some."""

    shape: tuple[int, ...]
    lengths: Array | None


class Pull:
    """The backward passes of a call to `linearize`: it may be called any number of times.

    It holds the tape of the forward pass, (T, B) times some 2 to 9 numbers for every unit, until
    it is deleted. A second thread that calls it meanwhile gets a RuntimeError.
    """

    def __init__(
        self, model: Model, inputs: Inputs | Form, tape: Tape, threads: int | None
    ) -> None:
        self._model, self._given, self._tape, self._threads = model, inputs, tape, threads

    @property
    def _inputs(self) -> Inputs:
        if isinstance(self._given, Form):
            shape, lengths = self._given
            self._given = Inputs(
                self._model.spec, np.zeros(shape, self._model.spec.dtype), None, lengths
            )
        return self._given

    def __call__(
        self,
        dy: npt.ArrayLike | None = None,
        dhidden: npt.ArrayLike | None = None,
        dfinal: Any = None,
        *,
        dx: bool = True,
        params: bool = True,
    ) -> tuple[dict[str, Array] | None, Array | list[Array] | None, State]:
        """The gradients of ``sum(dy * out.y) + sum(dhidden * out.hidden) + sum(dfinal * final)``.

        Parameters
        ----------
        dy, dhidden, dfinal : array_like, optional
            As for `vjp`; at least one of them.
        dx, params : bool
            Whether gradients with respect to x and to the parameters are wanted. Without, it takes
            less time.

        Returns
        -------
        grads, dx, dh0
            As from `vjp`; None for what is not wanted.

        Raises
        ------
        TypeError, ValueError
            If what is given has the wrong shape or type, is not finite, or is nothing.
        RuntimeError
            If the parameters are no longer those of the forward pass, or another thread is in a
            call.
        """
        if isinstance(self._given, Form):
            plain: Gradients | None = self._model.spec.core.plain_pull(
                self._tape, dy, dhidden, dfinal, self._threads, dx, params
            )
            if plain is not None:
                return plain
        up = Upstream(self._inputs, dy, dhidden, dfinal)
        down = Downstream(self._inputs, wanted=check.flag("dx", dx))
        grads, faults = self._tape.pull(
            *up.parts, *down.parts, threads=self._threads, params=check.flag("params", params)
        )
        if faults:
            up.explain()
        return grads, down.dx, down.dh0

    def __repr__(self) -> str:
        given = self._given
        count = given.shape[0] if isinstance(given, Form) else given.count
        return f"<the backward pass of {count} sequences>"


def linearize(
    self: HasModel,
    x: npt.ArrayLike,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    threads: int | None = None,
    hidden: bool = True,
) -> tuple[Output, Pull]:
    """Run the network, and keep what backward passes need: one forward pass for any number of them.

    Parameters
    ----------
    x, h0, lengths, mask, threads
        See the notes of `rnncore.RNN`.
    rng
        As for `loss_and_grad`: with it, dropout and zoneout act, in the outputs too.
    hidden : bool
        Whether ``out.hidden`` is wanted. Without, it is None, and the call takes less time.

    Returns
    -------
    out : Output
        As from calling the network.
    pull : callable
        ``grads, dx, dh0 = pull(dy=None, dhidden=None, dfinal=None, *, dx=True, params=True)``, of
        which the gradients are those of `vjp`, in the same bits. (Only one to four long sequences
        of one unit, whose time `vjp` cuts into chunks, differ from it by rounding.) The arrays that
        were passed here may be changed meanwhile; a changed network raises RuntimeError.

    Raises
    ------
    TypeError, ValueError
        If the input has the wrong shape or type, or is not finite.
    MemoryError
        If there is no memory for the tape.

    Examples
    --------
    A loss of one's own, which needs the outputs first:

    >>> import numpy as np, rnncore as rc
    >>> net, x, y = rc.GRU(2, 3, 1, seed=0), np.ones((4, 5, 2)), np.ones((4, 1))
    >>> out, pull = net.linearize(x)
    >>> error = out.y - y
    >>> grads, dx, dh0 = pull(2 * error / error.size)       # of the mean squared error
    >>> dx.shape, dh0.shape
    ((4, 5, 2), (4, 1, 3))

    The sensitivity of the final state alone to the inputs:

    >>> _, dx, _ = pull(dfinal=np.ones((4, 1, 3)), params=False)
    """
    model = self._model
    plain = model.spec.core.plain_linearize(
        model.engine, x, h0, lengths, mask, rng, threads, hidden
    )
    if plain is not None:
        out, tape = plain
        form: Any = Form(np.shape(x), None if lengths is None else np.array(lengths))
        return Output(*out), Pull(model, form, tape, threads)
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    threads, hidden = check.threads(threads), check.flag("hidden", hidden)
    return linearized(model, inputs, dropout_seed(rng), threads, hidden)


def linearized(
    model: Model, inputs: Inputs, dropout: int | None = None, threads: int | None = None,
    hidden: bool = True,
) -> tuple[Output, Pull]:  # fmt: skip
    """`linearize`, with arguments that are checked."""
    states = inputs.new_rows(model.spec.width) if hidden else None
    y, final = inputs.new_outputs(), inputs.new_final()
    tape = model.spec.core.Tape(
        model.engine, inputs.batch, y.reshape(-1, model.spec.outputs),
        None if states is None else states.reshape(-1, model.spec.width), *inputs.parts(final),
        threads=threads, dropout_seed=dropout,
    )  # fmt: skip
    if tape.faults:
        inputs.explain()
    y = inputs.padded(y) if model.spec.every_step else y
    every: Any = None if states is None else inputs.states(states)
    out = Output(y, every, inputs.state_of(final))
    return out, Pull(model, inputs, tape, threads)


class Upstream:
    """The gradients that a caller gives, checked, and as the core takes them."""

    def __init__(self, inputs: Inputs, dy: Any, dhidden: Any, dfinal: Any) -> None:
        if dy is None and dhidden is None and dfinal is None:
            raise ValueError("dy: expected a gradient, or dhidden or dfinal in its place, got none")
        spec = inputs.spec
        self.inputs = inputs
        self.dy = None if dy is None else outputs.reals(inputs, "dy", dy, spec.outputs)
        self.dhidden = None if dhidden is None else outputs.of_states(inputs, "dhidden", dhidden)
        self.dfinal = None if dfinal is None else inputs.gradient_of_final(dfinal)

    @property
    def parts(self) -> tuple[Array | None, ...]:
        spec = self.inputs.spec
        return (
            None if self.dy is None else self.dy.reshape(-1, spec.outputs),
            None if self.dhidden is None else self.dhidden.reshape(-1, spec.width),
            *self.inputs.parts(self.dfinal),
        )

    def explain(self) -> None:
        """Raise the error for a number that is not finite."""
        inputs = self.inputs
        if self.dy is not None:
            outputs.check_finite(inputs, "dy", self.dy)
        if self.dhidden is not None:
            late = inputs.past_end
            values = inputs.padded(self.dhidden).reshape(*late.shape, -1)
            check.all_finite("dhidden", values, ~late[:, :, None])
        if self.dfinal is not None:
            check.all_finite("dfinal", self.dfinal)


class Downstream:
    """The gradients that come out: arrays for the core to write to, and as callers get them."""

    def __init__(self, inputs: Inputs, partly: bool = False, wanted: bool = True) -> None:
        self._inputs, self._dx = inputs, None
        if inputs.x is not None and wanted:
            self._dx = inputs.new_rows(inputs.spec.input_size, partly=partly)
        self._dh0 = inputs.new_state_gradient()

    @property
    def parts(self) -> tuple[Array | None, ...]:
        dx, width = self._dx, self._inputs.spec.input_size
        return (None if dx is None else dx.reshape(-1, width), *self._inputs.parts(self._dh0))

    @property
    def dx(self) -> Array | list[Array] | None:
        return None if self._dx is None else self._inputs.like_x(self._dx)

    @property
    def dh0(self) -> State:
        return self._inputs.state_gradient(self._dh0)
