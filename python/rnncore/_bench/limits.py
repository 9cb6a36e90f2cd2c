"""What this machine can do at most, measured in the same run by the compiled core.

Four probes (``rnncore/diagnostics/probes.pxi``), each on one core and with the build that is timed:

``fma``     flops per second of independent multiply-adds, operands in registers
``tanh``    seconds per element of tanh and its derivative, from cache to cache
``chain``   seconds per step of ``h = tanh(w h + x)``, where every step waits for the last
``stream``  bytes per second read from memory much larger than any cache

The *limit* of a row is the time below which its work cannot be done step by step on one core:
the larger of

* its products at the fma peak, and then its tanh at the tanh rate.  A train step has
  2 H (D + H) B T flops forward, 2 H H B T backward and 2 H (D + H) B T in the gradient, so many
  times the gates of its cell, and of every layer and direction; a layer above the first has the
  states below it for its D inputs, and 2 H D B T flops more backward.  Of sequences of different
  lengths the steps that they have count, not B T;
* T steps of the chain, since no sequence can start a step before the last one is done; with
  more layers `Row.chain` steps.  This is what binds one scalar sequence.

The *share* of a row is its limit over the time measured: 1 is perfect.  Its *fma share* is the
flops of its products over what the peak could have done in the time measured.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnncore._bench import timing
from rnncore._bench.grid import Row
from rnncore._runtime import builds

#: Iterations of one call of a probe, and the number of rounds, of which the best counts.
ITERATIONS = {"fma": 100_000, "tanh": 1000, "chain": 50_000, "stream": 1}
STREAM_BYTES = 1 << 28
ROUNDS = 7


class Limits(NamedTuple):
    """Rates of one core; see the docstring of the module."""

    flops_per_second: float
    seconds_per_tanh: float
    seconds_per_chain_step: float
    bytes_per_second: float

    def seconds(self, row: Row) -> float:
        """The limit of one call of a row."""
        products = 2 * row.multiply_adds() / self.flops_per_second
        tanh = row.activations() * self.seconds_per_tanh
        return max(products + tanh, row.chain * self.seconds_per_chain_step)

    def fma_share(self, row: Row, seconds: float) -> float:
        """The share of the fma peak that a call of so many seconds reached."""
        return 2 * row.multiply_adds() / (seconds * self.flops_per_second)


def rate(core: Any, name: str, iterations: int, memory: Any) -> float:
    """Work per second of a probe: the best of a few rounds, since it is a limit."""
    work = core.probe(name, iterations, memory)
    seconds = (timing.total(lambda: core.probe(name, iterations, memory), 1) for _ in range(ROUNDS))
    return float(work / min(seconds))


def measure(dtype: str, stream_bytes: int = STREAM_BYTES) -> Limits:
    """This core's limits in a precision, with the build in use."""
    core = builds.core(dtype)
    small = np.full(4096, 0.5, dtype)
    rates = {name: rate(core, name, n, small) for name, n in ITERATIONS.items() if name != "stream"}
    large = np.ones(stream_bytes // np.dtype(dtype).itemsize, dtype)
    rates["stream"] = rate(core, "stream", ITERATIONS["stream"], large)
    return Limits(rates["fma"], 1 / rates["tanh"], 1 / rates["chain"], rates["stream"])
