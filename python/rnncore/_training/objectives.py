"""The loss as a function of the parameters, for optimisers of other packages."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._types import Array


class Differentiable(Protocol):
    """A network, as far as an objective needs it."""

    @property
    def flat(self) -> Array: ...

    @property
    def loss_and_grad(self) -> Callable[..., tuple[float, dict[str, Array]]]: ...


class Objective:
    """``objective(flat) -> (loss, gradient)``; see `rnncore.RNN.objective`."""

    def __init__(self, net: Differentiable, x: Any, y: Any, options: dict[str, Any]) -> None:
        self._net = copy.deepcopy(net)
        self._x, self._y, self._options = x, y, options
        self(self._net.flat)  # raises the errors for x and y here and not within an optimiser

    def __call__(self, flat: Array) -> tuple[float, Array]:
        values, own = check.array("flat", flat), self._net.flat
        check.same_shape("flat", values, own.shape)
        with np.errstate(over="ignore"):
            own[:] = values
        loss, grads = self._net.loss_and_grad(self._x, self._y, **self._options)
        return loss, np.concatenate([g.ravel() for g in grads.values()]).astype(np.float64)


def objective(
    self: Differentiable,
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

    ``scipy.optimize.minimize(..., jac=True)`` takes such a function. Its quasi-Newton methods often
    converge fastest where a network and its data are small.

    Parameters
    ----------
    x, y, h0, lengths, mask, threads, target_mask, reduction, sample_weight
        As for `loss_and_grad`.

    Returns
    -------
    callable
        ``objective(flat) -> (loss, gradient)``, in float64. It works on a copy of the network;
        the network itself does not change.

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
