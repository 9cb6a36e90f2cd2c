"""Running a network on sequences: outputs, predictions, probabilities.

The functions with a ``self`` are methods of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data.inputs import Inputs
from rnncore._model.model import HasModel, Model
from rnncore._types import Array, State


class Output(NamedTuple):
    """What a network computes from its input.

    Attributes
    ----------
    y : ndarray
        The read-out's logits: (B, K), or (B, T, K) with ``readout="all"`` or "before". Without an
        ``output_size``, the states in their place (K = H, or 2 H).
    hidden : ndarray
        The last layer's states after every step, (B, T, H), of both directions (B, T, 2 H).
    final : ndarray, or pair of ndarray
        The state after each sequence's last counted step, (B, 1, H), or (B, R, H) with a row for
        each layer and direction; of an LSTM a pair (h, c).

    After the last step of a sequence that counts, ``y`` and ``hidden`` are zero. At a masked step
    before it ``y`` is zero, and ``hidden`` is the state that is carried on through the step.

    Printed, it shows shapes; ``out.y`` and the others show the numbers.
    """

    y: Array
    hidden: Array
    final: State

    def __repr__(self) -> str:
        pair = isinstance(self.final, tuple)
        return (
            f"Output(y {np.shape(self.y)}, hidden {np.shape(self.hidden)}, "
            f"final {'h and c ' if pair else ''}"
            f"{np.shape(self.final[0] if pair else self.final)} of {np.asarray(self.y).dtype})"
        )


def __call__(
    self: HasModel,
    x: npt.ArrayLike,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Output:
    """Run the network.

    Parameters
    ----------
    x, h0, lengths, mask, threads
        See the notes of `rnncore.RNN`.

    Returns
    -------
    Output
        ``y``, ``hidden`` and ``final``; those of a list of sequences are padded with zeros.

    Raises
    ------
    TypeError, ValueError
        If the input has the wrong shape or type, is not finite, or has tokens out of range.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> out = rc.RNN(3, 5, 2)(np.zeros((4, 7, 3)))
    >>> out
    Output(y (4, 2), hidden (4, 7, 5), final (4, 1, 5) of float32)
    >>> y, hidden, final = out
    """
    model = self._model
    spec = model.spec
    plain = spec.core.plain_forward(model.engine, x, h0, lengths, mask, threads, True)
    if plain is not None:
        return Output(*plain)
    inputs = Inputs(spec, x, h0, lengths, mask)
    hidden, final = inputs.new_rows(spec.width), inputs.new_final()
    y = forward(model, inputs, hidden, final, threads)
    return Output(y, inputs.states(hidden), inputs.state_of(final))


def predict(
    self: HasModel,
    x: npt.ArrayLike,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Array:
    """The prediction for each sequence (or step), in the form of the targets of `fit`.

    Parameters
    ----------
    x, h0, lengths, mask, threads
        See the notes of `rnncore.RNN`.

    Returns
    -------
    ndarray
        For "cross_entropy" the likeliest class, (B,) or (B, T). For other losses (B, K) or
        (B, T, K), without the last axis where K = 1: for "bce" 0 or 1, for "poisson" the expected
        count, for "gaussian_nll" the means (K is then half the ``output_size``), else the output
        itself. T is the number of steps of the longest sequence: of a list of sequences, too, it
        is one array, which is zero at steps that do not exist or do not count.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.RNN(3, 5, 1, loss="bce").predict(np.zeros((4, 7, 3))).shape
    (4,)
    """
    model = self._model
    y, counted = outputs_of(model, x, h0, lengths, mask, threads)
    loss = model.spec.loss
    if loss is None:
        return y[..., 0] if model.spec.outputs == 1 else y
    values = loss.reading.prediction(y)
    if counted is not None and values is not y:
        values[~counted] = 0
    return values if loss.classes or values.shape[-1] > 1 else values[..., 0]


def predict_proba(
    self: HasModel,
    x: npt.ArrayLike,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    threads: int | None = None,
) -> Array:
    """Probabilities: of 1 at every output for "bce", of every class for "cross_entropy".

    Parameters
    ----------
    x, h0, lengths, mask, threads
        See the notes of `rnncore.RNN`.

    Returns
    -------
    ndarray
        (B, K), or (B, T, K) with ``readout="all"``, as ``net(x).y``; of a list of sequences
        padded with zeros likewise.

    Raises
    ------
    ValueError
        If the network's loss is neither of the two.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> p = rc.RNN(3, 5, 4, loss="cross_entropy").predict_proba(np.zeros((2, 7, 3)))
    >>> p.shape, bool(np.allclose(p.sum(axis=1), 1))
    ((2, 4), True)
    """
    model = self._model
    spec, loss = model.spec, model.spec.loss
    if loss is None or loss.reading.probabilities is None:
        raise ValueError(
            "predict_proba: expected a network with loss 'bce' or 'cross_entropy', "
            f"got loss {model.config['loss']!r}"
        )
    y, counted = outputs_of(model, x, h0, lengths, mask, threads)
    p = loss.reading.probabilities(spec.core, y)
    if counted is not None:
        p[~counted] = 0
    return p


def outputs_of(
    model: Model, x: Any, h0: Any, lengths: Any, mask: Any, threads: int | None
) -> tuple[Array, Array | None]:
    """The outputs, and where there are some at steps that do not count, which steps count."""
    y = model.spec.core.plain_forward(model.engine, x, h0, lengths, mask, threads, False)
    if y is not None:
        return y, None
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    y = forward(model, inputs, None, None, threads)
    return y, inputs.counted if model.spec.every_step and inputs.ragged else None


def forward(
    model: Model, inputs: Inputs, hidden: Array | None, final: Array | None, threads: int | None
) -> Array:
    """The outputs, (B, K) or (B, T, K). States after every step and final states are written to
    `hidden` and `final` if these are given."""
    spec = model.spec
    y = inputs.new_outputs()
    faults = model.engine.forward(
        inputs.batch, y.reshape(-1, spec.outputs),
        None if hidden is None else hidden.reshape(-1, spec.width), *inputs.parts(final),
        check.threads(threads),
    )  # fmt: skip
    if faults:
        inputs.explain()
    return inputs.padded(y) if spec.every_step else y
