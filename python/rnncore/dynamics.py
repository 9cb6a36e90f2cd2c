"""What a small network has learnt: how its state moves under each input and where it rests; and of
one that chooses, how likely it finds each choice, and how it behaves on its own.

`fixed_points` and `flow_field` are for any network, the others for networks whose targets are
choices: ``loss="bce"`` (the logit of choosing 1), or ``loss="cross_entropy"``; of two classes, the
logit is that of class 1 against class 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._diagnostics import drawing, fields
from rnncore._diagnostics.fields import Field
from rnncore._diagnostics.fixed_points import FixedPoints
from rnncore._dynamics.choices import check_network, chooses
from rnncore._dynamics.simulation import Simulation, Table, simulate
from rnncore._networks.network import Network
from rnncore._types import Array

__all__ = [
    "Portrait",
    "Simulation",
    "Table",
    "choice_probabilities",
    "fixed_points",
    "flow_field",
    "phase_portrait",
    "simulate",
    "vector_field",
]


class Portrait(NamedTuple):
    """How the logit of a network of one unit changes under each input.

    Attributes
    ----------
    state : ndarray
        h before the input, (points,).
    logit : ndarray
        The logit of that state, (points,).
    change : ndarray
        The logit after each input minus that before it, (inputs, points).
    learning_rate : ndarray
        1 - d(logit after) / d(logit before), (inputs, points): 1 where an input overwrites what was
        there, 0 where it only adds to it; of an agent that learns by a delta rule, its rate.
    """

    state: Array
    logit: Array
    change: Array
    learning_rate: Array

    def __repr__(self) -> str:
        return (
            f"Portrait(of {len(self.change)} inputs: state, logit {self.state.shape}, change "
            f"{self.change.shape})"
        )

    def plot(self, labels: Any = None, ax: Any = None) -> Any:
        """Draw the change of the logit against the logit, a line for each input.

        Needs matplotlib.

        Parameters
        ----------
        labels : sequence of str, optional
            Names of the inputs.
        ax : matplotlib axes, optional
            Where to draw. If not given, a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> figure = portrait.plot(["lost", "won"])  # doctest: +SKIP
        """
        (ax,) = drawing.panels(ax, (2.6,))
        for i, change in enumerate(self.change):
            label = None if labels is None else labels[i]
            colour, style = drawing.COLOURS[i % 4], ("-", "--", "-.", ":")[i % 4]
            ax.plot(self.logit, change, style, color=colour, label=label)
        ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        ax.set_xlabel("logit", fontsize=8)
        drawing.tidy(ax, "change of the logit")
        if labels is not None:
            drawing.legend_above(ax)
        return ax.figure


def choice_probabilities(net: Network, x: Any, y: Any, **options: Any) -> Array:
    """The probability that a network gives to each choice that was made.

    Parameters
    ----------
    net : rnncore.RNN, GRU, LSTM or MGU
        With loss "bce" or "cross_entropy".
    x, y, **options
        As for `rnncore.RNN.loss`: y the choices.

    Returns
    -------
    ndarray
        Shaped as y.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> from rnncore import dynamics
    >>> net = rc.GRU(3, 2, 2, loss="cross_entropy", readout="all", seed=0)
    >>> dynamics.choice_probabilities(net, np.zeros((5, 20, 3)), np.ones((5, 20), int)).shape
    (5, 20)
    """
    chooses(net)
    result: Array = np.exp(-np.asarray(net.loss(x, y, reduction="none", **options)))
    return result


def phase_portrait(
    net: Network, inputs: npt.ArrayLike, *, extent: tuple[float, float] = (-1.0, 1.0),
    points: int = 101,
) -> Portrait:  # fmt: skip
    """How the logit of a network of one unit changes under each of some inputs. [1]_

    Parameters
    ----------
    net : rnncore.RNN, GRU or MGU
        Of one unit and one layer, with a read-out of one logit or two classes.
    inputs : array_like
        (inputs, D); of a network with ``switching=True`` integer tokens, (inputs,).
    extent : pair of float
        Between which states.
    points : int

    Returns
    -------
    Portrait

    References
    ----------
    .. [1] L. Ji-An, M. K. Benna and M. G. Mattar, "Discovering cognitive strategies with tiny
       recurrent neural networks", Nature 644 (2025) 993-1001.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> from rnncore import dynamics
    >>> net = rc.GRU(2, 1, 1, loss="bce", readout="all", seed=0)
    >>> dynamics.phase_portrait(net, [[0, 0], [0, 1], [1, 0], [1, 1]]).change.shape
    (4, 101)
    """
    rows = checked_inputs(net, inputs, 1)
    points = check.whole("points", points, 2)
    state = np.linspace(*extent, points)
    before = logit(net, state[:, None])
    after = np.stack([logit(net, stepped(net, row, state[:, None])) for row in rows])
    slope = np.gradient(after, axis=1) / np.gradient(before)
    return Portrait(state, before, after - before, 1 - slope)


def vector_field(
    net: Network, inputs: npt.ArrayLike, *, extent: tuple[float, float] = (-1.0, 1.0),
    points: int = 15,
) -> Field:  # fmt: skip
    """How the state of a network of two units moves under each of some inputs.

    Parameters
    ----------
    net, inputs, extent, points
        As for `phase_portrait`, of two units; ``points`` along each side of the grid.

    Returns
    -------
    Field

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> from rnncore import dynamics
    >>> net = rc.GRU(2, 2, 1, loss="bce", readout="all", seed=0)
    >>> dynamics.vector_field(net, [[0, 0], [1, 1]]).change.shape
    (2, 15, 15, 2)
    """
    rows = checked_inputs(net, inputs, 2)
    field = fields.flow_field(net, rows, extent=extent, points=points)
    return field._replace(
        logit=logit(net, field.state.reshape(-1, 2)).reshape(field.state.shape[:2])
    )


def flow_field(
    net: Network, x: npt.ArrayLike, *, extent: tuple[float, float] | None = None,
    points: int | None = None,
) -> Field:  # fmt: skip
    """How the state of a network moves under an input, or under each of some.

    Parameters
    ----------
    net : rnncore.RNN, GRU, LSTM or MGU
        In one direction, with any loss or none. Its state consists of one or two numbers: up to two
        units of an RNN, GRU or MGU, or one of an LSTM (h and c).
    x : array_like
        One input, (D,) or a token; or several, (inputs, D) or (inputs,) tokens.
    extent : pair of float, optional
        Between which states, along each axis; if not given, over the range of the cell, or where it
        has no bound from -2 or to 2.
    points : int, optional
        Along each side of the grid; 101 of a state of one number, 15 of two, if not given.

    Returns
    -------
    Field

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape or type or is not finite, or the network too many units.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> from rnncore import dynamics
    >>> field = dynamics.flow_field(rc.GRU(2, 2, seed=0), [0.0, 1.0])
    >>> field.state.shape, field.change.shape
    ((15, 15, 2), (1, 15, 15, 2))
    """
    check_network(net)
    return fields.flow_field(net, x, extent=extent, points=points)


def fixed_points(net: Network, x: npt.ArrayLike, starts: Any = 256, **options: Any) -> FixedPoints:
    """States that an input does not change: ``net.fixed_points(x, starts, ...)``.

    Parameters
    ----------
    net : rnncore.RNN, GRU, LSTM or MGU
    x, starts, **options
        As for `rnncore.RNN.fixed_points`.

    Returns
    -------
    FixedPoints

    Examples
    --------
    >>> import rnncore as rc
    >>> from rnncore import dynamics
    >>> net = rc.RNN(1, 1, bias=False, seed=0)  # its weight is below 1: it forgets
    >>> dynamics.fixed_points(net, [0.0]).stability.tolist()
    ['stable']
    """
    check_network(net)
    return net.fixed_points(x, starts, **options)


def checked_inputs(net: Network, inputs: Any, units: int) -> Array:
    """The inputs as rows, of a switching network as tokens; the network has so many units, and one
    logit."""
    chooses(net)
    config = net.config
    if (
        (net.hidden_size, config["num_layers"], config["bidirectional"]) != (units, 1, False)
        or config.get("skip") is not None or net._cell.states != 1
    ):  # fmt: skip
        raise ValueError(
            f"net: expected an RNN, GRU or MGU of {units} unit{'s' * (units > 1)}, one layer and "
            f"direction, got {net!r}"
        )
    if (config["loss"], net.output_size) not in (("bce", 1), ("cross_entropy", 2)):
        raise ValueError(
            'net: expected one output with loss="bce" or two with "cross_entropy", got '
            f"{net.output_size} with {config['loss']!r}"
        )
    rows = check.array("inputs", inputs)
    if net._model.spec.switching:
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
            raise TypeError(
                "inputs: expected integer tokens, (inputs,), of a network with switching=True, got "
                f"{rows.shape} of {rows.dtype}"
            )
        check.within("inputs", "tokens", rows, 0, net.input_size - 1)
        return rows
    if rows.ndim != 2 or rows.shape[1] != net.input_size or not len(rows):
        raise ValueError(f"inputs: expected (inputs, {net.input_size}), got {rows.shape}")
    check.all_finite("inputs", rows)
    return np.asarray(rows, float)


def logit(net: Network, states: Array) -> Array:
    """The logit that is read out of states (n, H)."""
    p = net.parameters()
    y = states @ p["head.weight"].T.astype(float) + p.get("head.bias", np.zeros(1))
    result: Array = y[:, 0] if y.shape[1] == 1 else y[:, 1] - y[:, 0]
    return result


def stepped(net: Network, row: Array, states: Array) -> Array:
    """The states (n, H) after one step with an input (D,), or of a switching network a token."""
    x = np.array(np.broadcast_to(row, (len(states), *row.shape)))
    x = x if net._model.spec.switching else x.astype(net.dtype)
    _, after = net.step(x, states.astype(net.dtype)[:, None])
    return np.asarray(after, float)[:, 0]
