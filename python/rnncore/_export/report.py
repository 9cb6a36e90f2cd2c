"""What an export to C says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """What rounding the weights to 8 bits changes, on the sequences that were passed.

    Attributes
    ----------
    largest, mean : float
        Of the absolute differences between the outputs of the two networks.
    equal : float or None
        The share of predictions that are the same; of the losses "bce" and "cross_entropy".
    loss, loss_after : float or None
        The loss of the network and of the one that was exported; where targets were passed.
    """

    largest: float
    mean: float
    equal: float | None
    loss: float | None
    loss_after: float | None


@dataclass(frozen=True, repr=False)
class Export:
    """The files that `rnncore.export.c` has written, their memory and their accuracy.

    Attributes
    ----------
    header, source : str
        The paths of the files.
    name : str
        With which every name in them begins.
    description : str
        Cell and sizes in words.
    dtype : str
        "float32" or "int8".
    weights : int
        Bytes of the constant arrays: read-only memory.
    state : int
        Bytes of the state of one stream, where an int has four bytes.
    scratch : int
        Bytes of the arrays that a step has on the stack.
    accuracy : Accuracy or None
        Of "int8", where sequences were passed.
    """

    header: str
    source: str
    name: str
    description: str
    dtype: str
    weights: int
    state: int
    scratch: int
    accuracy: Accuracy | None = None

    def __repr__(self) -> str:
        rows = [
            ("weights", f"{self.weights} bytes, read-only"),
            ("state", f"{self.state} bytes for each stream"),
            ("stack", f"{self.scratch} bytes during a step, and what the compiler needs"),
        ]
        found = self.accuracy
        if found is not None:
            rows.append(
                ("outputs", f"differ by at most {found.largest:.3g}, on average {found.mean:.3g}")
            )
            if found.equal is not None:
                rows.append(("predictions", f"{found.equal:.4g} of them are the same"))
            if found.loss is not None:
                rows.append(("loss", f"{found.loss_after:.5g}, before {found.loss:.5g}"))
        lines = [f"{self.description}; {self.dtype}", f"{self.header}, {self.source}"]
        return "\n".join(lines + [f"  {name:<12}{text}" for name, text in rows])
