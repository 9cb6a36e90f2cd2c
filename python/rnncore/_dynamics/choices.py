"""Networks whose targets are choices, and the probabilities that they give them."""

from __future__ import annotations

import numpy as np

from rnncore._checks import arguments as check
from rnncore._networks.network import Network
from rnncore._types import Array


def check_network(net: Network) -> None:
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a network, got {check.kind(net)}")


def chooses(net: Network) -> None:
    """Raise an error where the targets of a network are no choices."""
    check_network(net)
    if net.config["loss"] not in ("bce", "cross_entropy"):
        raise ValueError(
            'net: expected a network with loss="bce" or "cross_entropy", whose targets are '
            f"choices, got loss={net.config['loss']!r}"
        )


def probabilities(y: Array) -> Array:
    """The probabilities of choices, (n, choices), from logits (n, K): of K = 1 of 0 and 1."""
    logits = np.concatenate([np.zeros_like(y), y], axis=1) if y.shape[1] == 1 else y
    logits = logits.astype(float)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Array = p / p.sum(axis=1, keepdims=True)
    return result
