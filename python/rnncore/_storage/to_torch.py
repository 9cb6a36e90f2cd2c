"""``net.to_torch()``: a network as a module of PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncore._model.model import HasModel

if TYPE_CHECKING:
    import torch


def to_torch(self: HasModel, *, own: bool = False) -> torch.nn.Module:
    """The same network as a module of PyTorch, with copies of the parameters.

    Parameters
    ----------
    own : bool
        Whether its layer is `rnncore.torch.RNN`, `LSTM` or `GRU` instead of PyTorch's: faster, and
        needs rnncore where it is used.

    Returns
    -------
    torch.nn.Module
        Without a read-out a ``torch.nn.RNN``, ``LSTM`` or ``GRU`` with ``batch_first=True``. With
        one a `rnncore.torch.WithReadout`: its state dict has the names of `parameters`, its
        output is that of the network.

    Raises
    ------
    ImportError
        Without PyTorch.
    ValueError
        For what PyTorch's layers cannot do, by the name of the argument.

    Examples
    --------
    >>> import numpy as np, torch, rnncore as rc
    >>> net, x = rc.GRU(3, 5, 2, seed=0), np.ones((4, 7, 3), np.float32)
    >>> with torch.no_grad():
    ...     y = net.to_torch()(torch.from_numpy(x))
    >>> bool(np.allclose(y, net(x).y, atol=1e-5))
    True
    """
    from rnncore._torch.modules import module_of

    return module_of(self, own)
