"""A network as a stream: one step, or one chunk of steps, at a time.

The compiled core takes what needs no conversion and returns None for anything else; only
then is it looked at here, converted, and explained where it is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore import _checks as check
from rnncore._checks import Array
from rnncore._inputs import State, as_index
from rnncore._model import Model


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
            The input of one time step: (D,) or an integer token for one stream, (B, D) or (B,)
            integer tokens for B of them.
        state : ndarray or pair of ndarray, optional
            What the previous call returned (or ``Output.final``): (1, H) for one stream,
            (B, 1, H) for B, with more rows for a stack. Of an LSTM a pair (h, c) of such arrays.
            As a sequence begins where not given.
        out : tuple (y, state) of ndarray, optional
            Where to write ``y_t`` and the new state instead of into new arrays. The second may
            be ``state`` itself: then nothing is allocated.

        Returns
        -------
        y_t : ndarray
            (K,) or (B, K), the logits after this step.
        state : ndarray or pair of ndarray
            For the next call.

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
            call (or `step`) returned. As a sequence begins where not given.
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
        rows_of_state = (self._form.state_rows, self.hidden_size)
        h = self._state(state, rows_of_state)
        self._check_out(out, (len(rows), self._outputs), rows_of_state)
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
        D, K = self.input_size, self._outputs
        x = check.array("x_t", x_t)
        tokens = x.dtype.kind in "iu" and x.ndim < 2
        if tokens and x.shape == (D,):
            if state is None:
                raise ValueError(
                    f"x_t: expected {D} numbers of one stream or integer tokens of "
                    f"{D}, got {x.shape} of {x.dtype}, which may be either; pass "
                    "floats for numbers, a state for tokens"
                )
            first, *_ = self._parts(state)
            tokens = check.array("state", first).ndim == 3
        single = x.ndim == (0 if tokens else 1)
        if not tokens and (x.ndim not in (1, 2) or x.shape[-1] != D):
            raise ValueError(
                f"x_t: expected {check.shapes((D,), ('batch', D))}, or integer tokens, "
                f"got {x.shape} of {x.dtype}"
            )
        x = as_index(x) if tokens else check.as_real(x, self._dtype)
        count: tuple[int, ...] = () if single else (len(x),)
        of_state = (*count, self._form.state_rows, self.hidden_size)
        h = self._state(state, of_state)
        self._check_out(out, (*count, K), of_state)
        result: tuple[Array, State] | None
        if single:
            result = self._stream.step(int(x) if tokens else x, h, None)
        else:
            inputs = self._inputs(x[:, None], h)
            y, final = np.empty((*count, K), self._dtype), inputs.new_final()
            faults = self._engine.forward(inputs.batch, y, None, final)
            result = None if faults else (y, inputs.state_of(final))
        if result is None:
            self._explain("x_t", x, tokens, h)
        return self._deliver(result, out)

    def _check_direction(self, name: str) -> None:
        if self._form.width != self.hidden_size:
            raise ValueError(
                f"{name}: expected a network with bidirectional=False; with True, a step would "
                "have to know those that follow"
            )

    def _state(self, state: Any, shape: tuple[int, ...]) -> State | None:
        """A state as the core takes it, from what was passed."""
        if state is None:
            return None
        names = ("state[0]", "state[1]") if self._kind == "LSTM" else ("state",)
        arrays = []
        for name, given in zip(names, self._parts(state), strict=True):
            values = check.array(name, given)
            check.same_shape(name, values, shape)
            arrays.append(check.as_real(values, self._dtype))
        return (arrays[0], arrays[1]) if self._kind == "LSTM" else arrays[0]

    def _parts(self, state: Any) -> list[Any]:
        """A state, or h and c of an LSTM's."""
        if self._kind != "LSTM":
            return [state]
        parts = check.items("state", state) if isinstance(state, list | tuple) else []
        if len(parts) != 2:
            raise TypeError(f"state: expected a pair (h, c) for an LSTM, got {check.kind(state)}")
        return parts

    def _check_out(self, out: Any, y: tuple[int, ...], state: tuple[int, ...]) -> None:
        if out is None:
            return
        pair = self._kind == "LSTM"
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
            check.within(name, "tokens", x, 0, self.input_size - 1)
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
