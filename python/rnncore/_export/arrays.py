"""The constant arrays of an exported network: which there are, and as C code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnncore._checks import arguments as check
from rnncore._export.quantisation import quantised
from rnncore._model.model import Model
from rnncore._types import Array

#: How wide a line of numbers may be.
WIDTH = 96


@dataclass(frozen=True)
class Layer:
    """The arrays of one layer, in C's names: matrices, and of the biases those there are.

    All biases of a sum are one; only where a gate works on W_hn h + b_hn, b_hn is apart."""

    matrices: dict[str, Array]
    biases: dict[str, Array | None]


def layers_of(model: Model) -> list[Layer]:
    """By layer, from the first."""
    return [layer_of(model, f"_l{k}") for k in range(model.spec.passes)]


def layer_of(model: Model, suffix: str) -> Layer:
    p, config = model.parameters, model.config
    hh = p[f"weight_hh{suffix}"]
    matrices = {"ih": p[f"weight_ih{suffix}"], "hh": hh}
    apart = has_candidate(model) and not resets_before(model)
    gates = (model.cell.blocks - 1) * model.spec.hidden_size  # rows before those of a candidate
    if has_candidate(model):
        matrices |= {"hh": hh[:gates], "hn": hh[gates:]}
    if config.get("skip"):
        matrices["skip"] = p[f"weight_skip{suffix}"]
    biases: dict[str, Array | None] = {"bias": None}
    if apart:
        biases["bias_hn"] = None
    if config["bias"]:
        of_x, of_h = (p[f"bias_{name}{suffix}"].astype(np.float64) for name in ("ih", "hh"))
        if apart:
            biases["bias_hn"] = of_h[gates:].copy()
            of_h[gates:] = 0
        biases["bias"] = of_x + of_h
    return Layer(matrices, biases)


def has_candidate(model: Model) -> bool:
    """Whether the cell has a candidate n, for which W_hh has rows that are used apart."""
    return model.cell.name in ("GRU", "MGU")


def resets_before(model: Model) -> bool:
    """Whether the gate works on the state before the product."""
    return bool(model.config.get("reset") == "before")


class Arrays:
    """The constant arrays as C code, and how many bytes they have.

    Parameters
    ----------
    name : str
        With which the arrays' names begin.
    dtype : str
        "float32" or "int8", of matrices.
    """

    def __init__(self, name: str, dtype: str) -> None:
        self.name, self.dtype = name, dtype
        self.size = 0
        self.code: list[str] = []

    def matrix(self, name: str, values: Array) -> str:
        """Adds a matrix; returns the initialiser of a struct for it."""
        if self.dtype == "float32":
            return f"{{{self.vector(name, values)}}}"
        integers, scales = quantised(values)
        return f"{{{self._add(name, integers)}, {self.vector(f'{name}_scales', scales)}}}"

    def vector(self, name: str, values: Array | None) -> str:
        """Adds an array, if there is one; returns its name or NULL."""
        if values is None:
            return "NULL"
        with np.errstate(over="ignore"):
            narrow = np.asarray(values, np.float32)
        check.all_finite(f"net: {name} as float32", narrow)
        return self._add(name, narrow)

    def _add(self, name: str, values: Array) -> str:
        whole = values.dtype == np.int8
        numbers = [str(v) if whole else literal(v) for v in values.ravel().tolist()]
        kind = "int8_t" if whole else "float"
        lines = "\n".join(wrapped(numbers))
        self.code.append(
            f"static const {kind} {self.name}_{name}[{values.size}] = {{\n{lines}\n}};\n"
        )
        self.size += values.nbytes
        return f"{self.name}_{name}"


def literal(value: float) -> str:
    """A float constant of C that has every digit a float32 has."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def wrapped(numbers: list[str]) -> Iterator[str]:
    """Lines of numbers."""
    line = "   "
    for number in numbers:
        if len(line) + len(number) + 2 > WIDTH:
            yield line
            line = "   "
        line += f" {number},"
    yield line
