"""The options of a fit, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.model import Model
from rnncore._training.forcing import Shares
from rnncore._training.ties import (
    Ties,
    check_equal,
    check_shared,
    tie_settings,
    tied_parameters,
    without_followers,
)
from rnncore._types import Array
from rnncore.schedules import Schedule

#: As batch_size: more sequences than there are in any fit, all in one update.
ALL = 2**31 - 1


class Options(NamedTuple):
    """The arguments of a fit, checked."""

    trainer: dict[str, Any]  # arguments of the core's Trainer
    settings: dict[str, Any]  # what a checkpoint of the fit is recognised by
    rates: Callable[[int, int], Any]  # (first, count) -> the learning rates of `count` epochs
    epochs: int
    threads: int | None
    progress: bool
    callback: Callable[[int, float], object] | None
    checkpoint: str | None
    shares: Shares | None = None  # of given inputs, see `rnncore._training.forcing`


def checked_options(
    model: Model, *,
    epochs: Any, batch_size: Any, optimizer: Any, lr: Any, momentum: Any, alpha: Any, betas: Any,
    eps: Any, clip_norm: Any, clip_value: Any, weight_decay: Any, l1: Any, freeze: Any, tie: Any,
    activation: Any, truncate: Any, patience: Any, shuffle: Any, threads: Any, progress: Any,
    callback: Any, checkpoint: Any,
) -> Options:  # fmt: skip
    """The arguments of `fit` that are not data.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.
    """
    core, dtype = model.spec.core, model.spec.dtype
    try:
        beta1, beta2 = betas
    except Exception:  # whatever unpacking raises
        raise TypeError(f"betas: expected two numbers, got {check.shown(betas)}") from None
    eps = check.number("eps", eps, 0, above=True)
    with np.errstate(over="ignore"):
        rounded = dtype.type(eps)
    if not 0 < rounded < np.inf:
        raise ValueError(f"eps: expected more than 0 and finite in {dtype}, got {eps!r}")
    epochs = check.whole("epochs", epochs, 1)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback: expected a function, got {check.shown(callback)}")
    schedule = lr if isinstance(lr, Schedule) else Schedule()
    ties = tied_parameters(tie, model)
    check_equal(ties, model, model.flat)
    free = free_parameters(freeze, model)
    settings = {
        "batch_size": ALL if batch_size is None else check.whole("batch_size", batch_size, 1),
        "optimizer": check.choice("optimizer", optimizer, core.OPTIMISERS),
        "lr": rate_settings(lr, epochs),
        "momentum": check.number("momentum", momentum, 0, 1, above=False),
        "alpha": check.number("alpha", alpha, 0, 1, above=False),
        "betas": [
            check.number("betas", beta1, 0, 1, above=False),
            check.number("betas", beta2, 0, 1, above=False),
        ],
        "eps": eps,
        "clip_norm": limit("clip_norm", clip_norm),
        "clip_value": limit("clip_value", clip_value),
        "weight_decay": strength_settings("weight_decay", weight_decay),
        "l1": strength_settings("l1", l1),
        "freeze": freeze_settings(freeze),
        "tie": tie_settings(tie),
        "activation": check.number("activation", activation, 0, above=False),
        "truncate": 0 if truncate is None else check.whole("truncate", truncate, 1),
        "shuffle": check.flag("shuffle", shuffle),
        "patience": 0 if patience is None else check.whole("patience", patience, 1),
    }
    unchanged = {
        name: settings[name]
        for name in ("momentum", "alpha", "eps", "clip_norm", "clip_value", "activation",
                     "truncate", "patience")
    }  # fmt: skip
    decay = strengths("weight_decay", settings["weight_decay"], model)
    l1 = strengths("l1", settings["l1"], model)
    return Options(
        {
            **unchanged,
            "rule": core.OPTIMISERS[settings["optimizer"]],
            "beta1": settings["betas"][0],
            "beta2": settings["betas"][1],
            **changes(ties, free, decay, l1),
            "shuffled": settings["shuffle"],
            "plateau": schedule.plateau,
        },
        settings,
        rates_of(lr, epochs),
        epochs,
        check.threads(threads),
        check.flag("progress", False if progress is None else progress),
        callback,
        None if checkpoint is None else check.path(checkpoint, "checkpoint"),
    )


def changes(
    ties: Ties | None, free: Array | None, decay: Array | None, l1: Array | None
) -> dict[str, Array | None]:
    """What may change and how: arguments of the core, of strengths (P,) or (members, P) of the
    penalties."""
    for name, values in (("freeze", free), ("weight_decay", decay), ("l1", l1)):
        check_shared(name, ties, values)
    free = without_followers(ties, free)
    return {
        "decay": unless_frozen(decay, free),
        "l1": unless_frozen(l1, free),
        "free": free,
        "leader": None if ties is None else ties.leader,
    }


def limit(name: str, value: Any) -> float:
    """A clipping limit for the core, where 0 is none."""
    return 0.0 if value is None else check.number(name, value, 0, above=True)


def rate_settings(lr: Any, epochs: int) -> Any:
    """The learning rate in the settings: a number, or a text that identifies the schedule."""
    if isinstance(lr, Schedule):
        has_text = type(lr).__repr__ is not object.__repr__  # not the default one with an address
        text = check.shown(lr) if has_text else check.kind(lr)
        return f"{text} over {epochs} epochs" if lr.uses_total else text
    return "a function" if callable(lr) else check.number("lr", lr, 0, above=True)


def rates_of(lr: Any, epochs: int) -> Callable[[int, int], Any]:
    """(first, count) -> the learning rates of some epochs; a number if it is the same for all."""
    if not callable(lr):
        return lambda _first, _count: float(lr)

    def rates(first: int, count: int) -> list[float]:
        numbers = range(first, first + count)
        if isinstance(lr, Schedule):
            return [lr(epoch, epochs) for epoch in numbers]
        return [check.number(f"lr({epoch})", lr(epoch), 0, above=False) for epoch in numbers]

    return rates


def strength_settings(name: str, value: Any) -> Any:
    """A penalty in the settings: a number, or a dict of numbers by the beginnings of names."""
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else check.shown(key): check.number(
                f"{name}[{check.shown(key)}]", strength, 0, above=False
            )
            for key, strength in check.entries(name, value).items()
        }
    return check.number(name, value, 0, above=False)


def strengths(name: str, value: Any, model: Model) -> Array | None:
    """One number for every entry of the flat vector. In a mapping, the longest key with which the
    name of the parameter begins decides. None where all numbers are zero."""
    parameters, dtype = model.parameters, model.spec.dtype
    given = value if isinstance(value, dict) else {"": value}
    for key in given:
        if not any(parameter.startswith(key) for parameter in parameters):
            raise ValueError(
                f"{name}: expected beginnings of {', '.join(parameters)}; got {check.shown(key)}"
            )
    parts = []
    for parameter, values in parameters.items():
        keys = [key for key in given if parameter.startswith(key)]
        strength = given[max(keys, key=len)] if keys else 0
        with np.errstate(over="ignore"):
            parts.append(np.full(values.size, strength, dtype))
        if not np.isfinite(parts[-1]).all():
            raise ValueError(f"{name}: expected a finite number in {dtype}, got {strength!r}")
    result = np.concatenate(parts)
    return result if result.any() else None


def freeze_settings(freeze: Any) -> Any:
    """What is frozen, in the settings."""
    if isinstance(freeze, Mapping):
        return {check.shown(k): np.asarray(v).tolist() for k, v in freeze.items()}
    if freeze is None or isinstance(freeze, str):
        return freeze
    return [check.shown(name) for name in check.items("freeze", freeze)]


def free_parameters(freeze: Any, model: Model) -> Array | None:
    """1 for every entry of the flat vector that may change, 0 for one that is frozen: of parameters
    whose names begin so, or by booleans. None where nothing is frozen."""
    if freeze is None:
        return None
    if isinstance(freeze, Mapping):
        given = check.entries("freeze", freeze)
    else:
        names = [freeze] if isinstance(freeze, str) else check.items("freeze", freeze)
        given = dict.fromkeys(map(str, names), True)
    free = {name: np.ones(values.shape, bool) for name, values in model.parameters.items()}
    for key, which in given.items():
        found = [name for name in free if isinstance(key, str) and name.startswith(key)]
        if not found:
            raise ValueError(
                f"freeze: expected beginnings of {', '.join(free)}; got {check.shown(key)}"
            )
        values = check.array(f"freeze[{check.shown(key)}]", which)
        for name in found:
            if values.dtype.kind != "b" or values.shape not in ((), free[name].shape):
                raise ValueError(
                    f"freeze[{check.shown(key)}]: expected True, False or booleans "
                    f"{free[name].shape}, got {values.dtype} {values.shape}"
                )
            free[name] &= ~values
    result: Array = np.concatenate([part.ravel() for part in free.values()])
    if not result.any():
        raise ValueError("freeze: expected to leave a parameter to train, got all of them")
    return None if result.all() else result.astype(model.spec.dtype)


def unless_frozen(strength: Array | None, free: Array | None) -> Array | None:
    """A penalty's strengths, 0 for what is frozen."""
    return strength if strength is None or free is None else strength * free
