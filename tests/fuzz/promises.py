"""What must hold of every call."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager

import numpy as np

from fuzz.strategies import Raised

#: What an error's message must begin with: the name of an argument (or of what was called).
NAMES = re.compile(
    r"(member \d+: )?(validation: )?"
    r"(members|member|kind|train|executor|x|y|dy|h0|c0|x_t|state|out|lengths|mask|threads|rng|truncate|path|state_dict|init|init_scale"
    r"|input_size|hidden_size|output_size|num_layers|bidirectional|dropout|bias|readout|loss|dtype"
    r"|trainable_h0|readout_bias|forget_bias|seed|nonlinearity|reset|skip|epochs|batch_size|optimizer|lr|momentum|alpha"
    r"|betas|eps|clip_norm|clip_value|weight_decay|l1|freeze|tie|activation|validation|patience|shuffle"
    r"|progress|callback|checkpoint|flat|every|factor|end|then|least|predict_proba|step|run_stream"
    r"|y_t|which|start|steps|sample|temperature|feedback|method|n|online|generate|streams"
    r"|h|starts|slow|merge|points|extent|discard|net|fixed_points|lyapunov|jacobian"
    r"|v|reduction|target_mask|sample_weight|hidden|dhidden|dfinal|dx|params|units|name|libm|tokens"
    r"|export|rtneural|c|fit|parameters\(\))(\[.*?\]|\(.*?\))*: ",
    re.DOTALL,
)
DOCUMENTED = (TypeError, ValueError, MemoryError)
SECONDS = 60  # that a call may take
TRIES = {"float32": 3e-3, "float64": 1e-8}


class Find(AssertionError):
    """A promise that was not kept."""


class Counts(dict):
    """How many calls of each kind, and how they ended."""

    def note(self, name, how):
        self[name, how] = self.get((name, how), 0) + 1


COUNTS = Counts()


def told(value):
    """A short text for anything, also for what breaks when it is looked at."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    if isinstance(value, np.ndarray):
        text = f"array {value.dtype} {value.shape} {value.strides}: {text}"
    return text[:400]


@contextmanager
def in_time(label):
    """A Find where it does not end, on systems that have such a clock. What does not end in the
    core is only seen from outside."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def late(_signal, _frame):
        raise Find(f"{label}: does not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempt(net, name, call, arguments, also=(), changes=False):
    """Make the call. (its result, whether it succeeded); a Find where it fails as it must not.

    arguments: Values by name; `also`: further errors that may come; `changes`: a call that
    succeeds may change the network.
    """
    good = all(value.good for value in arguments.values())
    before = None if net is None else net._model.flat.tobytes()
    label = f"{name}({', '.join(f'{k}={told(v.given)}' for k, v in arguments.items())})"
    given = {
        key: (value.given, value.given.tobytes())
        for key, value in arguments.items()
        if isinstance(value.given, np.ndarray) and value.given.size < 1000
        if key != "out" and not (key == "state" and "out" in arguments)
        if value.given.dtype.kind in "fiub" and not isinstance(value.given, np.ma.MaskedArray)
    }
    result, error = None, None
    try:
        with in_time(label):
            result = call(**{key: value.given for key, value in arguments.items()})
    except Find:
        raise
    except Exception as caught:
        error = caught
    if error is not None:
        if not isinstance(error, (*DOCUMENTED, *also)) or isinstance(error, Warning):
            raise Find(f"{label}: {type(error).__name__}: {told(error)}") from error
        text = str(error)
        functions = [arguments[n].given for n in ("init", "lr", "callback") if n in arguments]
        theirs = isinstance(error, TypeError) and any(map(callable, functions))
        if isinstance(error, TypeError | ValueError) and not theirs:
            if not NAMES.match(text):
                kind = type(error).__name__
                raise Find(f"{label}: names no argument: {kind} {text[:300]}") from error
            if len(text) > 20_000:
                raise Find(f"{label}: a message of {len(text)} characters") from error
        if good:
            raise Find(f"{label}: refused: {type(error).__name__}: {text[:300]}") from error
    COUNTS.note(name, "ok" if error is None else type(error).__name__)
    if (
        before is not None
        and not (changes and error is None)
        and net._model.flat.tobytes() != before
    ):
        late = isinstance(error, FloatingPointError | Raised) or str(error).startswith("lr(")
        if not late:
            raise Find(f"{label}: changed the network")
        if not np.isfinite(net._model.flat).all():
            raise Find(f"{label}: left a network that is not finite")
    for key, (array, numbers_before) in given.items():
        if array.tobytes() != numbers_before:
            raise Find(f"{label}: changed {key}")
    return result, error is None, label


def expect(condition, label, *what):
    if not condition:
        raise Find(f"{label}: {' '.join(map(told, what))}")


def close(label, net, got, wanted, what):
    wanted = np.asarray(wanted, np.float64)
    expect(np.shape(got) == wanted.shape, label, what, "shape", np.shape(got), wanted.shape)
    if wanted.size and not np.abs(wanted).max() < 1e6:
        return  # too large to be compared
    scale = max(1.0, np.abs(wanted).max(initial=0))
    error = np.abs(np.asarray(got, np.float64) - wanted).max(initial=0)
    expect(error <= TRIES[net.dtype.name] * scale, label, what, got, "instead of", wanted)


def good(arguments):
    return all(value.good for value in arguments.values())
