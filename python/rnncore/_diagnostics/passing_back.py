"""How dL/dh passes back through one sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnncore._checks import arguments as check
from rnncore._diagnostics.jacobians import jacobians_of_one
from rnncore._diagnostics.terms import terms_of
from rnncore._model.model import Model
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._diagnostics.flow import GradientFlow


class WayBack(NamedTuple):
    """One sequence of a `GradientFlow`, in the last layer's forward direction. A state has n
    numbers: h, of an LSTM [h c], with a skip connection [h_t .. h_{t-s+1}]."""

    jacobians: Array  # d state_t / d state_{t-1}, (T, n, n)
    slopes: Array  # dL/dy_t, (T, K), zero where there is no loss
    direct: Array  # dL/dy dy/d state_t of the outputs that read that state, (T + 1, n)
    states: Array  # dL/d state_t through all that follows, (T + 1, n)
    terms: Array  # what each step contributes to the gradient, (T, parameters)


def way_back(flow: GradientFlow, sequence: Any, last_only: bool) -> WayBack:
    """Of one sequence, for all losses or for that of its last step alone."""
    model, inputs = flow._model, flow._inputs
    b = check.whole("sequence", sequence, 0, inputs.count - 1)
    chosen, lengths = np.array([b], np.int64), flow._lengths
    given = flow._given, flow._dy
    jacobians = jacobians_of_one(model, inputs, chosen, int(lengths[b]))
    terms = terms_of(model, inputs, lengths, *given, last_only, chosen).values
    read = with_bias(model)
    K, H = read.spec.outputs, read.spec.hidden_size
    at = column_of(read, "head.bias")
    slopes = terms_of(read, inputs, lengths, *given, last_only, chosen).values[:, at : at + K]
    direct = np.zeros((len(jacobians) + 1, jacobians.shape[-1]))
    rows = slice(0, -1) if model.spec.before else slice(1, None)
    direct[rows, :H] = slopes @ read.parameters["head.weight"][:, :H]
    states = direct.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(len(jacobians), 0, -1):
            states[t - 1] += states[t] @ jacobians[t - 1]
    return WayBack(jacobians, slopes, direct, states, terms)


def slopes_of_state(flow: GradientFlow, sequence: int, jacobians: Array) -> Array:
    """dh_j/dW of every step j, (T, parameters), where the state is one number and h_{j-1} is held
    fixed: the terms of the gradient of sum_t v_t h_t with v_t = 1 - J_{t+1}, because then every
    dL/dh_t is 1."""
    model, inputs, steps = flow._model, flow._inputs, len(jacobians)
    states = model.changed(output_size=None, readout="all", readout_bias=None, loss=None)
    for name, values in states.parameters.items():
        values[...] = model.parameters[name]
    dy = np.zeros((inputs.batch.rows, states.spec.outputs))
    begin = sequence * inputs.time if inputs.start is None else int(inputs.start[sequence])
    dy[begin : begin + steps, 0] = 1 - np.append(jacobians[1:, 0, 0], 0)
    terms = np.zeros((steps, states.flat.size))
    squares = np.zeros((states.spec.passes, steps + 1, 3))
    states.spec.core.terms(
        states.engine, inputs.batch, None, None, None, dy, np.array([sequence], np.int64), 1.0,
        terms, squares,
    )  # fmt: skip
    return terms


def with_bias(model: Model) -> Model:
    """The same network with a read-out that has a bias: the terms of its gradient are dL/dy."""
    if "head.bias" in model.parameters:
        return model
    read = model.changed(output_size=model.spec.outputs, readout_bias=True)
    read.parameters["head.weight"][...] = np.eye(*read.parameters["head.weight"].shape)
    read.parameters["head.bias"][...] = 0
    for name, values in model.parameters.items():
        read.parameters[name][...] = values
    return read


def column_of(model: Model, name: str) -> int:
    """Where a parameter begins in the flat vector."""
    at = 0
    for other, values in model.parameters.items():
        if other == name:
            break
        at += values.size
    return at


def state_gradients(self: GradientFlow, sequence: int = 0, *, last_only: bool = False) -> Array:
    """dL/dh_t of one sequence, unit by unit; of the last layer, in its forward direction.

    Parameters
    ----------
    sequence : int, optional
        Which one of the batch, counted from 0.
    last_only : bool, optional
        Of the loss of the last step alone, where there is one at every step.

    Returns
    -------
    ndarray
        (T + 1, n), float64, T being the steps of that sequence: row t is dL/dh_t, row 0 of the
        state before the first step. n = H; of an LSTM 2 H, h followed by c; with a skip connection
        s H, those of h_t first.

    Raises
    ------
    TypeError, ValueError
        If there is no such sequence.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net, x = rc.RNN(1, 3, 1, loss="mse", dtype="float64", seed=0), np.ones((2, 50, 1))
    >>> slopes = net.gradient_flow(x, np.zeros(2)).state_gradients(1)
    >>> slopes.shape
    (51, 3)
    >>> dh0 = net.vjp(x, 2 * net(x).y / 2)[2]
    >>> bool(np.allclose(slopes[0], dh0[1]))
    True
    """
    return way_back(self, sequence, check.flag("last_only", last_only)).states
