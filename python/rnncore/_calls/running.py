"""A network as a function: its outputs, losses and gradients."""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._calls.streaming import Streaming
from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._types import Array, State


class Output(NamedTuple):
    """What a network makes of its input.

    Attributes
    ----------
    y : ndarray
        The read-out's logits: (B, K), or (B, T, K) with ``readout="all"``. Without an
        ``output_size``, the states in their place (K = H, or 2 H).
    hidden : ndarray
        The last layer's states after every step, (B, T, H), of both directions (B, T, 2 H).
    final : ndarray, or pair of ndarray
        The state after each sequence's last counted step, (B, 1, H), or (B, R, H) with a row for
        each layer and direction; of an LSTM a pair (h, c).

    After the last step of a sequence that counts, ``y`` and ``hidden`` are zero. At a masked step
    before it ``y`` is zero, and ``hidden`` is the state that is carried on through the step.
    """

    y: Array
    hidden: Array
    final: State


class Function(Streaming):
    """What every network does with its input; see `rnncore.RNN` for the forms x may take."""

    # ---- running --------------------------------------------------------------------

    def _forward(
        self, inputs: Inputs, hidden: Array | None, final: Array | None, threads: int | None
    ) -> Array:
        if self._every_step:
            y = inputs.new_rows(self._outputs)
        else:
            y = np.empty((inputs.count, self._outputs), self._dtype)
        if self._engine.forward(inputs.batch, y, hidden, final, check.threads(threads)):
            inputs.explain()
        return inputs.padded(y) if self._every_step else y

    def __call__(
        self,
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
            See the notes of the class.

        Returns
        -------
        Output
            ``y``, ``hidden`` and ``final``; lists of sequences come back padded with zeros.

        Raises
        ------
        TypeError, ValueError
            For input of the wrong shape or type, not finite, or tokens out of range.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> out = rc.RNN(3, 5, 2)(np.zeros((4, 7, 3)))
        >>> out.y.shape, out.hidden.shape, out.final.shape
        ((4, 2), (4, 7, 5), (4, 1, 5))
        """
        inputs = self._inputs(x, h0, lengths, mask)
        hidden, final = inputs.new_rows(inputs.form.width), inputs.new_final()
        y = self._forward(inputs, hidden, final, threads)
        hidden = inputs.padded(hidden)
        if inputs.mask is not None:
            hidden[inputs.past_end] = 0
        return Output(y, hidden, inputs.state_of(final))

    def predict(
        self,
        x: npt.ArrayLike,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> Array:
        """What the network says of each sequence (or step), in the form of fit's targets.

        Returns
        -------
        ndarray
            For "cross_entropy" the likeliest class, (B,) or (B, T); for "bce" 0 or 1, for "poisson"
            the expected count, for "gaussian_nll" the means, and else the output itself, (B, K) or
            (B, T, K), of "gaussian_nll" half as many, without the last axis where it is 1.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> rc.RNN(3, 5, 1, loss="bce").predict(np.zeros((4, 7, 3))).shape
        (4,)
        """
        inputs = self._inputs(x, h0, lengths, mask)
        y = self._forward(inputs, None, None, threads)
        if self._loss is None:
            return y[..., 0] if self._outputs == 1 else y
        values = self._loss.reading.prediction(y)
        if values is not y:
            values = self._only_counted(inputs, values)
        if not self._loss.classes and values.shape[-1] == 1:
            values = values[..., 0]
        return values

    def predict_proba(
        self,
        x: npt.ArrayLike,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> Array:
        """Probabilities: of 1 at every output for "bce", of every class for "cross_entropy".

        Returns
        -------
        ndarray
            (B, K), or (B, T, K) with ``readout="all"``, as ``net(x).y``.

        Raises
        ------
        ValueError
            Where the network's loss is neither of the two.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> p = rc.RNN(3, 5, 4, loss="cross_entropy").predict_proba(np.zeros((2, 7, 3)))
        >>> p.shape, bool(np.allclose(p.sum(axis=1), 1))
        ((2, 4), True)
        """
        loss = self._loss
        if loss is None or loss.reading.probabilities is None:
            raise ValueError(
                "predict_proba: expected a network with loss 'bce' or 'cross_entropy', "
                f"got loss {self._config['loss']!r}"
            )
        inputs = self._inputs(x, h0, lengths, mask)
        y = self._forward(inputs, None, None, threads)
        return self._only_counted(inputs, loss.reading.probabilities(self._core, y))

    def _only_counted(self, inputs: Inputs, values: Array) -> Array:
        """Values of every step, zeros where a step does not count."""
        if self._every_step and inputs.ragged:
            values[~inputs.counted] = 0
        return values

    # ---- loss and gradient ----------------------------------------------------------

    def loss(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        threads: int | None = None,
        target_mask: npt.ArrayLike | None = None,
        reduction: str = "mean",
        sample_weight: npt.ArrayLike | None = None,
    ) -> float | Any:
        """The mean loss over the targets that count.

        Parameters
        ----------
        x, h0, lengths, mask, threads
            See the notes of the class.
        y : array_like
            Targets: integers (B,) for "cross_entropy", of which a negative one does not count,
            else numbers (B, K), or (B,) where K = 1; half as many for "gaussian_nll". With
            ``readout="all"`` one for every step: (B, T) or (B, T, K), or a list as long as that of
            x.
        target_mask : array_like of bool, or "nan"
            Which targets count: shaped as y, or without its last axis where all K outputs of a
            sequence or step do or do not. "nan": those that are not NaN. The targets of steps that
            do not count (by ``lengths`` or ``mask``) never do; a step whose target does not count
            is run like any other.
        sample_weight : array_like, optional
            What the loss of each target is multiplied by, at least 0: one number for every
            sequence, (B,), or with ``readout="all"`` also for every step, (B, T), or shaped as y.
            The mean is then the sum of w L over the sum of w.
        reduction : {"mean", "sum", "none"}
            "none" gives the loss of every target, times its weight: (B,) or (B, T) for
            "cross_entropy", else (B, K) or (B, T, K), without the last axis where K = 1; zero where
            a target does not count, lists padded with zeros.

        Returns
        -------
        float, or ndarray for "none"

        Raises
        ------
        TypeError, ValueError
            For bad input, a class that does not exist, a probability outside [0, 1], or a
            network without a loss.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net = rc.RNN(1, 1, 1, bias=False, loss="mse")
        >>> net.loss(np.zeros((2, 3, 1)), [1.0, 2.0])
        2.5
        """
        inputs = self._inputs(x, h0, lengths, mask)
        targets = outputs.targets(inputs, y, target_mask, sample_weight)
        losses = None
        if reduction != "mean":
            check.choice("reduction", reduction, ("mean", "sum", "none"))
            losses = outputs.new_losses(inputs) if reduction == "none" else None
        total, count, faults = self._engine.loss(
            inputs.batch, *targets, check.threads(threads), losses
        )
        if faults or not isfinite(total) or not count:
            outputs.explain(inputs, y, target_mask, sample_weight)
        if losses is not None:
            return outputs.losses_of(inputs, losses)
        return total / count if reduction == "mean" else total

    def loss_and_grad(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        threads: int | None = None,
        rng: int | np.random.Generator | None = None,
        truncate: int | None = None,
        target_mask: npt.ArrayLike | None = None,
        reduction: str = "mean",
        sample_weight: npt.ArrayLike | None = None,
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its exact gradient with respect to every parameter, by BPTT. [1]_

        Parameters
        ----------
        x, y, h0, lengths, mask, threads, target_mask, sample_weight
            As for `loss`.
        rng : int or numpy.random.Generator, optional
            With it, between-layer dropout acts as in `fit`, drawn from it; without, none does.
        truncate : int, optional
            Truncated BPTT, as in `fit`: gradients stay within windows of so many steps.
        reduction : {"mean", "sum"}
            Of the losses of the targets that count.

        Returns
        -------
        loss : float
        grads : dict of str to ndarray
            Named and shaped as in `parameters`, and like those views into one new vector.

        Raises
        ------
        TypeError, ValueError
            As `loss`.

        References
        ----------
        .. [1] P. J. Werbos, "Backpropagation through time: what it does and how to do it",
           Proceedings of the IEEE 78 (1990) 1550-1560.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net = rc.RNN(2, 3, 1, loss="mse", seed=0)
        >>> loss, grads = net.loss_and_grad(np.ones((4, 5, 2)), np.ones(4))
        >>> for name, values in net.parameters().items():
        ...     values -= 0.1 * grads[name]
        >>> net.loss(np.ones((4, 5, 2)), np.ones(4)) < loss
        True
        """
        inputs = self._inputs(x, h0, lengths, mask)
        targets = outputs.targets(inputs, y, target_mask, sample_weight)
        if reduction != "mean":
            check.choice("reduction", reduction, ("mean", "sum"))
        value, grads, faults = self._engine.gradient(
            inputs.batch, *targets, None, None, None, check.threads(threads),
            self._dropout_seed(rng), window(truncate), reduction == "mean",
        )  # fmt: skip
        if faults or not isfinite(value):
            outputs.explain(inputs, y, target_mask, sample_weight)
        return value, grads

    def vjp(
        self,
        x: npt.ArrayLike,
        dy: npt.ArrayLike,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        threads: int | None = None,
        rng: int | np.random.Generator | None = None,
        truncate: int | None = None,
    ) -> tuple[dict[str, Array], Array | list[Array] | None, State]:
        """Backpropagate a slope of your own: the gradient of ``sum(dy * net(x).y)``.

        With ``dy = dL/dy`` of any loss L of the outputs, these are the gradients of L.

        Parameters
        ----------
        x, h0, lengths, mask, threads
            See the notes of the class.
        dy : array_like
            Shaped as ``net(x).y``; a last axis of length 1 may be left out.
        rng, truncate
            As for `loss_and_grad`.

        Returns
        -------
        grads : dict of str to ndarray
            As from `loss_and_grad`.
        dx : ndarray, list of ndarray, or None
            With respect to x, in its form; None for tokens.
        dh0 : ndarray, or pair of ndarray
            With respect to the initial state: shaped as h0; as ``Output.final`` where none was
            given.

        Raises
        ------
        TypeError, ValueError
            For input of the wrong shape or type, or not finite.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net, x = rc.RNN(2, 3, 1, seed=0), np.ones((4, 5, 2))
        >>> grads, dx, dh0 = net.vjp(x, np.ones((4, 1)))
        >>> dx.shape, dh0.shape
        ((4, 5, 2), (4, 1, 3))
        """
        inputs = self._inputs(x, h0, lengths, mask)
        slopes = outputs.reals(inputs, "dy", dy, inputs.form.outputs)
        dx = None
        if inputs.x is not None:
            dx = inputs.new_rows(self.input_size, partly=truncate is not None)
        dh0 = inputs.new_state()
        _, grads, faults = self._engine.gradient(
            inputs.batch, None, None, None, slopes, dx, dh0, check.threads(threads),
            self._dropout_seed(rng), window(truncate),
        )  # fmt: skip
        if faults:
            inputs.explain()
            where = inputs.counted[:, :, None] if self._every_step else None
            check.all_finite("dy", outputs.shaped(inputs, slopes), where)
        return grads, None if dx is None else inputs.like_x(dx), inputs.slopes_of_state(dh0)

    def _dropout_seed(self, rng: int | np.random.Generator | None) -> int | None:
        return None if rng is None else check.seed("rng", rng)


def window(truncate: int | None) -> int:
    """Steps of a truncation window for the core, where 0 is all of them."""
    return 0 if truncate is None else check.whole("truncate", truncate, 1)
