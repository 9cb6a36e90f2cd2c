"""Streaming inference: one step, or one chunk of steps, at a time.

The core takes arguments that need no conversion. For any others it returns None and has done
nothing; only then are they checked and converted here.

The functions with a ``self`` are methods of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data.inputs import Inputs, as_index
from rnncore._data.states import shape_of_state, state_array
from rnncore._model.model import HasModel, Model
from rnncore._model.spec import Spec
from rnncore._types import Array, State


def step(
    self: HasModel,
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
        (B, 1, H) for B, with more rows for several layers; (H,) or (B, H) is also accepted, as
        in ``h0=``. Of an LSTM a pair (h, c) of such arrays. If not given, the state with which
        a sequence begins.
    out : tuple (y, state) of ndarray, optional
        Where to write ``y_t`` and the new state instead of into new arrays. The second may
        be ``state`` itself: then nothing is allocated.

    Returns
    -------
    y_t : ndarray
        (K,) or (B, K), the logits after this step; with ``readout="before"`` those before it.
    state : ndarray or pair of ndarray
        For the next call: (1, H) or (B, 1, H), with more rows for several layers.

    Raises
    ------
    TypeError, ValueError
        If the input has the wrong shape or type, is not finite, or has tokens out of range; if
        the network is bidirectional. What was passed as `out` is then unchanged.

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
    result = self._model.stream.step(x_t, state, out)
    return step_converted(self._model, x_t, state, out) if result is None else result


def run_stream(
    self: HasModel,
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
        What the previous call (or `step`) returned: (1, H), with more rows for several layers,
        or of an LSTM a pair (h, c) of such arrays; also (H,). If not given, the state with
        which a sequence begins.
    out : tuple (y, state) of ndarray, optional
        Where to write ``y`` and the new state instead of into new arrays. The second may
        be ``state`` itself.

    Returns
    -------
    y : ndarray
        (T, K): the logits after every step, or with ``readout="before"`` before it.
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
    result = self._model.stream.run(x, state, out)
    return run_converted(self._model, x, state, out) if result is None else result


# ---- arguments that the core does not take as they are ------------------------------


def step_converted(
    model: Model, x_t: npt.ArrayLike, state: Any, out: tuple[Array, State] | None
) -> tuple[Array, State]:
    """`step` with arguments that are checked and converted."""
    check_direction(model, "step")
    if model.spec.switching:
        return delivered(step_of_token(model, x_t, state, out), out)
    spec, x = model.spec, check.array("x_t", x_t)
    D, tokens = spec.input_size, are_tokens(spec, x)
    if not tokens and (x.ndim not in (1, 2) or x.shape[-1] != D):
        raise ValueError(
            f"x_t: expected {check.shapes((D,), ('batch', D))}, or integer tokens, "
            f"got {x.shape} of {x.dtype}"
        )
    single = x.ndim == (0 if tokens else 1)
    if not single and len(x) == 0:
        raise ValueError(f"x_t: expected at least 1 stream, got shape {x.shape}")
    x = as_index(x) if tokens else check.as_real(x, spec.dtype)
    count: tuple[int, ...] = () if single else (len(x),)
    h = converted_state(spec, "state", state, count)
    check_out(spec, out, (*count, spec.outputs), count)
    if single:
        result = model.stream.step(int(x) if tokens else x, h, None)
    else:
        rows = x.reshape(len(x), -1)  # tokens as a column
        result = model.stream.step(rows, h, None)
        if result is None:  # more streams than the core takes
            result = step_as_batch(model, rows if tokens else rows[:, None], h)
    if result is None:
        explain(spec, "x_t", x, tokens, h)
    return delivered(result, out)


def run_converted(
    model: Model, x: npt.ArrayLike, state: Any, out: tuple[Array, State] | None
) -> tuple[Array, State]:
    """`run_stream` with arguments that are checked and converted."""
    check_direction(model, "run_stream")
    spec, given = model.spec, check.array("x", x)
    D = spec.input_size
    tokens = given.ndim == 1 and given.dtype.kind in "iu"
    if spec.switching and not tokens:
        raise not_tokens("x", "(time,)", given)
    if not tokens and (given.ndim != 2 or given.shape[1] != D):
        hint = "; write x[:, None] for one number per step" if given.shape[1:] == () else ""
        raise ValueError(
            f"x: expected {check.shapes(('time', D))}, or (time,) integer tokens, got "
            f"{given.shape} of {given.dtype}{hint if D == 1 else ''}"
        )
    if len(given) == 0:
        raise ValueError(f"x: expected at least 1 time step, got shape {given.shape}")
    rows = as_index(given) if tokens else check.as_real(given, spec.dtype)
    h = converted_state(spec, "state", state, ())
    check_out(spec, out, (len(rows), spec.outputs), ())
    result = steps_as_batch(model, rows, h) if spec.switching else model.stream.run(rows, h, None)
    if result is None:
        explain(spec, "x", rows, tokens, h)
    return delivered(result, out)


def are_tokens(spec: Spec, x: Array) -> bool:
    """Whether the input of a step consists of tokens."""
    D = spec.input_size
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


def step_as_batch(model: Model, x: Array, h: State | None) -> tuple[Array, State] | None:
    """One step of many streams as a batch of sequences of length 1. None if a number in x or h is
    not valid."""
    spec = model.spec
    inputs = Inputs(spec, x, h)
    y, final = np.empty((inputs.count, spec.outputs), spec.dtype), inputs.new_final()
    faults = model.engine.forward(inputs.batch, y, None, *inputs.parts(final))
    return None if faults else (y, inputs.state_of(final))


def step_of_token(model: Model, x_t: Any, state: Any, out: Any) -> tuple[Array, State]:
    """One step where every token has weights of its own, with arguments that are checked and
    converted."""
    spec, given = model.spec, check.array("x_t", x_t)
    if given.dtype.kind not in "iu" or given.ndim > 2 or given.shape[1:] not in ((), (1,)):
        raise not_tokens("x_t", "one or (batch,)", given)
    x, single = as_index(given).reshape(-1), given.ndim == 0
    if not len(x):
        raise ValueError(f"x_t: expected at least 1 stream, got shape {given.shape}")
    count: tuple[int, ...] = () if single else (len(x),)
    h = converted_state(spec, "state", state, count)
    check_out(spec, out, (*count, spec.outputs), count)
    if single:
        result = steps_as_batch(model, x, h)
        result = None if result is None else (result[0][0], result[1])
    else:
        result = step_as_batch(model, x[:, None], h)
    if result is None:
        explain(spec, "x_t", x, True, h)
    assert result is not None
    return result


def steps_as_batch(model: Model, x: Array, h: State | None) -> tuple[Array, State] | None:
    """The steps of one stream of tokens (T,) as a batch of one sequence, with an output for each.
    None if a token or a number in h is not valid."""
    if len(x) > 1 and not model.spec.every_step:
        every = model.changed(readout="all")
        every.flat[:] = model.flat
        model = every
    first = None if h is None else tuple(part[None] for part in arrays_of(h))
    inputs = Inputs(model.spec, x[None], first[0] if first and len(first) == 1 else first)
    y, final = np.empty((len(x), model.spec.outputs), model.spec.dtype), inputs.new_final()
    faults = model.engine.forward(inputs.batch, y, None, *inputs.parts(final))
    if faults:
        return None
    last = tuple(part[0] for part in arrays_of(inputs.state_of(final)))
    return y, last[0] if len(last) == 1 else (last[0], last[1])


def not_tokens(name: str, shape: str, given: Array) -> TypeError:
    return TypeError(
        f"{name}: expected integer tokens, {shape}, of a network with switching=True, got "
        f"{given.shape} of {given.dtype}"
    )


def check_direction(model: Model, name: str) -> None:
    """Raise an error for a network of two directions."""
    if model.config["bidirectional"]:
        raise ValueError(
            f"{name}: expected a network with bidirectional=False; with True, a step would "
            "have to know those that follow"
        )


def converted_state(spec: Spec, name: str, state: Any, count: tuple[int, ...]) -> State | None:
    """A state as the core takes it, of one stream where `count` is (), of B where it is (B,)."""
    if state is None:
        return None
    if spec.states == 1:
        return state_array(spec, name, state, count)
    parts = check.items(name, state) if isinstance(state, list | tuple) else []
    if len(parts) != 2:
        raise TypeError(f"{name}: expected a pair (h, c) for an LSTM, got {check.kind(state)}")
    h, c = (state_array(spec, f"{name}[{k}]", part, count) for k, part in enumerate(parts))
    return h, c


def check_out(spec: Spec, out: Any, y: tuple[int, ...], count: tuple[int, ...]) -> None:
    """Raise an error unless results of these shapes can be written to `out`."""
    if out is None:
        return
    state, pair = shape_of_state(spec, count), spec.states == 2
    if not isinstance(out, tuple) or len(out) != 2:
        raise TypeError(f"out: expected a tuple (y, state) of two arrays, got {check.shown(out)}")
    if pair and not (isinstance(out[1], tuple) and len(out[1]) == 2):
        raise TypeError(f"out[1]: expected a pair (h, c) of arrays, got {check.kind(out[1])}")
    parts = {"out[0]": (out[0], y)}
    for k, part in enumerate(out[1] if pair else (out[1],)):
        parts[f"out[1][{k}]" if pair else "out[1]"] = (part, state)
    for name, (given, shape) in parts.items():
        check_place(spec, name, given, shape)
    arrays = [given for given, _ in parts.values()]
    if any(np.shares_memory(a, b) for k, a in enumerate(arrays) for b in arrays[:k]):
        raise ValueError("out: expected arrays apart from each other, got shared memory")


def check_place(spec: Spec, name: str, given: Any, shape: tuple[int, ...]) -> None:
    """Raise an error unless a result of this shape can be written there."""
    expected = f"{check.shapes(shape)} of {spec.dtype}"
    if type(given) is not np.ndarray:
        raise TypeError(f"{name}: expected an array {expected}, got {check.kind(given)}")
    if given.shape != shape or given.dtype != spec.dtype:
        raise ValueError(f"{name}: expected {expected}, got {given.shape} of {given.dtype}")
    if not given.flags.writeable:
        raise ValueError(f"{name}: expected an array to write to, got a read-only one")


def explain(spec: Spec, name: str, x: Array, tokens: bool, state: State | None) -> None:
    """Raise the error for a number in x or the state that the core cannot work with."""
    if tokens:
        try:
            check.within(name, "tokens", x, 0, spec.input_size - 1)
        except ValueError as error:
            if spec.input_size > 1 or x.ndim != 1:
                raise
            raise ValueError(f"{error}; write {name}[:, None] for one number each") from None
    else:
        check.all_finite(name, x)
    for part in arrays_of(state):
        check.all_finite("state", part)


def delivered(
    result: tuple[Array, State] | None, out: tuple[Array, State] | None
) -> tuple[Array, State]:
    """The result, copied to `out` where that is given."""
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
