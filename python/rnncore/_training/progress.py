"""The line that shows how far a fit is."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.util import find_spec
from time import perf_counter
from typing import Any

from rnncore._training.records import LOSS, VALIDATION
from rnncore._types import Array


class Progress:
    """A line on standard error: tqdm's if that is installed, else a plain one."""

    def __init__(self, epochs: int, done: int) -> None:
        self.epochs, self.first, self.done = epochs, done, done
        self.begun = perf_counter()
        self.stream = SafeStream(sys.stderr)
        self.bar = tqdm_bar(self.stream, total=epochs, initial=done, unit="epoch", leave=True)

    def __call__(self, epoch: int, record: Array) -> None:
        text = f"loss {record[LOSS]:.4f}"
        if record[VALIDATION]:
            text += f", validation {record[VALIDATION]:.4f}"
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(epoch - self.done)
        else:
            each = (perf_counter() - self.begun) / max(1, epoch - self.first)
            line = f"\repoch {epoch}/{self.epochs}  {text}  {each:.3g} s/epoch "
            print(line, end="", file=self.stream, flush=True)
        self.done = epoch

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.done > self.first:
            print(file=self.stream)


class SafeStream:
    """A stream whose errors are ignored: no fit ends because standard error is missing (as in a
    program without a console), closed or full."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        with suppress(Exception):
            self.stream.write(text)

    def flush(self) -> None:
        with suppress(Exception):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def tqdm_bar(stream: SafeStream, **options: Any) -> Any:
    """tqdm's bar, in a notebook its widget; None if tqdm is not installed."""
    try:
        if "IPython" in sys.modules and find_spec("ipywidgets") is not None:  # else tqdm would warn
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm

            options |= {"file": stream, "dynamic_ncols": True}
    except ImportError:
        return None
    return tqdm(**options)
