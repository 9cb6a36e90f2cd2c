"""Sequences that a network continues from its own outputs.

The functions with a ``self`` are methods of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._calls.running import forward
from rnncore._calls.streaming import arrays_of, check_direction, converted_state, step_converted
from rnncore._checks import arguments as check
from rnncore._data.inputs import Inputs, as_index
from rnncore._model.losses import unchanged
from rnncore._model.model import HasModel, Model
from rnncore._model.spec import Spec
from rnncore._types import Array, State

#: What a function is called with, (generated, t), and what it returns.
Function = Callable[[Any, int], Any]

#: Multiply-adds of a call of the core, between which Ctrl-C is noticed: some tenths of a second.
PIECE = 10**9


class Generated(NamedTuple):
    """What a network generated; without the axis B where `start` was one sequence.

    Attributes
    ----------
    values : ndarray
        Tokens (B, steps) of int64, or outputs (B, steps, K).
    log_probabilities : ndarray or None
        The logarithm of the probability of each token, (B, steps) of float64; None for outputs.
    final : ndarray, or pair of ndarray
        The state before the last of the generated steps is fed back, (B, R, H); of an LSTM a pair
        (h, c). With that step as `start` and this as `h0` the generation goes on.
    """

    values: Array
    log_probabilities: Array | None
    final: State


def generate(
    self: HasModel,
    start: npt.ArrayLike,
    steps: int,
    *,
    h0: Any = None,
    sample: str | Function | None = None,
    temperature: float = 1.0,
    feedback: Function | None = None,
    rng: int | np.random.Generator | npt.ArrayLike | None = None,
) -> Generated:
    """Continue sequences: what comes out of one step goes into the next.

    The network runs through `start`. The first generated step is its output, or a token drawn from
    that; this is the input of the next step, whose output is the second, and so on. The loop is
    compiled, unless `sample` or `feedback` is a function.

    Parameters
    ----------
    start : array_like
        What the sequences begin with, at least one step: numbers (T, D), or (B, T, D) of several
        sequences; tokens as integers (T,) or (B, T); or a list of sequences of any lengths.
    steps : int
        How many steps are generated.
    h0 : array_like or pair, optional
        The state before `start`, as in ``net(x, h0=...)``; of one sequence (R, H) or (H,).
    sample : {"softmax", "argmax"} or callable, optional
        How a token is chosen by the outputs y: "softmax" draws it from softmax(y / temperature),
        "argmax" takes the likeliest. A function is called with y, (K,) of one sequence or
        (B, K), and the number t = 0, 1, ... of the generated step, and returns an integer or (B,).
        Without it, a network with the loss "cross_entropy" draws, and any other one
        generates its outputs.
    temperature : float
        More than 0. The higher, the more alike the probabilities of all tokens.
    feedback : callable, optional
        Called with the generated step, a token or (K,) of one sequence, (B,) or (B, K) of
        several, and its number t, it returns the input of the next step: (D,) or a token, (B, D)
        or (B,) tokens. Needed where what is generated is not an input: with D != K, or losses
        whose outputs are no predictions.
    rng : int, Generator or array_like, optional
        Seeds for "softmax". An array has B integers, a seed for each sequence: it gets
        the same tokens alone. Others draw them: ``rng.integers(2**63, size=B)``.

    Returns
    -------
    Generated
        A named tuple ``(values, log_probabilities, final)``.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape or type, is not finite, or has tokens out of range; if
        the network is bidirectional or has ``readout="before"``; if outputs do not stay finite;
        if what is generated is not an input, without `feedback`.

    See Also
    --------
    step : one step, for loops of your own.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.GRU(5, 8, 5, readout="all", loss="cross_entropy", seed=0)
    >>> text = net.generate([0, 3, 1], 10, temperature=0.5, rng=0)
    >>> text.values.shape, text.log_probabilities.shape, text.final.shape
    ((10,), (10,), (1, 8))

    A forecast with a covariate, here the time, that the network does not generate:

    >>> net = rc.RNN(2, 4, 1, readout="all", loss="mse", seed=0)
    >>> forecast = net.generate(
    ...     np.zeros((20, 2)), 10, feedback=lambda y, t: [y[0], (20 + t) / 30]
    ... )
    >>> forecast.values.shape
    (10, 1)
    """
    model = self._model
    spec = model.spec
    check_direction(model, "generate")
    model.check_not_switching("generate")
    if spec.before:
        raise ValueError("generate: expected a network with readout 'last' or 'all', got 'before'")
    steps = check.whole("steps", steps, 1)
    temperature = check.number("temperature", temperature, 0, above=True)
    sample = checked_sample(spec, sample)
    check_feedback(spec, feedback, sample is not None)
    numeric = sample is None and feedback is None
    y, state, single = run_start(model, start, h0, numeric)
    seeds = seeds_of(rng, 1 if single else len(y)) if sample == "softmax" else None
    if feedback is None and not callable(sample):
        result = compiled(model, y, state, steps, sample is not None, temperature, seeds)
    else:
        choose = chooser(model, sample, temperature, seeds, single)
        result = stepwise(model, y, state, steps, choose, feedback, single)
    return one_of(result) if single else result


# ---- arguments ----------------------------------------------------------------------


def checked_sample(spec: Spec, sample: Any) -> Any:
    """How tokens are chosen; None where outputs are generated."""
    classes = spec.loss is not None and spec.loss.classes
    if sample is None:
        return "softmax" if classes else None
    if not callable(sample):
        check.choice("sample", sample, ("softmax", "argmax"))
    if spec.loss is not None and not classes:
        raise ValueError(
            f"sample: expected None for loss {spec.loss.name!r}, whose outputs are no logits of "
            f"classes, got {check.shown(sample)}"
        )
    return sample


def check_feedback(spec: Spec, feedback: Any, drawn: bool) -> None:
    """Raise an error unless what is generated can be the next input."""
    if feedback is not None:
        if not callable(feedback):
            raise TypeError(f"feedback: expected a function, got {check.shown(feedback)}")
        return
    D, K = spec.input_size, spec.outputs
    if D != K:
        raise ValueError(
            f"feedback: expected a function, since the network has {K} outputs and {D} inputs, "
            "got None"
        )
    if not drawn and spec.loss is not None and spec.loss.reading.prediction is not unchanged:
        raise ValueError(
            f"feedback: expected a function for loss {spec.loss.name!r}, whose outputs are no "
            "predictions, got None"
        )


def run_start(model: Model, start: Any, h0: Any, numeric: bool) -> tuple[Array, State, bool]:
    """The outputs (B, K) and states after the last step of `start`, arrays of their own, and
    whether it is one sequence. `numeric`: integers in two dimensions are numbers."""
    spec = model.spec
    x, single = checked_start(spec, start, numeric)
    if single and h0 is not None:
        parts = [part[None] for part in arrays_of(converted_state(spec, "h0", h0, ()))]
        h0 = parts[0] if spec.states == 1 else tuple(parts)
    try:
        inputs = Inputs(spec, x, h0)
        final = inputs.new_final()
        y = forward(model, inputs, None, final, None)
    except (TypeError, ValueError) as error:  # about x, which the caller does not know
        text = str(error)
        if not text.startswith(("x:", "x[")):
            raise
        raise type(error)("start" + text[1:].replace("write x", "write start")) from None
    if spec.every_step:
        last = inputs.time if inputs.lengths is None else inputs.lengths
        y = y[np.arange(inputs.count), last - 1]
    return y, inputs.state_of(final), single


def checked_start(spec: Spec, start: Any, numeric: bool) -> tuple[Any, bool]:
    """`start` as sequences, and whether it is one alone."""
    if isinstance(start, list | tuple):
        items = check.items("start", start)
        if not items or not all(isinstance(item, int | np.integer) for item in items):
            return items, False
    x = check.array("start", start)
    if x.ndim == 2 and numeric and x.dtype.kind in "iu":
        x = check.as_real(x, spec.dtype)
    if x.ndim == 3 or (x.ndim == 2 and x.dtype.kind in "iu"):
        return x, False
    D = spec.input_size
    if (x.ndim, x.dtype.kind in "iu") == (1, True) or (x.ndim == 2 and x.shape[1] == D):
        return x[None], True
    hint = "; write start[:, None] for one number per step" if x.ndim == 1 and D == 1 else ""
    raise ValueError(
        f"start: expected {check.shapes(('time', D), ('batch', 'time', D))}, or integer tokens, "
        f"got {x.shape} of {x.dtype}{hint}"
    )


def seeds_of(rng: Any, count: int) -> Array:
    """A seed for each sequence."""
    if rng is None or isinstance(rng, int | np.integer | np.random.Generator):
        return check.generator("rng", rng).integers(2**63, size=count).astype(np.uint64)
    given = check.array("rng", rng)
    if given.dtype.kind not in "iu" or given.shape != (count,):
        raise ValueError(
            f"rng: expected a seed, a numpy.random.Generator or ({count},) integers, got "
            f"{given.shape} of {given.dtype}"
        )
    check.within("rng", "seeds", given, 0, float("inf"))
    return given.astype(np.uint64)


# ---- in compiled code ---------------------------------------------------------------


def compiled(
    model: Model,
    y: Array,
    state: State,
    steps: int,
    drawn: bool,
    temperature: float,
    seeds: Array | None,
) -> Generated:
    """Steps of which each is the next input as it is. `y` and `state` are written over."""
    (count, K), done = y.shape, 0
    tokens = np.empty((count, steps), np.int64) if drawn else None
    logs = np.empty((count, steps)) if drawn else None
    outputs = None if drawn else np.empty((count, steps, K), y.dtype)
    scratch = np.empty(count, np.int64) if drawn else None
    piece = max(1, PIECE // (count * model.flat.size))
    while done < steps:
        last = min(steps, done + piece)
        done = model.stream.generate(
            done, last, y, state, temperature, seeds, scratch, tokens, logs, outputs
        )
        if done < last:
            raise diverged(done)
    if outputs is None:
        assert tokens is not None
        return Generated(tokens, logs, state)
    if not np.isfinite(outputs[:, -1]).all():
        raise diverged(steps - 1)
    return Generated(outputs, None, state)


def diverged(t: int) -> ValueError:
    return ValueError(
        f"steps: expected at most {t}, got outputs or states that are not finite after them"
    )


# ---- step by step, with functions ---------------------------------------------------

#: (B,) tokens and the logarithms of their probabilities, of outputs (B, K) of a step t.
Choose = Callable[[Array, int], tuple[Array, Array]]


def stepwise(
    model: Model,
    y: Array,
    state: State,
    steps: int,
    choose: Choose | None,
    feedback: Function | None,
    single: bool,
) -> Generated:
    values, logs = [], []
    for t in range(steps):
        if not np.isfinite(y).all():
            raise diverged(t)
        if choose is None:
            values.append(y)
        else:
            tokens, log = choose(y, t)
            values.append(tokens)
            logs.append(log)
        if t + 1 < steps:
            x = values[-1]
            if feedback is not None:
                given = int(x[0]) if single and choose is not None else own(x, single)
                x = next_input(model.spec, feedback(given, t), len(y), single)
            x = x[:, None] if x.ndim == 1 else x
            if not all(np.isfinite(part).all() for part in arrays_of(state)):
                raise diverged(t + 1)
            y, state = step_converted(model, x, state, None)
    return Generated(np.stack(values, 1), np.stack(logs, 1) if logs else None, state)


def own(values: Array, single: bool) -> Array:
    """A copy for a function of the caller."""
    return (values[0] if single else values).copy()


def chooser(
    model: Model, sample: Any, temperature: float, seeds: Array | None, single: bool
) -> Choose | None:
    """The function that chooses tokens; None where outputs are generated."""
    if sample is None:
        return None
    core, K = model.spec.core, model.spec.outputs

    def drawn(y: Array, t: int) -> tuple[Array, Array]:
        tokens, logs = np.empty(len(y), np.int64), np.empty(len(y))
        core.draw_tokens(y, temperature, seeds, tokens, logs)
        return tokens, logs

    def called(y: Array, t: int) -> tuple[Array, Array]:
        tokens = check.array("sample(y, t)", sample(own(y, single), t))
        shape = () if single else (len(y),)
        if tokens.dtype.kind not in "iu" or tokens.shape != shape:
            raise ValueError(
                f"sample(y, t): expected integers {shape}, got {tokens.shape} of {tokens.dtype}"
            )
        check.within("sample(y, t)", "tokens", tokens, 0, K - 1)
        tokens = as_index(tokens.reshape(-1))
        z = (y - y.max(axis=1, keepdims=True)).astype(float) / temperature
        logs = z[np.arange(len(y)), tokens] - np.log(np.exp(z).sum(axis=1))
        return tokens, logs

    return called if callable(sample) else drawn


def next_input(spec: Spec, given: Any, count: int, single: bool) -> Array:
    """What `feedback` returned as numbers (B, D) or tokens (B,)."""
    name, D = "feedback(y, t)", spec.input_size
    x = check.array(name, given)
    tokens = x.dtype.kind in "iu" and x.shape == (() if single else (count,))
    if not tokens and x.shape != ((D,) if single else (count, D)):
        lead: tuple[int | str, ...] = () if single else (count,)
        raise ValueError(
            f"{name}: expected {check.shapes((*lead, D))}, or {lead} integer tokens, got "
            f"{x.shape} of {x.dtype}"
        )
    if tokens and D > 1:
        check.within(name, "tokens", x, 0, D - 1)
        return as_index(x.reshape(-1))
    x = check.as_real(x.reshape(count, D), spec.dtype)
    check.all_finite(name, x[0] if single else x)
    return x


def one_of(result: Generated) -> Generated:
    """That of the only sequence."""
    values, logs, final = result
    state = tuple(part[0] for part in final) if isinstance(final, tuple) else final[0]
    return Generated(values[0], None if logs is None else logs[0], state)
