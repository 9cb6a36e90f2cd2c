"""Around a compiled trainer: what Python sees of a fit while it runs and after."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from types import ModuleType
from typing import Any

import numpy as np

from rnncore import _checks as check
from rnncore._checks import Array
from rnncore._inputs import Inputs


class History:
    """What a fit did.

    Attributes
    ----------
    loss : ndarray
        Mean loss of every epoch, (epochs,).
    seconds : float
        Time the fit took.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(1, 1, 1, loss="mse", seed=0)
    >>> history = net.fit(np.ones((8, 3, 1)), np.ones(8), epochs=5)
    >>> len(history)
    5
    """

    def __init__(self, loss: Array, seconds: float) -> None:
        self.loss = loss
        self.seconds = seconds

    def __len__(self) -> int:
        return len(self.loss)

    def __repr__(self) -> str:
        return (
            f"History({len(self)} epochs, loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}, "
            f"{self.seconds:.3g} s)"
        )


def prepare(
    core: ModuleType, engine: Any, inputs: Inputs, target: Array | None, classes: Array | None, *,
    batch_size: Any, optimizer: Any, lr: Any, momentum: Any, betas: Any, eps: Any,
    clip_norm: Any, clip_value: Any, shuffle: Any, rng: Any,
) -> Any:  # fmt: skip
    """A compiled trainer, from checked options."""
    try:
        beta1, beta2 = betas
    except (TypeError, ValueError):
        raise TypeError(f"betas: expected two numbers, got {betas!r}") from None
    rules = core.OPTIMISERS
    eps = check.number("eps", eps, 0, above=True)
    if inputs.form.dtype.type(eps) == 0:
        raise ValueError(f"eps: expected more than 0 in {inputs.form.dtype}, got {eps!r}")
    return core.Trainer(
        engine,
        inputs.batch,
        target,
        classes,
        np.arange(inputs.count, dtype=np.int64),
        check.whole("batch_size", batch_size, 1),
        rule=rules[check.choice("optimizer", optimizer, rules)],
        lr=check.number("lr", lr, 0, above=True),
        momentum=check.number("momentum", momentum, 0, 1, above=False),
        beta1=check.number("betas", beta1, 0, 1, above=False),
        beta2=check.number("betas", beta2, 0, 1, above=False),
        eps=eps,
        clip_norm=limit("clip_norm", clip_norm),
        clip_value=limit("clip_value", clip_value),
        shuffled=check.flag("shuffle", shuffle),
        seed=check.seed("rng", rng),
    )


def limit(name: str, value: Any) -> float:
    """A clipping limit for the core, where 0 is none."""
    return 0.0 if value is None else check.number(name, value, 0, above=True)


def run(
    trainer: Any,
    explain: Callable[[], None],
    epochs: Any,
    threads: int | None,
    progress: bool | None,
    callback: Callable[[int, float], object] | None,
) -> History:
    """All epochs in one call of the core; one call each where somebody wants to watch.

    `explain` raises the error for impossible numbers in the data, where there are some.
    """
    progress = check.flag("progress", False if progress is None else progress)
    epochs = check.whole("epochs", epochs, 1)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback: expected a function, got {callback!r}")
    losses = np.empty(epochs)
    begun = perf_counter()
    show = Progress(epochs) if progress else None
    at_once = 1 if progress or callback is not None else epochs
    try:
        for done in range(0, epochs, at_once):
            part = losses[done : done + at_once]
            finished = trainer.run(part, threads)
            if finished < len(part):
                explain()
                stop(losses, done + finished)
            if show is not None:
                show(done + 1, part[0])
            if callback is not None:
                callback(done + 1, float(part[0]))
    finally:
        if show is not None:
            show.close()
    return History(losses, perf_counter() - begun)


def stop(losses: Array, finished: int) -> None:
    before = f"that of epoch {finished}" if finished else "unchanged"
    after = f" after {losses[finished - 1]:.4g}" if finished else ""
    raise FloatingPointError(
        f"fit: expected a finite loss and parameters, got loss {losses[finished]:.4g}{after} in "
        f"epoch {finished + 1}; the network is {before}. A smaller lr or clip_norm= helps "
        "against exploding gradients"
    )


class Progress:
    """A line that shows how far a fit is: tqdm's, or a plain one."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.shown = 0.0
        self.begun = perf_counter()
        self.bar: Any = None
        try:
            from tqdm import tqdm
        except ImportError:
            return
        self.bar = tqdm(total=epochs, unit="epoch", leave=True)

    def __call__(self, epoch: int, loss: float) -> None:
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            self.bar.update()
            return
        now = perf_counter()
        if now - self.shown > 0.1 or epoch == self.epochs:
            self.shown = now
            each = (now - self.begun) / epoch
            text = f"\repoch {epoch}/{self.epochs}  loss {loss:.4f}  {each:.3g} s/epoch "
            print(text, end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.shown:
            print(file=sys.stderr)
