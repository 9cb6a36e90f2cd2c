"""Trained networks as files for other programs: C code, and the JSON of RTNeural.

>>> import os, tempfile, rnncore as rc, rnncore.export
>>> net = rc.GRU(3, 8, 1, seed=0)
>>> with tempfile.TemporaryDirectory() as folder:
...     report = rnncore.export.c(net, os.path.join(folder, "net"))
...     sorted(os.listdir(folder))
['net.c', 'net.h']
>>> report.weights, report.state
(1220, 32)
"""

from __future__ import annotations

import os
import re
from typing import Any

from rnncore._checks import arguments as check
from rnncore._export import rtneural as layout
from rnncore._export.checking import check_place, description, model_of
from rnncore._export.code import Writer
from rnncore._export.quantisation import accuracy
from rnncore._export.report import Accuracy, Export
from rnncore._networks.network import Network
from rnncore._storage.files import replacing

__all__ = ["Accuracy", "Export", "c", "rtneural"]

DTYPES = ("float32", "int8")


def c(
    net: Network,
    path: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    name: str | None = None,
    libm: bool = True,
    tokens: bool = False,
    x: Any = None,
    y: Any = None,
) -> Export:
    """Write a network as C99 code for one time step: a header and a source file.

    The code needs no memory allocation, has no global variables, and needs nothing but the
    headers of the C library; the header can be included by C++ too. For a network called "net" it
    declares::

        typedef struct { ... } net_state;
        void net_init(net_state *state);       ready for the first step; of trainable_h0, with h0
        void net_reset(net_state *state);      the same, for the next sequence
        void net_step(net_state *state, const float *x, float *y);

    and ``NET_INPUTS``, ``NET_OUTPUTS`` and other sizes. Any number of states can be stepped. What
    `net_step` computes is what ``net.step`` computes, in float32: the logits after each step,
    whatever ``readout`` is (of "before", the logits before each step), or without a read-out the
    states.

    Parameters
    ----------
    net : RNN, LSTM, GRU or MGU
        With ``bidirectional=False``. One of float64 is exported in float32.
    path : path-like
        Of both files, without an ending or with ".c" or ".h". Files that are there are replaced.
    dtype : {"float32", "int8"}
        Of weights. With "int8" every row of every matrix has integers from -127 to 127 and one
        float32 scale, a quarter of the memory; biases, states and sums stay float32.
    name : str, optional
        With which all names in the files begin; the file's if not given.
    libm : bool
        Whether tanh and the logistic function call ``tanhf`` and ``expf``. If False, they are a
        quotient of polynomials within 5e-7, and nothing is linked.
    tokens : bool
        Whether there is also ``int net_step_token(net_state *state, int token, float *y)``.
    x : array_like or list, optional
        Of "int8": sequences on which the report says what rounding the weights costs.
    y : array_like, optional
        Their targets, for the loss before and after.

    Returns
    -------
    Export
        The files, bytes of memory, and with `x` the accuracy.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, or a parameter is not finite or too large for float32.
    OSError
        If the files cannot be written; those that were there are then unchanged.

    Examples
    --------
    >>> import numpy as np, os, tempfile, rnncore as rc, rnncore.export
    >>> net = rc.LSTM(2, 4, 3, loss="cross_entropy", seed=0)
    >>> x = np.random.default_rng(0).standard_normal((100, 20, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = rnncore.export.c(net, os.path.join(folder, "net"), dtype="int8", x=x)
    >>> report.weights, report.accuracy.largest < 0.01, report.accuracy.equal > 0.95
    (324, True, True)
    """
    model = model_of(net)
    stem = re.sub(r"\.[ch]$", "", check.path(path))
    file = os.path.basename(stem)
    name = file if name is None else name
    check_names(name, file)
    dtype = check.choice("dtype", dtype, DTYPES)
    libm, tokens = check.flag("libm", libm), check.flag("tokens", tokens)
    if x is not None and dtype == "float32":
        raise ValueError("x: expected None with dtype='float32', which rounds no weights")
    if y is not None and x is None:
        raise ValueError("x: expected the sequences that the targets y belong to, got None")
    code = Writer(model, name, file, dtype=dtype, libm=libm, tokens=tokens).code()
    found = None if x is None else accuracy(net, x, y)
    header, source = f"{stem}.h", f"{stem}.c"
    check_place(header)
    check_place(source)
    with replacing(header) as first, replacing(source) as second:
        first.write(code.header.encode())
        second.write(code.source.encode())
    return Export(
        header, source, name, description(model), dtype, code.weights, code.state, code.scratch,
        found,
    )  # fmt: skip


def check_names(name: Any, file: str) -> None:
    """Raise an error unless names in C may begin so, and a header of that name can be included."""
    if not isinstance(name, str):
        raise TypeError(f"name: expected a str, got {check.shown(name)}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            "name: expected letters, digits and underscores that begin with a letter, got "
            f"{check.shown(name)}"
        )
    if not file.isprintable() or set(file) & set('"\\'):
        raise ValueError(f"path: expected a name that C can include, got {check.shown(file)}")


def rtneural(net: Network, path: str | os.PathLike[str]) -> None:
    """Write the JSON file from which RTNeural, a library for audio plugins, loads a model. [1]_

    Layers are "gru" or "lstm", in the order of gates and with the biases that Keras has, and the
    read-out is a "dense" layer, which puts out the logits after each step.

    Parameters
    ----------
    net : GRU or LSTM
        With ``bidirectional=False``, and of a GRU with the options that RTNeural knows:
        ``nonlinearity="tanh"`` and the reset gate working on the product. States begin with zeros.
    path : path-like
        A file that is there is replaced.

    Raises
    ------
    TypeError, ValueError
        If RTNeural has nothing that computes the same.
    OSError
        If the file cannot be written; one that was there is then unchanged.

    References
    ----------
    .. [1] J. Chowdhury, "RTNeural: fast neural inferencing for real-time systems",
       arXiv:2106.03037 (2021).

    Examples
    --------
    >>> import json, os, tempfile, rnncore as rc, rnncore.export
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.json")
    ...     rnncore.export.rtneural(rc.LSTM(1, 20, 1, seed=0), path)
    ...     with open(path) as file:
    ...         [(layer["type"], layer["shape"]) for layer in json.load(file)["layers"]]
    [('lstm', [None, None, 20]), ('dense', [None, None, 1])]
    """
    text, path = layout.as_json(model_of(net)), check.path(path)
    check_place(path)
    with replacing(path) as file:
        file.write(text.encode())
