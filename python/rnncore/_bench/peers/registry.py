"""The libraries that rnncore is compared with, by name."""

from __future__ import annotations

from importlib import import_module

from rnncore._bench.peers.peer import Peer

#: Peer -> its module and class. `rnncore` is one of them.
PEERS = {
    "rnncore": ("itself", "Itself"),
    "oracle": ("oracle", "Oracle"),
    "numpy": ("numpy_peer", "Numpy"),
    "numba": ("numba_peer", "Numba"),
    "numba-lanes": ("numba_peer", "NumbaLanes"),
    "torch": ("torch_peer", "Torch"),
    "jax": ("jax_peer", "Jax"),
    "onnxruntime": ("onnxruntime_peer", "OnnxRuntime"),
    "onednn": ("onednn_peer", "OneDnn"),
}

#: Not what users of a library would write, but rnncore's own design written with it. These are
#: shown with the others, but do not count as rivals.
STUDIES = ("numba-lanes",)


def load(name: str, threads: int) -> Peer:
    """A peer by its name; ImportError where its library is not installed."""
    if name not in PEERS:
        raise ValueError(f"peers: expected some of {', '.join(PEERS)}, got {name!r}")
    module, kind = PEERS[name]
    peer: Peer = getattr(import_module(f"{__package__}.{module}"), kind)(threads)
    return peer
