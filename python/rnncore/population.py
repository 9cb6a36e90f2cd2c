"""``rnncore.Population``: many small networks of one architecture, trained side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._calls.running import Output
from rnncore._checks import arguments as check
from rnncore._model.model import Model
from rnncore._model.parameters import total
from rnncore._networks.network import Network
from rnncore._population.history import PopulationHistory
from rnncore._population.sequences import Given, is_own, selected
from rnncore._population.training import Training
from rnncore._storage import files
from rnncore._storage.saving import FORMAT
from rnncore._types import Array
from rnncore.schedules import Schedule


class Population:
    """Many networks of one architecture, each a model of its own.

    Parameters
    ----------
    kind : type
        `rnncore.RNN`, `rnncore.GRU`, `rnncore.LSTM` or `rnncore.MGU`.
    members : int
        How many networks.
    input_size, hidden_size, output_size, **options
        As for the networks' class, but for ``seed``.
    seed : int, numpy.random.Generator or sequence, optional
        For the initial parameters: of one seed every member has an independent stream; a sequence
        has one seed for each member, which is then ``kind(..., seed=seed[m])``.

    Notes
    -----
    Up to 12 hidden units the models are side by side in the processor's vectors, one member in each
    lane, which is where many small networks are fastest; larger ones are trained one after another
    in the same compiled call. Threads take different members. What becomes of a member depends on
    nothing but its own parameters, data and options: it is the same, bit for bit, in any
    population and with any number of threads, and the same as by `fit` of that network alone, but
    for rounding.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((40, 12, 3))
    >>> y = (x[:, :, 0] > 0).astype(int)
    >>> pop = rc.Population(rc.GRU, 20, 3, 2, 2, loss="cross_entropy", readout="all", seed=0)
    >>> history = pop.fit(x, y, train=np.arange(30), validation=np.arange(30, 40), epochs=30,
    ...                   lr=0.03, patience=5, rng=0)
    >>> history.loss.shape[1], pop.flat.shape[0], pop[7].hidden_size
    (20, 20, 2)
    >>> best = pop[pop.best(history)]
    >>> best.predict(x).shape
    (40, 12)
    """

    def __init__(
        self, kind: type[Network], members: int, *sizes: Any, seed: Any = None, **options: Any
    ) -> None:
        if not (isinstance(kind, type) and issubclass(kind, Network) and hasattr(kind, "_cell")):
            raise TypeError(
                f"kind: expected rnncore.RNN, GRU, LSTM or MGU, got {check.shown(kind)}"
            )
        members = check.whole("members", members, 1)
        streams = streams_of(seed, members)
        first = kind(*sizes, seed=next(streams), **options)
        flat = np.empty((members, first.flat.size), first.dtype)
        flat[0] = first.flat
        for m in range(1, members):
            flat[m] = kind(*sizes, seed=next(streams), **options)._model.flat
        self._become(first, flat)

    def _become(self, like: Network, flat: Array) -> Population:
        self._like, self._flat, self._lock = like, flat, threading.Lock()
        return self

    @classmethod
    def _of(cls, like: Network, flat: Array) -> Population:
        return cls.__new__(cls)._become(like, flat)

    # ---- what it is

    @property
    def kind(self) -> type[Network]:
        """The class of its members."""
        return type(self._like)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments that every member was made with, but for its initial parameters."""
        return self._like.config

    @property
    def flat(self) -> Array:
        """The parameters of all members, (members, P), in the order of `rnncore.RNN.flat`. What is
        written there changes the members."""
        return self._flat

    def __len__(self) -> int:
        return len(self._flat)

    def __repr__(self) -> str:
        inner = repr(self._like).split("  #")[0]
        return f"Population of {len(self)} {inner}  # {self._flat.shape[1]} parameters each"

    def __iter__(self) -> Iterator[Network]:
        return (self[m] for m in range(len(self)))

    def __getitem__(self, which: Any) -> Any:
        """The member of a number: a network that shares its parameters. Of a slice a population
        that shares them, of an array of numbers or booleans one with copies."""
        if isinstance(which, slice):
            return Population._of(self._like, self._flat[which])
        if np.ndim(which):
            chosen = self._flat[check.array("members", which)]
            return Population._of(self._like, np.ascontiguousarray(chosen))
        m = check.whole("member", which, -len(self), len(self) - 1)
        return self._member(m)

    def _member(self, m: int) -> Network:
        net = object.__new__(type(self._like))
        rest = {name: value for name, value in vars(self._like).items() if name != "_model"}
        model = self._like._model
        vars(net).update(rest, _model=Model(model.cell, model.config, self._flat[m]))
        net._model.engine.note_exposure()  # the population may change it
        return net

    def parameters(self) -> dict[str, Array]:
        """The parameters of all members by name, (members, *shape): views of `flat`.

        Examples
        --------
        >>> import rnncore as rc
        >>> pop = rc.Population(rc.GRU, 10, 3, 2, 1, seed=0)
        >>> pop.parameters()["weight_hh_l0"].shape
        (10, 6, 2)
        """
        result, at = {}, 0
        for name, shape in self._like._model.shapes.items():
            size = total({name: shape})
            result[name] = self._flat[:, at : at + size].reshape(len(self), *shape)
            at += size
        return result

    # ---- running its members

    def __call__(self, x: Any, h0: Any = None, lengths: Any = None, mask: Any = None) -> Output:
        """Run every member: on the same sequences, or where ``x`` is a list with the sequences of
        each member on its own.

        Returns
        -------
        Output
            With a first axis of members; where members have different numbers of sequences or
            steps, lists with one entry each.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> pop = rc.Population(rc.GRU, 10, 3, 2, 1, readout="all", seed=0)
        >>> pop(np.ones((4, 6, 3))).hidden.shape
        (10, 4, 6, 2)
        """
        found = [net(*given) for net, given in self._calls(x, h0, lengths, mask)]
        return Output(*(stacked([getattr(out, name) for out in found]) for name in Output._fields))

    def predict(self, x: Any, h0: Any = None, lengths: Any = None, mask: Any = None) -> Any:
        """The predictions of every member, (members, ...); as `rnncore.RNN.predict`.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> pop = rc.Population(rc.GRU, 10, 3, 2, 1, loss="bce", seed=0)
        >>> pop.predict(np.ones((4, 6, 3))).shape
        (10, 4)
        """
        return stacked([net.predict(*given) for net, given in self._calls(x, h0, lengths, mask)])

    def predict_proba(self, x: Any, h0: Any = None, lengths: Any = None, mask: Any = None) -> Any:
        """The probabilities of every member, (members, ...); as `rnncore.RNN.predict_proba`.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> pop = rc.Population(rc.GRU, 10, 3, 2, 2, loss="cross_entropy", seed=0)
        >>> pop.predict_proba(np.ones((4, 6, 3))).shape
        (10, 4, 2)
        """
        calls = self._calls(x, h0, lengths, mask)
        return stacked([net.predict_proba(*given) for net, given in calls])

    def _calls(self, x: Any, *rest: Any) -> Iterator[tuple[Network, tuple[Any, ...]]]:
        """Every member, and the arguments of its call."""
        given = [x, *rest]
        own = is_own(x)
        if own:
            check_entries({"x": x, **dict(zip(("h0", "lengths", "mask"), rest, strict=True))}, self)
        for m in range(len(self)):
            yield self[m], tuple(v[m] if own and v is not None else v for v in given)

    def loss(
        self, x: Any, y: Any, h0: Any = None, lengths: Any = None, mask: Any = None,
        target_mask: Any = None, sample_weight: Any = None, *, subsets: Any = None,
        reduction: str = "mean",
    ) -> Any:  # fmt: skip
        """The loss of every member, (members,).

        Parameters
        ----------
        x, y, h0, lengths, mask, target_mask, sample_weight
            As for `rnncore.RNN.loss`: the same for all members, or lists with an entry for each.
        subsets : array_like, optional
            Which sequences: numbers or booleans, (n,), or one such array for each member.
        reduction : {"mean", "sum", "none"}
            With "none" the loss of every target, (members, n, ...), or a list with one array for
            each member where they have different numbers of sequences.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> pop = rc.Population(rc.GRU, 3, 2, 2, 1, loss="mse", seed=0)
        >>> x, y = np.ones((4, 6, 2)), np.ones(4)
        >>> pop.loss(x, y, subsets=[[0, 1], [2], [1, 2, 3]]).shape
        (3,)
        """
        given = Given(x, y, h0, lengths, mask, target_mask, sample_weight)
        losses = []
        for net, part in self._parts(given, subsets):
            x_m, y_m, h0_m, lengths_m, mask_m, target_mask_m, weight_m = part
            losses.append(
                net.loss(
                    x_m, y_m, h0_m, lengths_m, mask_m, target_mask=target_mask_m,
                    reduction=reduction, sample_weight=weight_m,
                )
            )  # fmt: skip
        return stacked(losses)

    def _parts(self, given: Given, subsets: Any) -> Iterator[tuple[Network, Given]]:
        """Every member and its data, or those of a subset."""
        from rnncore._population.parts import parts_of

        for m, part in enumerate(parts_of(given, subsets, len(self))):
            yield self[m], part

    # ---- training

    def fit(
        self,
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
        epochs, optimizer, truncate, shuffle
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
            "l1": l1, "activation": activation, "truncate": truncate, "patience": patience,
            "shuffle": shuffle, "rng": rng, "threads": threads, "progress": progress,
            "checkpoint": checkpoint,
        }  # fmt: skip
        if not self._lock.acquire(blocking=False):
            raise RuntimeError("fit: this population is in use by another thread")
        try:
            flat = np.ascontiguousarray(self._flat)
            try:
                return Training(
                    self._like._model, flat, given, train, validation, settings
                ).run()
            finally:
                if flat is not self._flat:
                    self._flat[:] = flat
        finally:
            self._lock.release()

    def best(self, by: PopulationHistory | npt.ArrayLike, groups: Any = None) -> Any:
        """The number of the best member, or of the best of every group.

        Parameters
        ----------
        by : PopulationHistory or array_like
            A history, of which the best validation loss counts (without validation the last
            training loss); or a number for each member, of which the least is the best. NaN is
            never the best.
        groups : array_like, optional
            To which group each member belongs, (members,).

        Returns
        -------
        int, or ndarray of int
            With ``groups`` one for each of the sorted groups, ``np.unique(groups)``.

        Examples
        --------
        >>> import rnncore as rc
        >>> pop = rc.Population(rc.RNN, 4, 1, 1, 1, seed=0)
        >>> pop.best([0.3, 0.1, 0.2, 0.4], groups=["a", "a", "b", "b"]).tolist()
        [1, 2]
        """
        values = by.best if isinstance(by, PopulationHistory) else check.array("by", by)
        check.same_shape("by", values, (len(self),))
        ranked = np.where(np.isnan(values), np.inf, values)
        if groups is None:
            return int(ranked.argmin())
        labels = np.asarray(groups)
        check.same_shape("groups", labels, (len(self),))
        first = np.lexsort((ranked, labels))
        return first[np.unique(labels[first], return_index=True)[1]]

    # ---- files and copies

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the population to a file, from which `rnncore.load` makes it again; see
        `rnncore.RNN.save`.

        Examples
        --------
        >>> import os, tempfile, rnncore as rc
        >>> pop = rc.Population(rc.GRU, 10, 3, 2, 1, seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pop.save(os.path.join(folder, "pop.npz"))
        ...     copy = rc.load(os.path.join(folder, "pop.npz"))
        >>> len(copy), bool((copy.flat == pop.flat).all())
        (10, True)
        """
        check.all_finite("flat", self._flat)
        model = self._like._model
        header = {
            "format": FORMAT, "class": model.cell.name, "config": model.config,
            "members": len(self),
        }  # fmt: skip
        files.write(path, header, self.parameters())

    def __getstate__(self) -> dict[str, Any]:
        return {"like": self._like, "flat": self._flat.copy()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._become(state["like"], state["flat"])


def streams_of(seed: Any, members: int) -> Iterator[Any]:
    """What the parameters of each member are drawn from."""
    if isinstance(seed, list | tuple | np.ndarray) and np.ndim(seed):
        if len(seed) != members:
            raise ValueError(f"seed: expected one for each of {members} members, got {len(seed)}")
        return iter([value.item() if hasattr(value, "item") else value for value in seed])
    return iter(check.generator("seed", seed).spawn(members))


def check_entries(given: dict[str, Any], population: Population) -> None:
    for name, value in given.items():
        if value is not None and len(value) != len(population):
            raise ValueError(
                f"{name}: expected an entry for each of {len(population)} members, got {len(value)}"
            )


def stacked(values: list[Any]) -> Any:
    """One array with a first axis of members; of pairs a pair; a list where shapes differ."""
    if isinstance(values[0], tuple):
        return tuple(stacked([value[i] for value in values]) for i in range(len(values[0])))
    if len({np.shape(value) for value in values}) > 1:
        return values
    return np.stack(values)
