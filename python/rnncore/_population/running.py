"""The methods of a population that run its members; see `rnncore.population`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from rnncore._calls.running import Output
from rnncore._networks.network import Network
from rnncore._population.parts import parts_of
from rnncore._population.sequences import Given


class Members(Protocol):
    """A population, as far as these functions need it."""

    def __len__(self) -> int: ...
    def __getitem__(self, which: int) -> Network: ...


def __call__(
    self: Members, x: Any, h0: Any = None, lengths: Any = None, mask: Any = None
) -> Output:
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
    found = [net(*given) for net, given in calls_of(self, x, h0, lengths, mask)]
    return Output(*(stacked([getattr(out, name) for out in found]) for name in Output._fields))


def predict(self: Members, x: Any, h0: Any = None, lengths: Any = None, mask: Any = None) -> Any:
    """The predictions of every member, (members, ...); as `rnncore.RNN.predict`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> pop = rc.Population(rc.GRU, 10, 3, 2, 1, loss="bce", seed=0)
    >>> pop.predict(np.ones((4, 6, 3))).shape
    (10, 4)
    """
    return stacked([net.predict(*given) for net, given in calls_of(self, x, h0, lengths, mask)])


def predict_proba(
    self: Members, x: Any, h0: Any = None, lengths: Any = None, mask: Any = None
) -> Any:
    """The probabilities of every member, (members, ...); as `rnncore.RNN.predict_proba`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> pop = rc.Population(rc.GRU, 10, 3, 2, 2, loss="cross_entropy", seed=0)
    >>> pop.predict_proba(np.ones((4, 6, 3))).shape
    (10, 4, 2)
    """
    calls = calls_of(self, x, h0, lengths, mask)
    return stacked([net.predict_proba(*given) for net, given in calls])


def loss(
    self: Members, x: Any, y: Any, h0: Any = None, lengths: Any = None, mask: Any = None,
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
    for net, part in parts_by_member(self, given, subsets):
        x_m, y_m, h0_m, lengths_m, mask_m, target_mask_m, weight_m = part
        losses.append(
            net.loss(
                x_m, y_m, h0_m, lengths_m, mask_m, target_mask=target_mask_m,
                reduction=reduction, sample_weight=weight_m,
            )
        )  # fmt: skip
    return stacked(losses)


def calls_of(self: Members, *given: Any) -> Iterator[tuple[Network, tuple[Any, ...]]]:
    """Every member, and x, h0, lengths and mask of its call."""
    x, h0, lengths, mask = given
    for net, part in parts_by_member(self, Given(x, None, h0, lengths, mask), None):
        yield net, (part.x, part.h0, part.lengths, part.mask)


def parts_by_member(self: Members, given: Given, subsets: Any) -> Iterator[tuple[Network, Given]]:
    """Every member and its data, or those of a subset."""
    for m, part in enumerate(parts_of(given, subsets, len(self))):
        yield self[m], part


def stacked(values: list[Any]) -> Any:
    """One array with a first axis of members; of pairs a pair; a list where shapes differ."""
    if isinstance(values[0], tuple):
        return tuple(stacked([value[i] for value in values]) for i in range(len(values[0])))
    if len({np.shape(value) for value in values}) > 1:
        return values
    return np.stack(values)
