"""A network: a function that can be trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from rnncore._calls.running import Function
from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data import splits as training_data
from rnncore._diagnostics.flow import GradientFlow
from rnncore._diagnostics.trace import Trace, trace
from rnncore._model.initial import Init
from rnncore._training import run as training
from rnncore._training.history import History
from rnncore._training.objective import Objective
from rnncore._training.options import options
from rnncore.schedules import Schedule


class Common(TypedDict, total=False):
    """The options that all cells have; see `rnncore.RNN`."""

    num_layers: int
    bidirectional: bool
    dropout: float
    bias: bool
    readout: str
    loss: str | None
    init: Init
    init_scale: float
    dtype: npt.DTypeLike
    trainable_h0: bool
    seed: int | np.random.Generator | None


class Network(Function):
    """What every network is made with, and learns by."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        readout: str = "last",
        loss: str | None = None,
        init: Init = "torch",
        init_scale: float = 1.0,
        dtype: npt.DTypeLike = "float32",
        trainable_h0: bool = False,
        seed: int | np.random.Generator | None = None,
        _cell: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        config = {
            "input_size": input_size, "hidden_size": hidden_size, "output_size": output_size,
            "num_layers": num_layers, "bidirectional": bidirectional, "dropout": dropout,
            "trainable_h0": trainable_h0, "bias": bias, "readout": readout, "loss": loss,
            "dtype": dtype,
        }  # fmt: skip
        super().__init__({**config, **_cell}, seed, init, init_scale)

    def __init_subclass__(cls, **options: Any) -> None:
        """Show all that a class is made with, also what its constructor hands on."""
        super().__init_subclass__(**options)
        own = inspect.signature(cls.__init__).parameters
        if any(p.kind is p.VAR_KEYWORD for p in own.values()):
            every = own | inspect.signature(Network.__init__).parameters
            shown = [p for name, p in every.items() if name not in ("self", "_cell")]
            named = [p for p in shown if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
            named.sort(key=lambda p: p.kind)
            cls.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]

    def _set_gate_bias(self, name: str, gate: int, value: Any) -> None:
        """Give a gate its bias in every layer."""
        if value is None:
            return
        most = float(np.finfo(self._dtype).max)
        value = check.number(name, value, -most, most, above=True)
        if not self.bias:
            raise ValueError(f"{name}: expected None with bias=False")
        rows = slice(gate * self.hidden_size, (gate + 1) * self.hidden_size)
        for parameter, values in self._parameters.items():
            if parameter.startswith("bias_"):
                values[rows] = value if parameter.startswith("bias_ih") else 0

    def fit(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        epochs: int,
        batch_size: int = 32,
        optimizer: str = "adam",
        lr: float | Schedule | Callable[[int], float] = 0.01,
        momentum: float = 0.9,
        alpha: float = 0.99,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        weight_decay: float | Mapping[str, float] = 0.0,
        l1: float | Mapping[str, float] = 0.0,
        activation: float = 0.0,
        truncate: int | None = None,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        target_mask: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        validation: Any = None,
        validation_split: str | None = None,
        patience: int | None = None,
        shuffle: bool = True,
        rng: int | np.random.Generator | None = None,
        threads: int | None = None,
        progress: bool | None = None,
        callback: Callable[[int, float], object] | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> History:
        """Train the network: all epochs in one compiled call, without the GIL.

        Parameters
        ----------
        x, y, h0, lengths, mask, target_mask, sample_weight
            As for `loss`.
        epochs : int
            Passes over the sequences.
        batch_size : int
            Sequences per update; the last batch of an epoch may be smaller.
        optimizer : {"adam", "adamw", "rmsprop", "sgd", "momentum", "nesterov", "lion"}
            Update rule, in PyTorch's formulas; "lion" [3]_ takes steps of the same length for every
            parameter, and wants a learning rate some ten times smaller than "adam".
        lr : float, schedule or callable
            Learning rate: a number, one of `rnncore.schedules`, or a function of the epoch,
            counted from 1.
        momentum, alpha, betas, eps : float, float, pair of float, float
            Of "momentum" and "nesterov", of "rmsprop", and of "adam" [1]_, "adamw" [2]_ and "lion".
        clip_norm, clip_value : float, optional
            Scale the gradient down to this norm; limit each of its entries to this size
            (first, where both are given).
        weight_decay, l1 : float or mapping
            Add d p, or d sign(p), to the gradient of every parameter p ("adamw" and "lion" decay
            apart from it); the latter before clipping, the former after. A mapping gives d by
            the beginnings of names: ``{"weight_hh": 0.01}`` is for recurrent weights only.
        activation : float
            Times the mean of h^2 over all states that count: a penalty added to the loss that is
            minimised, not to the one that is reported.
        truncate : int, optional
            Truncated BPTT: the steps of a sequence that count are divided into windows of so many,
            counted from its end (of a reverse direction, from its first step), and gradients
            stay within a window; states are carried on. The first window, which may be shorter,
            includes the state before the first step, so a window as long as the sequence gives
            the whole gradient. After a "last" read-out, the gradient is the sum of the terms of
            the last steps.
        validation : float, pair (x, y) or mapping, optional
            A share of the sequences to be set apart; or others, as a mapping with their ``h0``,
            ``lengths``, ``mask``, ``target_mask`` or ``sample_weight`` too. Their loss is recorded
            after every epoch.
        validation_split : {"random", "last", "time"}, optional
            Where ``validation`` is a share: of the sequences drawn at random (as with None), of the
            last ones as they stand, or of the last time steps of every sequence (with
            ``readout="all"``): then the network is trained on the steps before, and the loss of
            the later ones is that of a network that has run through all of them.
        patience : int, optional
            Stop after so many epochs without a smaller validation loss, and end with the network
            that had the smallest.
        shuffle : bool
            Take the sequences in a new random order in every epoch.
        rng : int or numpy.random.Generator, optional
            For shuffling, dropout and the share set apart; the same gives the same fit.
        threads : int, optional
            How many threads share each batch; None chooses. The result is the same.
        progress : bool, optional
            Show the epochs as they pass: with tqdm where it is installed, else as a line.
        callback : callable, optional
            Called as ``callback(epoch, loss)`` after every epoch, epochs counted from 1. Where it
            returns True (Python's or numpy's; no other value counts as such), the fit ends.
        checkpoint : path, optional
            A file to save the fit's state in, several times a second at most and whole or not at
            all. Where it is there, the fit goes on from it, to the bits it would have come to.
            ``epochs`` may then be another number, from what has been done on; but it must be the
            same where the schedule's rates depend on it (`Schedule.uses_total`).

        Returns
        -------
        History
            Losses, norms of the gradient, learning rates and seconds, epoch by epoch.

        Raises
        ------
        TypeError, ValueError
            As `loss`; for options that make no sense; for a checkpoint of another fit. The
            network is then unchanged.
        FloatingPointError
            Where the loss or a parameter stops being finite. The network is then that of the
            last epoch in which both were; so it is after Ctrl-C, or an error of the callback's
            or of a function that gives the learning rate.
            The error's ``history`` has the epochs before.
        OSError
            Where the checkpoint cannot be written: before the first epoch, if that can be told;
            else the one before it is still there.

        References
        ----------
        .. [1] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
        .. [2] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
        .. [3] X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> x = np.random.default_rng(0).standard_normal((32, 6, 1))
        >>> net = rc.RNN(1, 2, 1, loss="mse", seed=0)
        >>> history = net.fit(x, x[:, -1, 0], epochs=100, lr=0.05, rng=0)
        >>> history.loss.shape, bool(history.loss[-1] < 0.1 * history.loss[0])
        ((100,), True)
        """
        inputs = self._inputs(x, h0, lengths, mask)
        data = training_data.data_of(inputs, y, target_mask, sample_weight)
        self._check_parameters()
        chosen = options(
            self._core, self._parameters, self._dtype,
            epochs=epochs, batch_size=batch_size, optimizer=optimizer, lr=lr, momentum=momentum,
            alpha=alpha, betas=betas, eps=eps, clip_norm=clip_norm, clip_value=clip_value,
            weight_decay=weight_decay, l1=l1, activation=activation, truncate=truncate,
            patience=patience, shuffle=shuffle, threads=threads, progress=progress,
            callback=callback, checkpoint=checkpoint,
        )  # fmt: skip
        return training.Fit(
            self._core, self._engine, f"{self._kind} {self._config}", data, validation,
            validation_split, chosen, check.seed("rng", rng), self._validation,
        ).run()  # fmt: skip

    def _validation(self, given: Any) -> training_data.Data:
        """Validation data from a pair (x, y), or a mapping of these and what else `loss` takes."""
        if isinstance(given, Mapping):
            given = check.entries("validation", given)
            known = {"x", "y", "h0", "lengths", "mask", "target_mask", "sample_weight"}
            if not {"x", "y"} <= set(given) <= known:
                raise ValueError(
                    "validation: expected a mapping with x, y, and maybe h0, lengths, mask, "
                    f"target_mask or sample_weight, got {check.names(given)}"
                )
        elif isinstance(given, list | tuple) and len(pair := check.items("validation", given)) == 2:
            given = {"x": pair[0], "y": pair[1]}
        else:
            raise TypeError(
                "validation: expected a share of the sequences, a pair (x, y) or a mapping, got "
                f"{check.kind(given)}"
            )
        try:
            inputs = self._inputs(
                given["x"], given.get("h0"), given.get("lengths"), given.get("mask")
            )
            targets = given["y"], given.get("target_mask"), given.get("sample_weight")
            data = training_data.data_of(inputs, *targets)
            outputs.explain(inputs, *targets)
        except TypeError as error:
            raise TypeError(f"validation: {error}") from None
        except ValueError as error:
            raise ValueError(f"validation: {error}") from None
        return data

    def objective(
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
    ) -> Objective:
        """The loss on all of the data as a function of the flat vector of parameters.

        It is what ``scipy.optimize.minimize(..., jac=True)`` takes, whose second-order methods are
        hard to beat where a network and its data are small.

        Parameters
        ----------
        x, y, h0, lengths, mask, threads, target_mask, reduction, sample_weight
            As for `loss_and_grad`.

        Returns
        -------
        callable
            ``objective(flat) -> (loss, gradient)``, in float64. It has a network of its own; this
            one stays as it is.

        Raises
        ------
        TypeError, ValueError
            As `loss`.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net = rc.RNN(1, 2, 1, loss="mse", dtype="float64", seed=0)
        >>> x = np.random.default_rng(0).standard_normal((32, 6, 1))
        >>> objective = net.objective(x, x[:, -1, 0])
        >>> loss, gradient = objective(net.flat)
        >>> gradient.shape == net.flat.shape
        True

        With scipy: ``net.flat[:] = minimize(objective, net.flat, jac=True, method="L-BFGS-B").x``
        """
        options = {"h0": h0, "lengths": lengths, "mask": mask, "threads": threads}
        options |= {"target_mask": target_mask, "reduction": reduction}
        options |= {"sample_weight": sample_weight}
        return Objective(self, x, y, options)

    def gradient_flow(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        dy: npt.ArrayLike | None = None,
        target_mask: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> GradientFlow:
        """Which time steps the gradient of the loss comes from, and how far back it reaches. [1]_

        Parameters
        ----------
        x, y, h0, lengths, mask, target_mask, sample_weight
            As for `loss`.
        dy : array_like, optional
            In the place of y, for a loss of your own: its gradient dL/dy, as `vjp` takes it. The
            network then needs no loss.

        Returns
        -------
        GradientFlow
            The term of every time step for every parameter, norms, a verdict ("vanishing",
            "exploding" or "healthy") and what helps; formed in float64, whatever the network's
            precision, in one pass back through time.

        Raises
        ------
        TypeError, ValueError
            As `loss`, or `vjp`; where both of y and dy are given, or neither.

        References
        ----------
        .. [1] R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent
           neural networks", ICML 2013.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net = rc.RNN(1, 1, 1, loss="mse", seed=0)
        >>> flow = net.gradient_flow(np.ones((2, 50, 1)), np.zeros(2))
        >>> flow.verdict, flow.terms["weight_hh_l0"].shape
        ('vanishing', (50, 1, 1))
        >>> grads = net.loss_and_grad(np.ones((2, 50, 1)), np.zeros(2))[1]
        >>> bool(np.allclose(flow.terms["weight_hh_l0"].sum(axis=0), grads["weight_hh_l0"]))
        True

        Of a loss of your own, here the sum of all outputs:

        >>> flow = net.gradient_flow(np.ones((2, 50, 1)), dy=np.ones((2, 1)))
        >>> flow.loss is None, flow.verdict
        (True, 'vanishing')
        """
        options = {"h0": h0, "lengths": lengths, "mask": mask}
        return GradientFlow(self, x, (y, target_mask, sample_weight), dy, options)

    def trace(
        self,
        x: npt.ArrayLike,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
    ) -> dict[str, Trace]:
        """What every layer did, step by step: its states and, of a gated cell, its gates.

        For looking inside, not for speed: the core runs layer by layer, and gates are formed from
        its states in numpy, in float64.

        Parameters
        ----------
        x, h0, lengths, mask
            See the notes of the class.

        Returns
        -------
        dict of str to Trace
            Of every layer in every direction, named as in `parameters` ("l0", "l0_reverse", "l1"
            and so on): ``hidden`` (B, T, H), the bits of those that the network forms; ``gates``,
            a dict of (B, T, H) arrays, of an LSTM "i", "f", "g" and "o", of a GRU "r", "z" and
            "n"; ``cell`` (B, T, H), of an LSTM. All in the network's precision, with zeros where
            steps do not count; of lists of sequences padded with zeros.

        Raises
        ------
        TypeError, ValueError
            As calling the network.

        Examples
        --------
        How much of its memory each unit keeps from step to step:

        >>> import numpy as np, rnncore as rc
        >>> net, x = rc.LSTM(2, 3, forget_bias=4, seed=0), np.ones((4, 7, 2))
        >>> layer = net.trace(x)["l0"]
        >>> layer.gates["f"].shape, bool((layer.gates["f"] > 0.9).all())
        ((4, 7, 3), True)
        >>> bool(np.allclose(layer.hidden, layer.gates["o"] * np.tanh(layer.cell)))
        True
        >>> sorted(rc.GRU(2, 3, num_layers=2, bidirectional=True).trace(x))
        ['l0', 'l0_reverse', 'l1', 'l1_reverse']
        """
        return trace(self, x, {"h0": h0, "lengths": lengths, "mask": mask})
