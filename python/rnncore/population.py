"""``rnncore.Population``: many small networks of one architecture, trained side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._model.model import Model
from rnncore._model.parameters import total
from rnncore._networks import summary
from rnncore._networks.network import Network
from rnncore._population import fitting, running
from rnncore._population.history import PopulationHistory
from rnncore._population.sequences import depth
from rnncore._storage import files
from rnncore._storage.saving import FORMAT
from rnncore._types import Array


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
    Up to 16 hidden units the models are side by side in the processor's vectors, one member in each
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

    # Running its members, and training them
    __call__ = running.__call__
    predict = running.predict
    predict_proba = running.predict_proba
    loss = running.loss
    fit = fitting.fit

    def __len__(self) -> int:
        return len(self._flat)

    def __repr__(self) -> str:
        inner = repr(self._like).split("  #")[0]
        return f"Population of {len(self)} {inner}  # {self._flat.shape[1]} parameters each"

    def _repr_html_(self) -> str:
        title = f"Population of {len(self)} {self.kind.__name__}"
        return summary.described(self._like._model, title, len(self))

    def __iter__(self) -> Iterator[Network]:
        return (self[m] for m in range(len(self)))

    def __getitem__(self, which: Any) -> Any:
        """The member of a number: a network that shares its parameters. Of a slice a population
        that shares them, of an array of numbers or booleans one with copies."""
        if isinstance(which, slice):
            return Population._of(self._like, self._flat[which])
        if depth(which):
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
        """The parameters of all members by name, ``(members, *shape)``: views of `flat`.

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
    if isinstance(seed, range) or depth(seed):
        seeds = check.items("seed", seed)
        if len(seeds) != members:
            raise ValueError(f"seed: expected one for each of {members} members, got {len(seeds)}")
        return iter([v.item() if isinstance(v, np.generic) else v for v in seeds])
    return iter(check.generator("seed", seed).spawn(members))
