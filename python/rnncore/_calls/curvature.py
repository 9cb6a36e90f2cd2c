"""How the gradient of a loss changes along a direction.

The function with a ``self`` is a method of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._model.model import HasModel, Model
from rnncore._model.parameters import checked_array, views
from rnncore._types import Array

#: The step of the differences, relative to the parameters' norm or 1: the errors of rounding and of
#: the formula are then of about the same size.
STEP = 5e-4
#: Weights of the gradients at so many steps from the parameters, for the derivative; of 4th order.
WEIGHTS = {-2: 1 / 12, -1: -2 / 3, 1: 2 / 3, 2: -1 / 12}


def hvp(
    self: HasModel,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    v: Any,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    threads: int | None = None,
    target_mask: npt.ArrayLike | None = None,
    reduction: str = "mean",
    sample_weight: npt.ArrayLike | None = None,
) -> Any:
    """The product of the Hessian of the loss and a vector, by differences of the exact gradient.

    It takes four gradients, in float64, whatever the network's precision, at parameters that are
    moved along v, and the difference formula of fourth order; the Hessian is never formed. For
    smooth cells and losses the error is below 1e-10 of the product's norm. It is larger where the
    curvature itself changes within a distance of 1e-3 times the parameters' norm, as with weights
    at which states are chaotic, and there is none to speak of where relu or Huber's loss has a kink
    within that distance.

    Parameters
    ----------
    x, y, h0, lengths, mask, threads, target_mask, reduction, sample_weight
        As for `loss_and_grad`.
    v : dict of str to array_like, or array_like
        The vector: an array for every parameter, by name; or all in one, (size,), in the order of
        ``net.flat``.

    Returns
    -------
    dict of str to ndarray, or ndarray
        In the form of v, float64.

    Raises
    ------
    TypeError, ValueError
        As `loss_and_grad`; if v has other names or shapes, or is not finite.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.GRU(2, 3, 1, loss="mse", dtype="float64", seed=0)
    >>> x, y = np.random.default_rng(0).standard_normal((8, 5, 2)), np.ones(8)
    >>> v = np.eye(net.flat.size)[0]
    >>> column = net.hvp(x, y, v)  # the first of the Hessian
    >>> column.shape == net.flat.shape
    True
    """
    return product(
        self, x, y, v, h0, lengths, mask, threads, target_mask, reduction, sample_weight, False
    )


def direction(model: Model, v: Any) -> Array:
    """A vector of all parameters, as one array."""
    if not isinstance(v, Mapping):
        return checked_array("v", v, model.flat.shape, model.spec.dtype)
    given, shapes = check.entries("v", v), model.shapes
    if set(given) != set(shapes):
        raise ValueError(f"v: expected {check.names(shapes)}; got {check.names(given)}")
    return np.concatenate([
        checked_array(f"v[{name!r}]", given[name], shape, model.spec.dtype).ravel()
        for name, shape in shapes.items()
    ])  # fmt: skip
