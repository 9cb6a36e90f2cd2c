"""How the gradient of a loss changes along a direction, exactly.

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
    gauss_newton: bool = False,
) -> Any:
    """The product of the Hessian of the loss and a vector, exactly. [1]_

    It is the derivative, along v, of the gradient by BPTT: every number of the forward and the
    backward pass is accompanied by its own derivative along v. It takes about twice as many
    instructions as `loss_and_grad`, and the Hessian is never formed. It is computed in float64,
    whatever the network's precision. Second derivatives are 0 of relu everywhere, and of Huber's
    loss where it is linear.

    Parameters
    ----------
    x, y, h0, lengths, mask, threads, target_mask, reduction, sample_weight
        As for `loss_and_grad`.
    v : dict of str to array_like, or array_like
        The vector: an array for every parameter, by name; or all in one, (size,), in the order of
        ``net.flat``.
    gauss_newton : bool
        Of the generalised Gauss-Newton matrix [2]_ in the place of the Hessian: J^T H J, with
        the Jacobian J of the outputs and the Hessian H of the loss as a function of the outputs.
        It has no negative eigenvalue where the loss is convex in the outputs, which all losses but
        "gaussian_nll" are.

    Returns
    -------
    dict of str to ndarray, or ndarray
        In the form of v, float64.

    Raises
    ------
    TypeError, ValueError
        As `loss_and_grad`; if v has other names or shapes, or is not finite.

    See Also
    --------
    loss_and_grad : The gradient.

    References
    ----------
    .. [1] B. A. Pearlmutter, "Fast exact multiplication by the Hessian", Neural Computation 6
       (1994) 147-160.
    .. [2] N. N. Schraudolph, "Fast curvature matrix-vector products for second-order gradient
       descent", Neural Computation 14 (2002) 1723-1738.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.GRU(2, 3, 1, loss="mse", dtype="float64", seed=0)
    >>> x, y = np.random.default_rng(0).standard_normal((8, 5, 2)), np.ones(8)
    >>> v = np.eye(net.flat.size)[0]
    >>> column = net.hvp(x, y, v)  # the first of the Hessian
    >>> column.shape == net.flat.shape
    True
    >>> bool(v @ net.hvp(x, y, v, gauss_newton=True) >= 0)
    True
    """
    model = self._model
    if model.spec.dtype != np.float64:
        model = model.in_float64()
    along = direction(model, v)
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    targets = outputs.for_core(inputs, outputs.targets(inputs, y, target_mask, sample_weight))
    check.choice("reduction", reduction, ("mean", "sum"))
    product, value, faults = model.spec.core.hvp(
        model.engine, inputs.batch, *targets, along, threads=check.threads(threads),
        mean=reduction == "mean", gauss_newton=check.flag("gauss_newton", gauss_newton),
    )  # fmt: skip
    if faults or not np.isfinite(value):
        outputs.explain(inputs, y, target_mask, sample_weight)
    return views(product, model.shapes) if isinstance(v, Mapping) else product


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
