"""How the states of a network of one or two units move under an input."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._diagnostics import state_plots
from rnncore._diagnostics.step_map import StepMap, repeated
from rnncore._model.model import HasModel
from rnncore._types import Array

#: Along each side of a grid of states of one number, and of two.
POINTS = 101, 15


class Field(NamedTuple):
    """How the state of a network of one or two units moves under each input.

    Attributes
    ----------
    state : ndarray
        The state before the input, on a grid: (points, 1), or of two numbers (points, points, 2).
    change : ndarray
        The state after each input minus that before it, (inputs, *state.shape).
    logit : ndarray or None
        The logit of each state, shaped as ``state`` without its last axis, of `vector_field`.
    """

    state: Array
    change: Array
    logit: Array | None = None

    def __repr__(self) -> str:
        logit = "" if self.logit is None else f", logit {self.logit.shape}"
        return (
            f"Field(of {len(self.change)} inputs: state {self.state.shape}, change "
            f"{self.change.shape}{logit})"
        )

    def plot(self, labels: Any = None, ax: Any = None) -> Any:
        """Draw the change of the state: of one number a curve for each input, of two arrows in a
        panel for each input. An arrow's length grows with the root of the distance. Shades are
        logits, where there are any, else that distance.

        Needs matplotlib.

        Parameters
        ----------
        labels : sequence of str, optional
            Names of the inputs.
        ax : matplotlib axes, optional
            Where to draw; of a state of two numbers one for each input, or one for the first input
            alone. If not given, a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> figure = field.plot(["lost", "won"])  # doctest: +SKIP
        """
        return state_plots.field(self, labels, ax)


def flow_field(
    self: HasModel,
    x: npt.ArrayLike,
    *,
    extent: tuple[float, float] | None = None,
    points: int | None = None,
) -> Field:
    """`rnncore.dynamics.flow_field`."""
    step = StepMap(self._model, "net")
    if step.n > 2:
        raise ValueError(
            "net: expected a network whose state is one or two numbers (an RNN, GRU or MGU of up "
            f"to two units, an LSTM of one), got one of {step.n} numbers"
        )
    rows = inputs_of(step, x)
    count = POINTS[step.n - 1] if points is None else check.whole("points", points, 2)
    sides = [np.linspace(*ends, count) for ends in extent_of(step, extent)]
    state = np.stack(np.meshgrid(*sides), axis=-1)
    return Field(state, changes(step, state, rows))


def inputs_of(step: StepMap, x: Any) -> Array:
    """One input or several, as rows: (inputs, D), or tokens (inputs,)."""
    given = check.array("x", x)
    spec, integers = step.spec, given.ndim == 1 and given.dtype.kind in "iu"
    tokens = integers and (spec.switching or given.shape != (spec.input_size,))
    several = given.ndim == 2 or tokens
    if several and not len(given):
        raise ValueError(f"x: expected at least 1 input, got shape {given.shape}")
    return step.checked_inputs("x", given, given.shape[:1] if several else (1,))


def extent_of(step: StepMap, extent: Any) -> list[tuple[float, float]]:
    """Between which numbers a grid lies along each axis: those given, else the cell's range."""
    if extent is None:
        return [
            (max(float(low), -2.0), min(float(high), 2.0))
            for low, high in zip(*step.range(), strict=True)
        ]
    given = check.array("extent", extent)
    check.same_shape("extent", given, (2,))
    check.all_finite("extent", given)
    if not given[0] < given[1]:
        raise ValueError(f"extent: expected (low, high) with low < high, got {extent}")
    return [(float(given[0]), float(given[1]))] * step.n


def changes(step: StepMap, state: Array, rows: Array) -> Array:
    """The states after each input minus those before it, (inputs, *state.shape)."""
    flat = state.reshape(-1, step.n)
    after = [step(flat, repeated(row, len(flat))) for row in rows]
    result: Array = np.stack([(new - flat).reshape(state.shape) for new in after])
    return result
