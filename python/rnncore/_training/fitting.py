"""``net.fit``: its arguments, checked and passed on to the loop over epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data.inputs import Inputs
from rnncore._data.splits import data_of
from rnncore._model.model import HasModel
from rnncore._training.forcing import share_settings, shares_of
from rnncore._training.history import History
from rnncore._training.loop import Fit
from rnncore._training.options import checked_options
from rnncore.schedules import Schedule


def fit(
    self: HasModel,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    epochs: int,
    batch_size: int | None = 32,
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
    freeze: str | Iterable[str] | Mapping[str, Any] | None = None,
    tie: Mapping[str, Any] | None = None,
    activation: float = 0.0,
    truncate: int | None = None,
    teacher_forcing: float | Callable[[int], float] = 1.0,
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
    batch_size : int, optional
        Sequences per update; the last batch of an epoch may be smaller. None: all of them.
    optimizer : {"adam", "adamw", "rmsprop", "sgd", "momentum", "nesterov", "lion"}
        Update rule, in PyTorch's formulas. "lion" [3]_ takes steps of the same length for every
        parameter and needs a learning rate about ten times smaller than "adam".
    lr : float, schedule or callable
        Learning rate: a number, one of `rnncore.schedules`, or a function of the epoch,
        counted from 1.
    momentum, alpha, betas, eps : float, float, pair of float, float
        Coefficients of the update rules: ``momentum`` of "momentum" and "nesterov", ``alpha`` of
        "rmsprop", ``betas`` of "adam" [1]_, "adamw" [2]_ and "lion", ``eps`` of all that divide.
    clip_norm, clip_value : float, optional
        ``clip_value`` limits the size of each entry of the gradient; after it, ``clip_norm``
        scales the gradient down to this norm.
    weight_decay, l1 : float or mapping
        ``l1`` adds d sign(p) to the gradient of every parameter p, before clipping;
        ``weight_decay`` adds d p, after it ("adamw" and "lion" decay the parameter itself
        instead). A mapping gives d by the beginnings of names: ``{"weight_hh": 0.01}`` is for
        recurrent weights only.
    freeze : str, iterable of str or mapping, optional
        Parameters that do not change: beginnings of names, such as ``["weight_hh", "head"]``; or a
        mapping of such to True or to an array of booleans, shaped as the parameter, of the entries
        that do not.
    tie : mapping, optional
        Entries of parameters that share one value: by the parameters' full names integers, shaped
        as the parameter, or one for all of it. Entries with the same number, in whichever
        parameters, share a value; a negative number is none. They must be equal before the fit,
        and be frozen together or not at all. The gradient of a shared value is the sum of those of
        its entries; in penalties, decay and the norm of the gradient it counts once.
    activation : float
        The weight of a penalty, the mean of h^2 over all states that count. It is added to the
        loss that is minimised, not to the loss that is reported.
    truncate : int, optional
        Truncated BPTT: the counted steps of a sequence are divided into windows of so many,
        counted from its end (in a reverse direction, from its first step). Gradients stay within
        a window; states are carried on. The first window, which may be shorter, includes the
        state before the first step, so a window as long as the sequence gives the whole
        gradient. An output is in the window of the state that it reads. With ``readout="last"``,
        the gradient is the sum of the terms of the last steps.
    teacher_forcing : float, or function of the epoch, counted from 1
        The probability with which the input of a step, from the second on, is that of the data.
        Else it is what the network has put out at the step before: the output itself, or a token
        drawn from the softmax of the outputs. [4]_ For networks with ``readout="all"``, one
        direction and as many outputs as inputs: with tokens and "cross_entropy", or numbers and
        "mse" or "huber". What is fed back is a constant to the gradient. Validation data are given
        as they are.
    validation : float, pair (x, y) or mapping, optional
        The share of the sequences that is held out; or other data, as a pair or as a mapping that
        may also have ``h0``, ``lengths``, ``mask``, ``target_mask`` and ``sample_weight``. The
        loss of these data is recorded after every epoch.
    validation_split : {"random", "last", "time"}, optional
        What is held out where ``validation`` is a share: sequences drawn at random ("random", the
        default), the last sequences ("last"), or the last time steps of every sequence ("time",
        with ``readout="all"``). With "time" the network is trained on the earlier steps; for the
        loss of the later steps it runs through all of them.
    patience : int, optional
        Stop after so many epochs without a smaller validation loss, and return to the parameters
        that had the smallest.
    shuffle : bool
        Take the sequences in a new random order in every epoch.
    rng : int or numpy.random.Generator, optional
        For shuffling, dropout, zoneout, what is fed back, and the sequences that are held out. The
        same seed gives the same fit.
    threads : int, optional
        How many threads share each batch. None: chosen automatically. The result is
        bit-identical for any number of threads.
    progress : bool, optional
        Show the epoch and the loss: with tqdm if that is installed, else as a line.
    callback : callable, optional
        Called as ``callback(epoch, loss)`` after every epoch, counted from 1. If it returns True
        (of Python or numpy; no other value), the fit ends.
    checkpoint : path, optional
        A file in which the state of the fit is saved, at most several times a second. If the file
        exists, the fit is continued from it, and its result is bit-identical to that of an
        uninterrupted run. ``epochs`` may then differ, but not be fewer than the epochs done; if
        the learning rates depend on it (`Schedule.uses_total`), it must be the same.

    Returns
    -------
    History
        Losses, norms of the gradient, learning rates and seconds, epoch by epoch.

    Raises
    ------
    TypeError, ValueError
        As `loss`; for options that are not valid; for a checkpoint of another fit. The network
        is then unchanged.
    FloatingPointError
        If the loss or a parameter stops being finite. The parameters are then those after the
        last epoch in which both were finite, and the error's ``history`` has the epochs up to it:
        none where that happens in the first, whose loss and norms the message has.
        After Ctrl-C, or an exception raised by ``callback`` or ``lr``, the parameters are likewise
        those after the last epoch that was completed.
    OSError
        If the checkpoint cannot be written. This is checked before the first epoch as far as
        possible; if it fails later, the previous checkpoint is still there.
    RuntimeError
        While another thread uses the network; it is then unchanged.

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    .. [2] I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    .. [3] X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.
    .. [4] S. Bengio, O. Vinyals, N. Jaitly and N. Shazeer, "Scheduled sampling for sequence
       prediction with recurrent neural networks", NeurIPS 2015.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((32, 6, 1))
    >>> net = rc.RNN(1, 2, 1, loss="mse", seed=0)
    >>> history = net.fit(x, x[:, -1, 0], epochs=100, lr=0.05, rng=0)
    >>> history.loss.shape, bool(history.loss[-1] < 0.1 * history.loss[0])
    ((100,), True)
    """
    model = self._model
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    data = data_of(inputs, y, target_mask, sample_weight)
    model.check_finite()
    options = checked_options(
        model,
        epochs=epochs, batch_size=batch_size, optimizer=optimizer, lr=lr, momentum=momentum,
        alpha=alpha, betas=betas, eps=eps, clip_norm=clip_norm, clip_value=clip_value,
        weight_decay=weight_decay, l1=l1, freeze=freeze, tie=tie, activation=activation,
        truncate=truncate, patience=patience, shuffle=shuffle, threads=threads, progress=progress,
        callback=callback, checkpoint=checkpoint,
    )  # fmt: skip
    options = options._replace(
        shares=shares_of(teacher_forcing, model, inputs),
        settings=options.settings | share_settings(teacher_forcing),
    )
    seed = check.seed("rng", rng)
    return Fit(model, data, validation, validation_split, options, seed).run()
