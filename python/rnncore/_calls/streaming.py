"""A network as a stream: one step, or one chunk of steps, at a time.

The compiled core takes what needs no conversion and returns None for anything else; only
then is it looked at here, converted, and explained where it is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data.inputs import as_index
from rnncore._model.model import Model
from rnncore._types import Array, State


class Streaming(Model):
    """What every network does step by step."""

    def step(
        self,
        x_t: npt.ArrayLike,
        state: Any = None,
        out: tuple[Array, State] | None = None,
    ) -> tuple[Array, State]:
        """One step of streaming inference.

        Parameters
        ----------
        x_t : array_like
            The input of one time step. Of one stream D numbers, (D,), or an integer token; of B
            streams (B, D) numbers, or tokens as integers (B,) or (B, 1). D integers, (D,), could be
            either and are refused (unless D = 1): pass floats for the numbers of one stream,
            (D, 1) for tokens of D streams.
        state : ndarray or pair of ndarray, optional
            What the previous call returned (or ``Output.final``): (1, H) for one stream,
            (B, 1, H) for B, with more rows for a stack; or what ``h0=`` takes besides, (H,) or
            (B, H). Of an LSTM a pair (h, c) of such arrays. As a sequence begins where not given.
        out : tuple (y, state) of ndarray, optional
            Where to write ``y_t`` and the new state instead of into new arrays. The second may
            be ``state`` itself: then nothing is allocated.

        Returns
        -------
        y_t : ndarray
            (K,) or (B, K), the logits after this step.
        state : ndarray or pair of ndarray
            For the next call: (1, H) or (B, 1, H), with more rows for a stack.

        Raises
        ------
        TypeError, ValueError
            For input of the wrong shape or type, not finite, or tokens out of range; for a
            network of two directions. What was passed as `out` is then unchanged.

        See Also
        --------
        run_stream : many steps in one call.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net, state = rc.RNN(3, 5, 1), None
        >>> for x_t in np.zeros((10, 3)):
        ...     y_t, state = net.step(x_t, state)
        >>> y_t.shape, state.shape
        ((1,), (1, 5))

        A hundred streams at once:

        >>> y_t, state = net.step(np.zeros((100, 3)))
        >>> y_t.shape, state.shape
        ((100, 1), (100, 1, 5))

        In place:

        >>> y_t, state = np.empty(1, np.float32), np.zeros((1, 5), np.float32)
        >>> for x_t in np.zeros((10, 3)):
        ...     _ = net.step(x_t, state, out=(y_t, state))
        """
        result = self._stream.step(x_t, state, out)
        return self._look_closer(x_t, state, out) if result is None else result

    def run_stream(
        self,
        x: npt.ArrayLike,
        state: Any = None,
        out: tuple[Array, State] | None = None,
    ) -> tuple[Array, State]:
        """A chunk of steps of one stream: `step` for each of them, in one compiled call.

        The results are those of `step`, and of ``net(x)``, bit for bit, wherever the stream is
        cut into chunks. For many streams at once use ``net(x, h0=...)``.

        Parameters
        ----------
        x : array_like
            (T, D) numbers, or (T,) integer tokens.
        state : ndarray or pair of ndarray, optional
            (1, H), with more rows for a stack, or of an LSTM a pair of such: what the previous
            call (or `step`) returned; also (H,). As a sequence begins where not given.
        out : tuple (y, state) of ndarray, optional
            Where to write ``y`` and the new state instead of into new arrays. The second may
            be ``state`` itself.

        Returns
        -------
        y : ndarray
            (T, K): the logits after every step, whatever the network's ``readout``.
        state : ndarray or pair of ndarray
            For the next call.

        Raises
        ------
        TypeError, ValueError
            As `step`.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net, x = rc.RNN(3, 5, 1, readout="all"), np.ones((10, 3))
        >>> y, state = net.run_stream(x[:4])
        >>> y, state = net.run_stream(x[4:], state)
        >>> y.shape, bool((y == net(x[None]).y[0, 4:]).all())
        ((6, 1), True)
        """
        result = self._stream.run(x, state, out)
        if result is not None:
            return result
        self._check_direction("run_stream")
        D = self.input_size
        given = check.array("x", x)
        tokens = given.ndim == 1 and given.dtype.kind in "iu"
        if not tokens and (given.ndim != 2 or given.shape[1] != D):
            hint = "; write x[:, None] for one number per step" if given.shape[1:] == () else ""
            raise ValueError(
                f"x: expected {check.shapes(('time', D))}, or (time,) integer tokens, got "
                f"{given.shape} of {given.dtype}{hint if D == 1 else ''}"
            )
        if len(given) == 0:
            raise ValueError(f"x: expected at least 1 time step, got shape {given.shape}")
        rows = as_index(given) if tokens else check.as_real(given, self._dtype)
        h = self._state(state, ())
        self._check_out(out, (len(rows), self._outputs), ())
        result = self._stream.run(rows, h, None)
        if result is None:
            self._explain("x", rows, tokens, h)
        return self._deliver(result, out)

    # ---- what is not as the core takes it ------------------------------------------

    def _look_closer(
        self, x_t: npt.ArrayLike, state: Any, out: tuple[Array, State] | None
    ) -> tuple[Array, State]:
        """`step` for anything the core does not take as it is."""
        self._check_direction("step")
        D = self.input_size
        x = check.array("x_t", x_t)
        tokens = self._are_tokens(x)
        if not tokens and (x.ndim not in (1, 2) or x.shape[-1] != D):
            raise ValueError(
                f"x_t: expected {check.shapes((D,), ('batch', D))}, or integer tokens, "
                f"got {x.shape} of {x.dtype}"
            )
        single = x.ndim == (0 if tokens else 1)
        if not single and len(x) == 0:
            raise ValueError(f"x_t: expected at least 1 stream, got shape {x.shape}")
        x = as_index(x) if tokens else check.as_real(x, self._dtype)
        count: tuple[int, ...] = () if single else (len(x),)
        h = self._state(state, count)
        self._check_out(out, (*count, self._outputs), count)
        if single:
            result = self._stream.step(int(x) if tokens else x, h, None)
        else:
            rows = x.reshape(len(x), -1)  # tokens are a column
            result = self._stream.step(rows, h, None)
            if result is None:  # more of them than the core takes as streams
                result = self._as_batch(rows if tokens else rows[:, None], h)
        if result is None:
            self._explain("x_t", x, tokens, h)
        return self._deliver(result, out)

    def _are_tokens(self, x: Array) -> bool:
        """Whether the input of a step is tokens, whatever the state."""
        D = self.input_size
        if x.dtype.kind not in "iu" or x.ndim > 2:
            return False
        if x.ndim == 2:
            return bool(D > 1 == x.shape[1])
        if x.shape == (D,) and D > 1:
            raise ValueError(
                f"x_t: expected the {D} numbers of one stream or tokens of {D} streams, got "
                f"{x.shape} of {x.dtype}, which may be either; pass floats for numbers, "
                f"{check.shapes((D, 1))} for tokens"
            )
        return x.shape != (1,) or D > 1

    def _as_batch(self, x: Array, h: State | None) -> tuple[Array, State] | None:
        """One step of many streams as sequences of that length; None where numbers are at fault."""
        inputs = self._inputs(x, h)
        y, final = np.empty((inputs.count, self._outputs), self._dtype), inputs.new_final()
        faults = self._engine.forward(inputs.batch, y, None, final)
        return None if faults else (y, inputs.state_of(final))

    def _check_direction(self, name: str) -> None:
        if self._form.width != self.hidden_size:
            raise ValueError(
                f"{name}: expected a network with bidirectional=False; with True, a step would "
                "have to know those that follow"
            )

    def _state(self, state: Any, count: tuple[int, ...]) -> State | None:
        """A state as the core takes it, from what was passed; `count` () for one stream, (B,)
        for B."""
        if state is None:
            return None
        names = ("state[0]", "state[1]") if self._form.states == 2 else ("state",)
        parts = zip(names, self._parts(state), strict=True)
        arrays = [self._whole(name, given, count) for name, given in parts]
        return (arrays[0], arrays[1]) if self._form.states == 2 else arrays[0]

    def _whole(self, name: str, given: Any, count: tuple[int, ...]) -> Array:
        """h or c with all its rows. As in ``h0=``, the only row may be without its axis, and those
        before each layer's latest may be left out: they are zeros."""
        form, values = self._form, check.array(name, given)
        H = form.hidden_size
        shapes = [self._shape_of_state(count)]
        if form.history > 1:
            shapes.append((*count, form.passes, H))
        if form.passes == 1:
            shapes.append((*count, H))
        check.same_shape(name, values, *shapes)
        values = check.as_real(values, self._dtype)
        if values.shape != shapes[0]:
            latest = values.reshape(*count, form.passes, H)
            values = np.zeros((*count, form.passes, form.history, H), self._dtype)
            values[..., 0, :] = latest
        return values.reshape(shapes[0])

    def _shape_of_state(self, count: tuple[int, ...]) -> tuple[int, ...]:
        return (*count, self._form.state_rows, self.hidden_size)

    def _parts(self, state: Any) -> list[Any]:
        """A state, or h and c of an LSTM's."""
        if self._form.states == 1:
            return [state]
        parts = check.items("state", state) if isinstance(state, list | tuple) else []
        if len(parts) != 2:
            raise TypeError(f"state: expected a pair (h, c) for an LSTM, got {check.kind(state)}")
        return parts

    def _check_out(self, out: Any, y: tuple[int, ...], count: tuple[int, ...]) -> None:
        if out is None:
            return
        state = self._shape_of_state(count)
        pair = self._form.states == 2
        if not isinstance(out, tuple) or len(out) != 2:
            raise TypeError(
                f"out: expected a tuple (y, state) of two arrays, got {check.shown(out)}"
            )
        if pair and not (isinstance(out[1], tuple) and len(out[1]) == 2):
            raise TypeError(f"out[1]: expected a pair (h, c) of arrays, got {check.kind(out[1])}")
        parts = {"out[0]": (out[0], y)}
        for k, part in enumerate(out[1] if pair else (out[1],)):
            parts[f"out[1][{k}]" if pair else "out[1]"] = (part, state)
        for name, (given, shape) in parts.items():
            wanted = f"{check.shapes(shape)} of {self._dtype}"
            if type(given) is not np.ndarray:
                raise TypeError(f"{name}: expected an array {wanted}, got {check.kind(given)}")
            if given.shape != shape or given.dtype != self._dtype:
                raise ValueError(f"{name}: expected {wanted}, got {given.shape} of {given.dtype}")
            if not given.flags.writeable:
                raise ValueError(f"{name}: expected an array to write to, got a read-only one")
        arrays = [given for given, _ in parts.values()]
        if any(np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[:k]):
            raise ValueError("out: expected arrays apart from each other, got shared memory")

    def _explain(self, name: str, x: Array, tokens: bool, state: State | None) -> None:
        if tokens:
            try:
                check.within(name, "tokens", x, 0, self.input_size - 1)
            except ValueError as error:
                if self.input_size > 1 or x.ndim != 1:
                    raise
                raise ValueError(f"{error}; write {name}[:, None] for one number each") from None
        else:
            check.all_finite(name, x)
        for part in arrays_of(state):
            check.all_finite("state", part)

    def _deliver(
        self, result: tuple[Array, State] | None, out: tuple[Array, State] | None
    ) -> tuple[Array, State]:
        assert result is not None
        if out is None:
            return result
        out[0][...] = result[0]
        for given, values in zip(arrays_of(out[1]), arrays_of(result[1]), strict=True):
            given[...] = values
        return out


def arrays_of(state: State | None) -> tuple[Array, ...]:
    if state is None:
        return ()
    return state if isinstance(state, tuple) else (state,)
