"""Networks that choose, and whose choices decide what they see next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._calls.generate import PIECE
from rnncore._calls.streaming import arrays_of
from rnncore._checks import arguments as check
from rnncore._dynamics.choices import chooses, probabilities
from rnncore._networks.network import Network
from rnncore._types import Array, State

#: ``environment(choices, trial, rng)`` returns the inputs of the next trial, (sessions, D).
Environment = Callable[[Array, int, np.random.Generator], Any]


class Simulation(NamedTuple):
    """What a network did on its own.

    Attributes
    ----------
    x : ndarray
        Its inputs, (sessions, trials, D).
    choices : ndarray of int
        What it chose, (sessions, trials).
    probabilities : ndarray
        How likely each choice was, (sessions, trials, choices).
    """

    x: Array
    choices: Array
    probabilities: Array

    def __repr__(self) -> str:
        sessions, trials, choices = self.probabilities.shape
        return f"Simulation({sessions} sessions of {trials} trials, {choices} choices)"


@dataclass(frozen=True, eq=False)
class Table:
    """An environment with which `simulate` runs in compiled code.

    One of several outcomes follows a choice, with probabilities that depend on the choice, and
    perhaps on the trial; choice and outcome are the next input.

    Parameters
    ----------
    inputs : array_like
        The input of the next trial after each choice and outcome: numbers (choices, outcomes, D),
        or integer tokens (choices, outcomes).
    probabilities : array_like
        How likely each outcome of each choice is, (choices, outcomes), or (trials, choices,
        outcomes) where that changes from trial to trial. Over outcomes they sum to 1.

    Raises
    ------
    TypeError, ValueError
        If the arrays have the wrong shapes or types, or probabilities are negative or do not sum
        to 1.

    Examples
    --------
    A bandit with two arms that pay in a fifth and in four fifths of the trials; the network sees
    which arm it chose, and whether that paid:

    >>> import rnncore as rc
    >>> from rnncore import dynamics
    >>> bandit = dynamics.Table(
    ...     inputs=[[[0, 0], [0, 1]], [[1, 0], [1, 1]]], probabilities=[[0.8, 0.2], [0.2, 0.8]]
    ... )
    >>> net = rc.GRU(2, 2, 1, loss="bce", readout="all", seed=0)
    >>> dynamics.simulate(net, bandit, 200, sessions=500, rng=0).choices.shape
    (500, 200)
    """

    inputs: npt.ArrayLike
    probabilities: npt.ArrayLike

    def __post_init__(self) -> None:
        x, p = check.array("inputs", self.inputs), check.array("probabilities", self.probabilities)
        tokens = x.ndim == 2 and x.dtype.kind in "iu"
        if not tokens and x.ndim != 3:
            raise ValueError(
                "inputs: expected numbers (choices, outcomes, D) or integer tokens (choices, "
                f"outcomes), got {x.shape} of {x.dtype}"
            )
        choices, outcomes = x.shape[:2]
        if choices < 2 or outcomes < 1:
            raise ValueError(
                f"inputs: expected at least 2 choices and 1 outcome, got {choices} and {outcomes}"
            )
        p = check.as_real(p, np.dtype(float))
        if p.shape[-2:] != (choices, outcomes) or p.ndim not in (2, 3) or not len(p):
            wanted = check.shapes((choices, outcomes), ("trials", choices, outcomes))
            raise ValueError(f"probabilities: expected {wanted}, got {p.shape}")
        check.all_finite("inputs", x)
        check.all_finite("probabilities", p)
        if (p < 0).any():
            where = check.first(p < 0)
            raise ValueError(f"probabilities: expected at least 0, got {p[where]:.6g} at {where}")
        total = p.sum(axis=-1)
        if (abs(total - 1) > 1e-6).any():
            where = check.first(abs(total - 1) > 1e-6)
            raise ValueError(
                f"probabilities: expected a sum of 1 over outcomes, got {total[where]:.6g} at "
                f"{where}"
            )
        for name, values in (("inputs", x.copy()), ("probabilities", p.copy())):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def rows_for(self, net: Network) -> Array:
        """The inputs as numbers (choices, outcomes, D) of the network's precision."""
        x, D = np.asarray(self.inputs), net.input_size
        choices = max(net._model.spec.outputs, 2)
        if x.ndim == 2:
            check.within("inputs", "tokens", x, 0, D - 1)
            x = np.eye(D)[x]
        if (len(x), x.shape[2]) != (choices, D):
            wanted = check.shapes((choices, "outcomes", D))
            raise ValueError(f"inputs: expected {wanted}, got {x.shape}")
        return check.as_real(x, net.dtype)


def simulate(
    net: Network,
    environment: Table | Environment,
    trials: int,
    *,
    sessions: int = 1,
    first: npt.ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
) -> Simulation:
    """Let a network choose, and feed what comes of it back as its next input.

    Parameters
    ----------
    net : rnncore.RNN, GRU, LSTM or MGU
        In one direction, with ``readout="all"`` or "before" and loss "cross_entropy", or "bce" and
        one output.
    environment : Table or callable
        What follows a choice: a table, with which the whole simulation is one compiled call; or
        ``environment(choices, trial, rng)``, which returns the inputs of the next trial,
        (sessions, D), from the choices (sessions,) at this one, counted from 0.
    trials, sessions : int
    first : array_like, optional
        The input before the first choice, (D,) or (sessions, D); zeros if not given. None with
        ``readout="before"``, where the first choice is read out of the first state.
    rng : int or numpy.random.Generator, optional
        For the choices, and for the environment.

    Returns
    -------
    Simulation

    Raises
    ------
    TypeError, ValueError
        If the network does not choose, an argument has the wrong shape or type or is not finite, a
        table has other choices or inputs than the network or too few trials, or the network's
        outputs do not stay finite.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> from rnncore import dynamics
    >>> def bandit(choices, trial, rng):
    ...     rewards = rng.random(len(choices)) < np.where(choices == 1, 0.8, 0.2)
    ...     return np.stack([choices, rewards], axis=1)
    >>> net = rc.GRU(2, 2, 1, loss="bce", readout="all", seed=0)
    >>> dynamics.simulate(net, bandit, 50, sessions=4, rng=0).choices.shape
    (4, 50)
    """
    chooses(net)
    net._model.check_not_switching("net")
    if net.config["loss"] == "bce" and net.output_size != 1:
        raise ValueError(
            f'net: expected one output with loss="bce", got {net.output_size}; with '
            '"cross_entropy" there is one for each choice'
        )
    trials, sessions = check.whole("trials", trials, 1), check.whole("sessions", sessions, 1)
    generator = check.generator("rng", rng)
    if net.readout == "before" and first is not None:
        raise ValueError('first: expected None with readout="before", got an input')
    given = np.zeros(net.input_size) if first is None else check.array("first", first)
    check.same_shape("first", given, (net.input_size,), (sessions, net.input_size))
    check.all_finite("first", given)
    x = np.empty((sessions, net.input_size), net.dtype)
    x[:] = check.as_real(given, net.dtype)
    if isinstance(environment, Table):
        return by_table(net, environment, trials, x, generator)
    if not callable(environment):
        raise TypeError(
            f"environment: expected a Table or a function, got {check.kind(environment)}"
        )
    return by_function(net, environment, trials, x, generator)


def by_table(
    net: Network, table: Table, trials: int, x: Array, generator: np.random.Generator
) -> Simulation:
    """From the first inputs x (sessions, D), which are written over, in compiled code."""
    rows, p = table.rows_for(net), np.asarray(table.probabilities)
    p = p[None] if p.ndim == 2 else p
    if len(p) not in (1, trials):
        check.same_shape("probabilities", p, (trials, *p.shape[1:]))
    (sessions, D), choices = x.shape, len(rows)
    streams = net.streams(sessions)
    state, spare = streams.state, streams.state  # a copy each
    y = np.empty((sessions, net._model.spec.outputs), net.dtype)
    seeds: Array = generator.integers(2**63, size=(sessions,)).astype(np.uint64)
    seen = np.empty((sessions, trials, D), net.dtype)
    chosen = np.empty((sessions, trials), np.int64)
    likely = np.empty((sessions, trials, choices))
    done, piece = 0, max(1, PIECE // (sessions * net.flat.size))
    while done < trials:
        last = min(trials, done + piece)
        done = net._model.stream.play(
            done, last, y, state, spare, x, rows, p, seeds, seen, chosen, likely
        )
        if done < last:
            raise not_finite(done)
    return Simulation(seen, chosen, likely)


def by_function(
    net: Network, environment: Environment, trials: int, x_t: Array, generator: np.random.Generator
) -> Simulation:
    """From the first inputs x_t (sessions, D), trial by trial."""
    before, sessions = net.readout == "before", len(x_t)
    state: State | None = None
    seen, chosen, likely = [], [], []
    for trial in range(trials):
        y, after = net.step(x_t, state)
        state = state if before else after
        if not all(np.isfinite(part).all() for part in (y, *arrays_of(after))):
            raise not_finite(trial)
        p = probabilities(y)
        choices = (generator.random((sessions, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
        if not before:
            seen.append(x_t)
        chosen.append(choices)
        likely.append(p)
        answer = check.array("environment", environment(choices, trial, generator))
        check.same_shape("environment", answer, (sessions, net.input_size))
        check.all_finite("environment", answer)
        x_t = np.ascontiguousarray(answer, net.dtype)
        if before:
            seen.append(x_t)
            _, state = net.step(x_t, state)
    return Simulation(*(np.stack(parts, axis=1) for parts in (seen, chosen, likely)))


def not_finite(trial: int) -> ValueError:
    return ValueError(f"net: expected outputs that stay finite, got others at trial {trial}")
