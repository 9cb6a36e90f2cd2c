"""Calls of the whole public face, drawn at random."""

from __future__ import annotations

import warnings

import numpy as np

import rnncore as rc
from fuzz.batches import losses, outputs, slopes
from fuzz.fits import schedules, training
from fuzz.instruments import dynamics, exports, jacobians, pruning, pulls, second
from fuzz.live import generation, many_streams, online
from fuzz.networks import networks
from fuzz.populations import populations
from fuzz.promises import COUNTS, Find, attempt, expect
from fuzz.steps import steps
from fuzz.storage import files, state_dicts
from fuzz.strategies import Raised, Value
from fuzz.streams import streams

__all__ = ["COUNTS", "Find", "Value", "attempt", "example", "losses", "network"]


CALLS = [outputs] * 4 + [losses] * 4 + [slopes] * 2 + [streams] * 4 + [training] * 3
CALLS += [state_dicts, files, schedules, populations, populations, steps]
CALLS += [online, online, many_streams, generation, generation]
CALLS += [jacobians, dynamics, second, second, pulls, pruning, exports]


def network(r, share=0.3):
    """A network, or None where its options are wrong."""
    kind, arguments = networks(r, share)
    net, fine, _ = attempt(None, kind, getattr(rc, kind), arguments, also=(Raised,))
    if not fine:
        return None
    if net._model.flat.size > 10_000 or (net.config.get("skip") or 0) > 1000:
        return None
    expect(np.isfinite(net._model.flat).all(), kind, "parameters", net._model.flat)
    return net if np.abs(net._model.flat).max() < 4 else None


def example(r, most=12):
    """A network and some calls of it; raises a Find."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "the matrix subclass")
        net = network(r)
        if net is None:
            return
        for _ in range(r.randint(1, most)):
            if r.random() < 0.02:
                _ = net.flat  # from now on anybody may change the parameters
            r.choice(CALLS)(r, net)
