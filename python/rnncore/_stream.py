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
from rnncore._inputs import as_index
from rnncore._model import Model


class Streaming(Model):
    """What every network does step by step."""

    def step(
        self,
        x_t: npt.ArrayLike,
        state: npt.ArrayLike | None = None,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """One step of streaming inference.

        Parameters
        ----------
        x_t : array_like
            The input of one time step: (D,) or an integer token for one stream, (B, D) or (B,)
            integer tokens for B of them.
        state : ndarray, optional
            What the previous call returned (or ``Output.final``): (1, H) for one stream,
            (B, 1, H) for B. Zeros where not given.
        out : tuple of two ndarray, optional
            Where to write ``y_t`` and the new state instead of into new arrays. The second may
            be ``state`` itself: then nothing is allocated.

        Returns
        -------
        y_t : ndarray
            (K,) or (B, K), the logits after this step.
        state : ndarray
            For the next call.

        Raises
        ------
        TypeError, ValueError
            For input of the wrong shape or type, not finite, or tokens out of range. What
            was passed as `out` is then unchanged.

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
        result: tuple[Array, Array] | None = self._stream.step(x_t, state, out)
        return self._look_closer(x_t, state, out) if result is None else result

    def run_stream(
        self,
        x: npt.ArrayLike,
        state: npt.ArrayLike | None = None,
        out: tuple[Array, Array] | None = None,
    ) -> tuple[Array, Array]:
        """A chunk of steps of one stream: `step` for each of them, in one compiled call.

        The results are those of `step`, and of ``net(x)``, bit for bit, wherever the stream is
        cut into chunks. For many streams at once use ``net(x, h0=...)``.

        Parameters
        ----------
        x : array_like
            (T, D) numbers, or (T,) integer tokens.
        state : ndarray, optional
            (1, H): what the previous call (or `step`) returned. Zeros where not given.
        out : tuple of two ndarray, optional
            Where to write ``y`` and the new state instead of into new arrays. The second may
            be ``state`` itself.

        Returns
        -------
        y : ndarray
            (T, K): the logits after every step, whatever the network's ``readout``.
        state : ndarray
            (1, H), for the next call.

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
        result: tuple[Array, Array] | None = self._stream.run(x, state, out)
        if result is not None:
            return result
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
        h = self._state(state, (1, self.hidden_size))
        self._check_out(out, (len(rows), self._outputs), (1, self.hidden_size))
        result = self._stream.run(rows, h, None)
        if result is None:
            self._explain("x", rows, tokens, h)
        return self._deliver(result, out)

    # ---- what is not as the core takes it ------------------------------------------

    def _look_closer(
        self, x_t: npt.ArrayLike, state: npt.ArrayLike | None, out: tuple[Array, Array] | None
    ) -> tuple[Array, Array]:
        """`step` for anything the core does not take as it is."""
        D, H, K = self.input_size, self.hidden_size, self._outputs
        x = check.array("x_t", x_t)
        tokens = x.dtype.kind in "iu" and x.ndim < 2
        if tokens and x.shape == (D,):
            if state is None:
                raise ValueError(
                    f"x_t: expected {D} numbers of one stream or integer tokens of "
                    f"{D}, got {x.shape} of {x.dtype}, which may be either; pass "
                    "floats for numbers, a state for tokens"
                )
            tokens = np.ndim(state) == 3
        single = x.ndim == (0 if tokens else 1)
        if not tokens and (x.ndim not in (1, 2) or x.shape[-1] != D):
            raise ValueError(
                f"x_t: expected {check.shapes((D,), ('batch', D))}, or integer tokens, "
                f"got {x.shape} of {x.dtype}"
            )
        x = as_index(x) if tokens else check.as_real(x, self._dtype)
        count: tuple[int, ...] = () if single else (len(x),)
        h = self._state(state, (*count, 1, H))
        self._check_out(out, (*count, K), (*count, 1, H))
        result: tuple[Array, Array] | None
        if single:
            result = self._stream.step(int(x) if tokens else x, h, None)
        else:
            inputs = self._inputs(x[:, None], h)
            result = np.empty((*count, K), self._dtype), np.empty((*count, 1, H), self._dtype)
            if self._engine.forward(inputs.batch, result[0], None, result[1]):
                result = None
        if result is None:
            self._explain("x_t", x, tokens, h)
        return self._deliver(result, out)

    def _state(self, state: npt.ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
        if state is None:
            return None
        given = check.array("state", state)
        check.same_shape("state", given, shape)
        return check.as_real(given, self._dtype)

    def _check_out(self, out: Any, *shapes: tuple[int, ...]) -> None:
        if out is None:
            return
        if not isinstance(out, tuple) or len(out) != 2:
            raise TypeError(f"out: expected a tuple (y, state) of two arrays, got {out!r}")
        for k, (given, shape) in enumerate(zip(out, shapes, strict=True)):
            name, wanted = f"out[{k}]", f"{check.shapes(shape)} of {self._dtype}"
            if type(given) is not np.ndarray:
                raise TypeError(f"{name}: expected an array {wanted}, got {check.kind(given)}")
            if given.shape != shape or given.dtype != self._dtype:
                raise ValueError(f"{name}: expected {wanted}, got {given.shape} of {given.dtype}")
            if not given.flags.writeable:
                raise ValueError(f"{name}: expected an array to write to, got a read-only one")
        if np.shares_memory(*out):
            raise ValueError("out: expected two arrays apart from each other, got shared memory")

    def _explain(self, name: str, x: Array, tokens: bool, state: Array | None) -> None:
        if tokens:
            check.within(name, "tokens", x, 0, self.input_size - 1)
        else:
            check.all_finite(name, x)
        if state is not None:
            check.all_finite("state", state)

    def _deliver(
        self, result: tuple[Array, Array] | None, out: tuple[Array, Array] | None
    ) -> tuple[Array, Array]:
        assert result is not None
        if out is None:
            return result
        for given, values in zip(out, result, strict=True):
            given[...] = values
        return out
