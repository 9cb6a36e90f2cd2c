"""``pop.fit``: its arguments, passed on to the training of the members."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnncore._networks.network import Network
from rnncore._population.history import PopulationHistory
from rnncore._population.sequences import Given
from rnncore._population.training import Training
from rnncore._types import Array
from rnncore.schedules import Schedule


class Trainable(Protocol):
    """A population, as far as its fit needs it."""

    _like: Network
    _flat: Array
    _lock: threading.Lock


def fit(
    self: Trainable,
    x: Any,
    y: Any,
    *,
    train: Any = None,
    validation: Any = None,
    epochs: int,
    batch_size: int | npt.ArrayLike | None = 32,
    optimizer: str = "adam",
    lr: float | npt.ArrayLike | Schedule | Callable[[int], float] = 0.01,
    momentum: float | npt.ArrayLike = 0.9,
    alpha: float | npt.ArrayLike = 0.99,
    betas: tuple[Any, Any] = (0.9, 0.999),
    eps: float | npt.ArrayLike = 1e-8,
    clip_norm: float | npt.ArrayLike | None = None,
    clip_value: float | npt.ArrayLike | None = None,
    weight_decay: float | npt.ArrayLike | Mapping[str, Any] = 0.0,
    l1: float | npt.ArrayLike | Mapping[str, Any] = 0.0,
    freeze: str | Iterable[str] | Mapping[str, Any] | None = None,
    tie: Mapping[str, Any] | None = None,
    activation: float | npt.ArrayLike = 0.0,
    truncate: int | None = None,
    h0: Any = None,
    lengths: Any = None,
    mask: Any = None,
    target_mask: Any = None,
    sample_weight: Any = None,
    patience: int | None = None,
    shuffle: bool = True,
    rng: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
) -> PopulationHistory:
    """Train every member: all epochs of all members in compiled code, without the GIL.

    Parameters
    ----------
    x, y, h0, lengths, mask, target_mask, sample_weight
        As for `rnncore.RNN.loss`: sequences from which every member has a selection. Or lists
        with one entry for each member: its own sequences, an array (B, T, D) or a list, and
        what belongs to them.
    train : array_like, optional
        The sequences to train on: numbers or booleans, (n,) for all members, or one such array
        for each, of its own sequences where it has its own. None: all.
    validation : array_like, float or pair, optional
        Sequences, likewise, whose loss is recorded after every epoch; or the share of a
        member's sequences that is held out; or other data (x, y).
    epochs, optimizer, freeze, tie, truncate, shuffle
        As for `rnncore.RNN.fit`.
    batch_size : int or array_like, optional
        Sequences per update; None: all that a member has.
    lr, momentum, alpha, betas, eps, clip_norm, clip_value, activation
        As for `rnncore.RNN.fit`; each a number, or an array with one for each member. ``lr`` may
        be a schedule or a function of the epoch, for all.
    weight_decay, l1
        As for `rnncore.RNN.fit`; a number, an array with one for each member, or a mapping of
        such by the beginnings of names.
    patience : int, optional
        A member's fit ends after so many epochs without a smaller validation loss, and it
        returns to the parameters that had the smallest.
    rng : int, numpy.random.Generator or sequence, optional
        For shuffling, dropout, and the sequences held out: one seed, with which members that
        have the same sequences also have the same order of them, or one for each member.
    threads : int, optional
        None: all cores. Results do not depend on it.
    progress : bool, optional
        Show how many members are finished.
    checkpoint : path, optional
        A file in which the state of the fit is saved from time to time. If it exists, the fit
        is continued, and its result is bit-identical to that of an uninterrupted one.
    executor : concurrent.futures.Executor, optional
        Who trains instead of threads: `concurrent.futures.ProcessPoolExecutor()`, or that of a
        cluster (docs/howto/cluster.md). Members are sent in chunks of about a second, each
        trained in one thread. Chunks that are lost with a worker are sent again, twice at most.
        The result is the same, bit for bit, where the workers' machines use the same instruction
        set.

    Returns
    -------
    PopulationHistory

    Raises
    ------
    TypeError, ValueError
        For an argument that is not valid; the population is then unchanged.
    RuntimeError
        While another thread fits this population.

    Warns
    -----
    RuntimeWarning
        Where the loss or a parameter of a member was not finite. It has the parameters after
        its last epoch before that; the other members go on.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((32, 6, 1))
    >>> pop = rc.Population(rc.RNN, 8, 1, 2, 1, loss="mse", seed=0)
    >>> history = pop.fit(x, x[:, -1, 0], epochs=60, lr=np.geomspace(0.001, 0.1, 8), rng=0)
    >>> history.loss.shape
    (60, 8)
    """
    given = Given(x, y, h0, lengths, mask, target_mask, sample_weight)
    settings = {
        "epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "lr": lr,
        "momentum": momentum, "alpha": alpha, "betas": betas, "eps": eps,
        "clip_norm": clip_norm, "clip_value": clip_value, "weight_decay": weight_decay,
        "l1": l1, "freeze": freeze, "tie": tie, "activation": activation, "truncate": truncate,
        "patience": patience,
        "shuffle": shuffle, "rng": rng, "threads": threads, "progress": progress,
        "checkpoint": checkpoint, "executor": executor,
    }  # fmt: skip
    if not self._lock.acquire(blocking=False):
        raise RuntimeError("fit: this population is in use by another thread")
    try:
        flat = np.ascontiguousarray(self._flat)
        try:
            return Training(self._like._model, flat, given, train, validation, settings).run()
        finally:
            if flat is not self._flat:
                self._flat[:] = flat
    finally:
        self._lock.release()
