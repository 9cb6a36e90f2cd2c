"""The options of a fit, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from rnncore._checks import arguments as check
from rnncore._types import Array
from rnncore.schedules import Schedule


class Options(NamedTuple):
    """The arguments of a fit, checked."""

    core: dict[str, Any]  # for the trainer, as it takes them
    told: dict[str, Any]  # as they were given, for a checkpoint to be recognised by
    rates: Callable[[int, int], Any]  # of so many epochs, the first of which has that number
    epochs: int
    threads: int | None
    progress: bool
    callback: Callable[[int, float], object] | None
    checkpoint: str | None


def options(
    core: ModuleType, parameters: dict[str, Array], dtype: np.dtype[Any], *,
    epochs: Any, batch_size: Any, optimizer: Any, lr: Any, momentum: Any, alpha: Any, betas: Any,
    eps: Any, clip_norm: Any, clip_value: Any, weight_decay: Any, l1: Any, activation: Any,
    truncate: Any, patience: Any, shuffle: Any, threads: Any, progress: Any, callback: Any,
    checkpoint: Any,
) -> Options:  # fmt: skip
    try:
        beta1, beta2 = betas
    except Exception:  # of whatever it is
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
    told = {
        "batch_size": check.whole("batch_size", batch_size, 1),
        "optimizer": check.choice("optimizer", optimizer, core.OPTIMISERS),
        "lr": told_rate(lr, epochs),
        "momentum": check.number("momentum", momentum, 0, 1, above=False),
        "alpha": check.number("alpha", alpha, 0, 1, above=False),
        "betas": [
            check.number("betas", beta1, 0, 1, above=False),
            check.number("betas", beta2, 0, 1, above=False),
        ],
        "eps": eps,
        "clip_norm": limit("clip_norm", clip_norm),
        "clip_value": limit("clip_value", clip_value),
        "weight_decay": told_strength("weight_decay", weight_decay),
        "l1": told_strength("l1", l1),
        "activation": check.number("activation", activation, 0, above=False),
        "truncate": 0 if truncate is None else check.whole("truncate", truncate, 1),
        "shuffle": check.flag("shuffle", shuffle),
        "patience": 0 if patience is None else check.whole("patience", patience, 1),
    }
    kept = {
        name: told[name]
        for name in ("momentum", "alpha", "eps", "clip_norm", "clip_value", "activation",
                     "truncate", "patience")
    }  # fmt: skip
    return Options(
        {
            **kept,
            "rule": core.OPTIMISERS[told["optimizer"]],
            "beta1": told["betas"][0],
            "beta2": told["betas"][1],
            "decay": strengths("weight_decay", told["weight_decay"], parameters, dtype),
            "l1": strengths("l1", told["l1"], parameters, dtype),
            "shuffled": told["shuffle"],
            "plateau": schedule.plateau,
        },
        told,
        rates_of(lr, epochs),
        epochs,
        check.threads(threads),
        check.flag("progress", False if progress is None else progress),
        callback,
        None if checkpoint is None else check.path(checkpoint, "checkpoint"),
    )


def limit(name: str, value: Any) -> float:
    """A clipping limit for the core, where 0 is none."""
    return 0.0 if value is None else check.number(name, value, 0, above=True)


def told_rate(lr: Any, epochs: int) -> Any:
    """A number, or what tells one schedule from another."""
    if isinstance(lr, Schedule):
        has_text = type(lr).__repr__ is not object.__repr__  # one that is the same in every process
        text = check.shown(lr) if has_text else check.kind(lr)
        return f"{text} over {epochs} epochs" if lr.uses_total else text
    return "a function" if callable(lr) else check.number("lr", lr, 0, above=True)


def rates_of(lr: Any, epochs: int) -> Callable[[int, int], Any]:
    """The learning rates of some epochs: a number where they all have the same."""
    if not callable(lr):
        return lambda _first, _count: float(lr)

    def rates(first: int, count: int) -> list[float]:
        numbers = range(first, first + count)
        if isinstance(lr, Schedule):
            return [lr(epoch, epochs) for epoch in numbers]
        return [check.number(f"lr({epoch})", lr(epoch), 0, above=False) for epoch in numbers]

    return rates


def told_strength(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else check.shown(key): check.number(
                f"{name}[{check.shown(key)}]", strength, 0, above=False
            )
            for key, strength in check.entries(name, value).items()
        }
    return check.number(name, value, 0, above=False)


def strengths(
    name: str, value: Any, parameters: dict[str, Array], dtype: np.dtype[Any]
) -> Array | None:
    """One number for every parameter: of a mapping, that of the longest beginning of its name."""
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
