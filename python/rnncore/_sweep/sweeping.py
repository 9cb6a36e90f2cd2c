"""``rnncore.sweep``: fits over a grid of options, subjects, folds and seeds."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._networks.network import Network
from rnncore._population.fitting import fit as population_fit
from rnncore._sweep.folds import folds_of
from rnncore._sweep.table import Design, Sweep
from rnncore._types import Array
from rnncore.population import Population

#: Options of a fit that may differ from member to member.
PER_MEMBER = ("lr", "momentum", "alpha", "eps", "clip_norm", "clip_value", "activation",
              "weight_decay", "l1", "batch_size")  # fmt: skip

#: What the function itself decides for `Population.fit`.
NOT_OPTIONS = ("self", "x", "y", "train", "rng", "h0", "checkpoint")
DATA = ("lengths", "mask", "target_mask", "sample_weight")


def sweep(
    kind: type[Network] | Iterable[type[Network]],
    x: Any,
    y: Any,
    *,
    grid: Mapping[str, Iterable[Any]] | None = None,
    seeds: int | Iterable[int] = 1,
    subjects: Any = None,
    folds: Any = None,
    inner: Any = None,
    groups: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Sweep:
    """Fit networks over a grid of options, subjects, folds and seeds, as populations.

    Parameters
    ----------
    kind : type or list of types
        `rnncore.RNN`, `rnncore.GRU`, `rnncore.LSTM`, `rnncore.MGU`.
    x, y : array_like
        Sequences and targets, as for `rnncore.Population.fit`: one pool of B sequences.
    grid : mapping, optional
        Names of options and, of each, the values to try. All combinations are fitted.
    seeds : int or iterable of int
        Every fit is repeated from these seeds, for initial parameters and shuffling; of a number n
        from 0 to n - 1.
    subjects : array_like, optional
        Whose each sequence is, (B,): each subject is fitted on its own.
    folds : int, splitter or iterable, optional
        How sequences are held out for testing: a number of folds k, where sequence (or group) i is
        in fold i modulo k; an object with scikit-learn's ``split(X, y, groups)``; or pairs (train,
        test) of numbers of sequences. Numbers and splitters divide the sequences of each subject.
    inner : int, splitter or iterable, optional
        Likewise, what of the training sequences is held out for the validation loss, which decides
        when to stop (``patience``) and which network is chosen. Without it ``validation`` may be a
        share.
    groups : array_like, optional
        Which sequences must stay together, (B,): with a number of folds, and for splitters.
    checkpoint : path, optional
        A folder, made if there is none, for one checkpoint of each architecture (a class with its
        sizes and other arguments of networks). The same call goes on from there after it was
        interrupted, with the same bits, and does not repeat what was finished.
    **options
        Arguments of the networks and of `rnncore.Population.fit` that are the same for all.

    Returns
    -------
    Sweep
        A table with a row for each fit, and the networks.

    Raises
    ------
    TypeError, ValueError
        As the networks and `rnncore.Population.fit`; for a name that no option has.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((24, 10, 2))
    >>> y = (x.sum(axis=2) > 0).astype(int)
    >>> found = rc.sweep(rc.GRU, x, y, grid={"hidden_size": [1, 2], "l1": [0, 0.001]}, seeds=2,
    ...                  folds=3, inner=2, input_size=2, output_size=2, loss="cross_entropy",
    ...                  readout="all", epochs=10, lr=0.03, patience=3)
    >>> len(found), found["test_loss"].shape
    (48, (48,))
    >>> chosen = found.best(per=("hidden_size", "fold"))
    >>> found.network(chosen[0]).hidden_size
    1
    """
    kinds = list(kind) if isinstance(kind, Iterable) else [kind]
    design = Design(x, y, {name: options.pop(name) for name in DATA if name in options})
    grid = {name: values_of(name, values) for name, values in (grid or {}).items()}
    for name in [*grid, *options]:
        check.choice("grid" if name in grid else "options", name, known_names(kinds))
    both = [name for name in grid if name in options]
    if both:
        raise ValueError(f"grid: expected other names than those of options, got {both[0]!r}")
    splits = splits_of(design, y, subjects, folds, inner, groups)
    if inner is not None and "validation" in {*grid, *options}:
        raise ValueError("validation: expected None with inner=, which holds sequences out")
    numbers = seeds_of(seeds)
    folder = None if checkpoint is None else folder_of(checkpoint)
    found = Sweep(design)
    per_fit = [name for name in grid if name in PER_MEMBER]
    of_networks = [name for name in grid if name not in PER_MEMBER]
    for cls in kinds:
        for values in product(*(grid[name] for name in of_networks)):
            fixed = dict(zip(of_networks, values, strict=True))
            number = len(found.histories)
            rows = [
                ({"kind": cls.__name__, **fixed, **dict(zip(per_fit, chosen, strict=True)),
                  **split.labels, "seed": seed}, split)
                for chosen in product(*(grid[name] for name in per_fit))
                for split in splits
                for seed in numbers
            ]  # fmt: skip
            path = None if folder is None else folder / f"{number:04d}-{cls.__name__}.npz"
            train_all(found, cls, {**options, **fixed, "checkpoint": path}, per_fit, rows)
    return found


def folder_of(checkpoint: Any) -> Path:
    folder = Path(check.path(checkpoint, "checkpoint"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(
            f"checkpoint: expected a folder, or the place of a new one, got {str(folder)!r}: "
            f"{error}"
        ) from None
    return folder


def train_all(
    found: Sweep, cls: type[Network], options: dict[str, Any], per_fit: list[str],
    rows: list[tuple[dict[str, Any], Any]],
) -> None:  # fmt: skip
    """All rows of one architecture, as a population."""
    design = found.design
    of_fit = {name: options.pop(name) for name in list(options) if name in fit_names()}
    of_fit["checkpoint"] = options.pop("checkpoint")
    seeds = [row["seed"] for row, _ in rows]
    pop = Population(cls, len(rows), seed=seeds, **options)
    for name in per_fit:
        of_fit[name] = column(name, [row[name] for row, _ in rows])
    splits = [split for _, split in rows]
    if splits[0].held is not None:
        of_fit["validation"] = [split.held for split in splits]
    history = pop.fit(
        design.x, design.y, train=[split.train for split in splits], rng=seeds,
        **design.extra, **of_fit,
    )  # fmt: skip
    found._add(pop, history, [row for row, _ in rows], splits)


def column(name: str, values: list[Any]) -> Any:
    """An option of every member: numbers, or strengths by the beginnings of names."""
    if any(isinstance(value, Mapping) for value in values):
        mappings = [value if isinstance(value, Mapping) else {"": value} for value in values]
        keys = dict.fromkeys(key for mapping in mappings for key in mapping)
        return {key: np.array([mapping.get(key, 0.0) for mapping in mappings]) for key in keys}
    if any(value is None for value in values):
        if all(value is None for value in values):
            return None
        raise ValueError(f"grid: expected numbers for {name!r}, got None beside them")
    return np.array(values)


def values_of(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TypeError(f"grid: expected a list of values for {name!r}, got {check.shown(values)}")
    found = list(values)
    if not found:
        raise ValueError(f"grid: expected at least one value for {name!r}, got none")
    return [value.item() if isinstance(value, np.generic) else value for value in found]


def fit_names() -> list[str]:
    return [
        name for name in inspect.signature(population_fit).parameters if name not in NOT_OPTIONS
    ]


def known_names(kinds: list[type[Network]]) -> list[str]:
    """The options that there are, of networks and of fits."""
    names = dict.fromkeys(
        name for cls in kinds for name in inspect.signature(cls).parameters if name != "seed"
    )
    return [*names, *(name for name in fit_names() if name not in DATA)]


def seeds_of(seeds: Any) -> list[int]:
    if isinstance(seeds, Iterable) and not isinstance(seeds, str):
        numbers = [check.whole("seeds", seed, 0, 2**63 - 1) for seed in seeds]
        if not numbers:
            raise ValueError("seeds: expected at least one, got none")
        return numbers
    return list(range(check.whole("seeds", seeds, 1)))


class Split:
    """The sequences of one fit, and what they are called in the table."""

    def __init__(
        self, labels: dict[str, Any], train: Array, held: Array | None, test: Array | None
    ) -> None:
        self.labels, self.train, self.held, self.test = labels, train, held, test


def splits_of(
    design: Design, y: Any, subjects: Any, folds: Any, inner: Any, groups: Any
) -> list[Split]:
    """Subject by subject, fold by fold."""
    count = design.count
    names: Any = [None]
    of_subject = np.zeros(count, np.int64)
    if subjects is not None:
        labels = np.asarray(subjects)
        check.same_shape("subjects", labels, (count,))
        names, of_subject = np.unique(labels, return_inverse=True)
    together = None
    if groups is not None:
        together = np.asarray(groups)
        check.same_shape("groups", together, (count,))
    result = []
    for number, subject in enumerate(names):
        which = np.flatnonzero(of_subject == number)
        outer: list[Any] = [(which, None)]
        if folds is not None:
            outer = folds_of("folds", folds, which, y, together, count)
        for fold, (rest, test) in enumerate(outer):
            within: list[Any] = [(rest, None)]
            if inner is not None:
                within = folds_of("inner", inner, rest, y, together, count)
            for part, (train, held) in enumerate(within):
                label = {"subject": subject, "fold": fold, "inner": part}
                used = {"subject": subjects, "fold": folds, "inner": inner}
                label = {name: v for name, v in label.items() if used[name] is not None}
                result.append(Split(label, train, held, test))
    return result
