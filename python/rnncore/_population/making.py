"""The arguments of a population's fit, checked and put together as a job."""

from __future__ import annotations

from typing import Any

from rnncore._checks import arguments as check
from rnncore._model.model import Model
from rnncore._model.spec import Spec
from rnncore._population import options as of
from rnncore._population.jobs import Job, Rows
from rnncore._population.sequences import (
    Given,
    Pool,
    Selection,
    check_counts,
    pool_of,
    selected,
    share_apart,
)
from rnncore._training.options import changes, free_parameters
from rnncore._training.ties import check_equal, tied_parameters
from rnncore._training.validation import is_share
from rnncore._types import Array


def job_of(
    model: Model, flat: Array, given: Given, train: Any, validation: Any, seeds: Array,
    settings: dict[str, Any],
) -> Job:  # fmt: skip
    """The job that a call of `fit` asks for.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.
    """
    spec, core, members = model.spec, model.spec.core, len(flat)
    epochs = check.whole("epochs", settings["epochs"], 1)
    rates, plateau = of.rates(settings["lr"], members, epochs)
    truncate, patience = settings["truncate"], settings["patience"]
    names = ("momentum", "alpha", "betas", "eps", "clip_norm", "clip_value", "activation")
    optimizer = check.choice("optimizer", settings["optimizer"], core.OPTIMISERS)
    shared = {
        "rule": core.OPTIMISERS[optimizer],
        "truncate": 0 if truncate is None else check.whole("truncate", truncate, 1),
        "patience": 0 if patience is None else check.whole("patience", patience, 1),
        "shuffled": check.flag("shuffle", settings["shuffle"]),
        "plateau": plateau,
    }
    coefficients = of.coefficients(members, spec.dtype, **{name: settings[name] for name in names})
    decay = of.penalties("weight_decay", settings["weight_decay"], members, model)
    l1 = of.penalties("l1", settings["l1"], members, model)
    ties = tied_parameters(settings["tie"], model)
    for m in range(members if ties is not None else 0):
        check_equal(ties, model, flat[m], f"member {m}: ")
    of_change = changes(ties, free_parameters(settings["freeze"], model), decay, l1)
    decay, l1 = of_change.pop("decay"), of_change.pop("l1")
    pool = pool_of(spec, given, members)
    everything = pool.everything(members)
    if train is not None:
        everything = selected("train", train, everything)
    chosen, held_pool, held = held_of(spec, pool, everything, validation, seeds)
    check_counts("train", pool, chosen)
    if held is not None and held_pool is not None:
        check_counts("validation", held_pool, held)
    elif shared["patience"]:
        raise ValueError("patience: expected validation= with it, whose loss decides when to stop")
    rows = Rows.of(pool)
    held_rows = None if held_pool is None else rows if held_pool is pool else Rows.of(held_pool)
    return Job(
        model.cell, model.config, rows, chosen, held_rows, held,
        of.batch_sizes(settings["batch_size"], chosen.counts), coefficients, seeds, decay, l1,
        rates, epochs, shared | of_change,
    )  # fmt: skip


def held_of(
    spec: Spec, pool: Pool, everything: Selection, validation: Any, seeds: Array
) -> tuple[Selection, Pool | None, Selection | None]:
    """What each member is trained on, and what its validation loss is of."""
    members = len(seeds)
    if validation is None:
        return everything, None, None
    if is_share(validation):
        share = check.number("validation", validation, 0, 1, above=True)
        train, held = share_apart(share, everything, seeds)
        return train, pool, held
    if is_pair(validation):
        try:
            other = pool_of(spec, Given(*validation), members)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation: {error}") from None
        return everything, other, other.everything(members)
    return everything, pool, selected("validation", validation, pool.everything(members))


def is_pair(validation: Any) -> bool:
    """Whether it is a pair (x, y) of data, not numbers of sequences."""
    if not isinstance(validation, tuple) or len(validation) != 2:
        return False
    x = validation[0]
    return isinstance(x, list | tuple) or getattr(x, "ndim", 0) >= 2
