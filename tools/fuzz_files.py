"""Damaged and forged files: `rnncore.load`, `load_state_dict` and a fit's `checkpoint=` must refuse
them with an error of the documented kind, or come to a good network.

    python tools/fuzz_files.py [--runs N] [--seconds S] [--random]

Guided by coverage where atheris is installed (``--random``: not even there), else by chance. A case
is a string of bytes that says which file is taken, whether it is edited as a whole, in one of its
arrays (the archive around it being made anew, or its checksum would give it away) or in its header,
and how.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import sys
import tempfile
import time
import warnings
import zipfile

import numpy as np

import rnncore as rc

MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
FOLDER = tempfile.mkdtemp(prefix="rnncore-fuzz-", dir=MEMORY)
X, Y = np.linspace(-1, 1, 24).reshape(4, 3, 2), np.array([0.0, 1.0, 0.5, 0.25])
FIT = {"epochs": 3, "rng": 0, "validation": 0.25, "patience": 2}

#: What numbers, names and texts in a header are replaced by.
VALUES = [
    None, True, False, 0, -1, 1, 2, 3, 4, 64, 65, 2**31 - 1, 2**31, 2**40, 2**63, 10**30, 10**9,
    0.0, 0.5, 4.0, -0.5, 1e308, float("nan"), float("inf"), "", "RNN", "LSTM", "GRU", "float32",
    "float64", "last", "all", "mse", "bce", "cross_entropy", "relu", "x" * 1000, [], {}, [1],
    {"a": 1}, [[[]]],
]  # fmt: skip
PIECES = [
    b"\0", b"\xff", b"\x7f\xf0", b"'|O'", b"(9,)", b"999999999", b"-1", b"NaN", b"{", b"[[[[",
    b"f8", b"O",
]  # fmt: skip


def networks():
    yield rc.RNN(2, 3, 1, loss="mse", seed=0)
    yield rc.RNN(1, 1, bias=False, skip=2, dtype="float64", seed=0)
    yield rc.LSTM(2, 2, 1, num_layers=2, dropout=0.5, trainable_h0=True, loss="mse", seed=0)
    yield rc.GRU(2, 2, 3, bidirectional=True, readout="all", loss="cross_entropy", seed=0)


def fitted():
    return rc.RNN(2, 2, 1, loss="mse", seed=0)


def seeds():
    """(what it is of, its name, its bytes)"""
    endings = [".npz"]
    try:
        import safetensors  # noqa: F401
    except ImportError:
        print("without safetensors")
    else:
        endings.append(".safetensors")
    for ending in endings:
        path = os.path.join(FOLDER, "seed" + ending)
        for net in networks():
            net.save(path)
            with open(path, "rb") as file:
                yield "net", ending, file.read()
        os.unlink(path)
        fitted().fit(X, Y, **(FIT | {"epochs": 2}), checkpoint=path)
        with open(path, "rb") as file:
            yield "fit", ending, file.read()
    for net in networks():
        yield "dict", "", net


class Bytes:
    """Choices, read off the bytes of a case; zeros when these are over."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, below):
        width = 1 if below <= 256 else 2 if below <= 65536 else 4
        part = self.data[self.at : self.at + width]
        self.at += width
        return int.from_bytes(part, "little") % below

    @property
    def over(self):
        return self.at >= len(self.data)

    def choice(self, values):
        return values[self.number(len(values))]


def edited(b, data):
    """A few edits of some bytes."""
    data = bytearray(data)
    for _ in range(16):
        if b.over or not data:
            break
        at, what = b.number(len(data)), b.number(6)
        if what == 0:
            data[at] = b.number(256)
        elif what == 1:
            data[at] ^= 1 << b.number(8)
        elif what == 2:
            del data[at : at + b.number(64)]
        elif what == 3:
            data[at:at] = b.choice(PIECES)
        elif what == 4:
            data[at : at + 8] = b.number(2**32).to_bytes(8, "little")
        else:
            data[at:at] = data[at : at + b.number(256)]
    return bytes(data)


def forged_value(b, value):
    """A JSON value with something in it replaced, added or left out."""
    if isinstance(value, dict) and value and b.number(4):
        key, what = b.choice(list(value)), b.number(8)
        value = dict(value)
        if what == 0:
            del value[key]
        elif what == 1:
            value[str(b.choice(VALUES))] = b.choice(VALUES)
        else:
            value[key] = forged_value(b, value[key])
        return value
    return b.choice(VALUES)


def forged_header(b, text):
    value = json.loads(text)
    for _ in range(1 + b.number(3)):
        value = forged_value(b, value)
    result = json.dumps(value)
    return edited(b, result.encode()).decode(errors="replace") if b.number(4) == 0 else result


def forged_npz(b, data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = b.choice(list(entries))
    if b.number(2):
        text = str(np.load(io.BytesIO(entries["rnncore.npy"]))[()])
        file = io.BytesIO()
        np.save(file, np.array(forged_header(b, text)))
        entries["rnncore.npy"] = file.getvalue()
    elif b.number(4):
        entries[name] = edited(b, entries[name])
    else:
        array = np.load(io.BytesIO(entries[name]))
        what, file = b.number(6), io.BytesIO()
        if what == 0 and array.dtype.kind in "fiu":
            array = array.astype(
                b.choice(["f2", "f4", "f8", "c8", "i8", "U3", "?", ">f8", "M8[s]"])
            )
        elif what == 1:
            array = array[..., None]
        elif what == 2:
            array = array[:0] if array.ndim else array[None]
        elif what == 3:
            array = array.ravel()
        elif array.dtype.kind in "fiu" and array.size:
            values = [0, -1, 1e300, np.nan, np.inf, 2**62]
            with np.errstate(all="ignore"):
                array.flat[b.number(array.size)] = np.array(b.choice(values)).astype(array.dtype)
        np.save(file, array)
        entries[name] = file.getvalue()
        if b.number(8) == 0:
            del entries[name]
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if b.number(8) == 1 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as out:
        for name, content in entries.items():
            out.writestr(name, content)
    return file.getvalue()


def forged_safetensors(b, data):
    size = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    what = b.number(3)
    if what == 0:
        header["__metadata__"]["rnncore"] = forged_header(b, header["__metadata__"]["rnncore"])
    elif what == 1:
        header = forged_value(b, header)
    else:
        rest = edited(b, rest)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + rest


def forged_dict(b, net):
    state = net.state_dict()
    for _ in range(1 + b.number(3)):
        if not state:
            break
        name = b.choice(list(state))
        what = b.number(7)
        if what == 0 or not isinstance(state[name], np.ndarray):
            del state[name]
        elif what == 1:
            state[str(b.choice(VALUES))] = b.choice(VALUES)
        elif what == 2:
            state[name] = b.choice(VALUES)
        elif what == 3 and state[name].dtype.kind in "fiub":
            dtypes = ["f2", "f4", "f8", "g", "c8", "O", "U", ">f4", "i1", "M8[s]", "?"]
            state[name] = state[name].astype(b.choice(dtypes))
        elif what == 4:
            flat = np.frombuffer(edited(b, state[name].tobytes())[: 1 << 16], "u1")
            flat = flat[: flat.size // 8 * 8].view(b.choice(["f8", "f4", "i8", "f2"]))
            shape = np.shape(state[name])
            state[name] = flat.reshape(shape) if flat.size == np.prod(shape) else flat
        elif what == 5:
            state[name] = state[name].T
        else:
            state[name] = state[name].tolist()
    return state


SEEDS = list(seeds())
COUNTS: dict[str, int] = {}


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def good(net):
    check(np.isfinite(net.flat).all(), "a network that is not finite")
    if (net.config.get("skip") or 1) < 100 and np.abs(net.flat).max() < 1e6:
        y = net(np.ones((1, 2, net.input_size))).y
        check(np.isfinite(y).all(), "an output that is not finite")


def case(data: bytes) -> None:
    """One case; an exception says what is wrong."""
    b = Bytes(data)
    what, ending, seed = b.choice(SEEDS)
    how = "good"
    if what == "dict":
        net = seed
        before, state = net.flat.copy(), forged_dict(b, seed)
        try:
            net.load_state_dict(state)
        except (TypeError, ValueError) as error:
            how = type(error).__name__
            check(str(error).startswith("state_dict"), f"names no argument: {error}")
            check(net.flat.tobytes() == before.tobytes(), "changed, and refused")
        good(net)
        net.flat[:] = before
    else:
        if b.number(4):
            seed = (forged_npz if ending == ".npz" else forged_safetensors)(b, seed)
        else:
            seed = edited(b, seed)
        path = os.path.join(FOLDER, "case" + ending)
        with open(path, "wb") as file:
            file.write(seed)
        if what == "net":
            try:
                good(rc.load(path))
            except ValueError as error:
                how = "ValueError"
                check(str(error).startswith("path: expected a file written by save"), str(error))
        else:
            net = fitted()
            before = net.flat.tobytes()
            try:
                net.fit(X, Y, **FIT, checkpoint=path)
            except ValueError as error:
                how = "ValueError"
                check(str(error).startswith("checkpoint: expected "), str(error))
                check(net.flat.tobytes() == before, "changed, and refused")
            except FloatingPointError:  # parameters that are large, and steps too
                how = "FloatingPointError"
            good(net)
    key = f"{what}{ending} {how}"
    COUNTS[key] = COUNTS.get(key, 0) + 1


def report(begun):
    print(f"{sum(COUNTS.values())} cases in {time.monotonic() - begun:.0f} s")
    for key in sorted(COUNTS):
        print(f"  {COUNTS[key]:8d}  {key}")


def main() -> None:
    parser = argparse.ArgumentParser(description="fuzz rnncore's files")
    parser.add_argument("--runs", type=int, default=200_000)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="without coverage")
    chosen = parser.parse_args()
    begun = time.monotonic()
    warnings.simplefilter("ignore")  # of casts that the forging makes
    try:
        if chosen.random:
            raise ImportError
        import atheris
    except ImportError:
        r = random.Random(chosen.seed)
        for _ in range(chosen.runs):
            data = r.randbytes(r.randint(4, 80))
            try:
                case(data)
            except BaseException:
                print("case", data.hex())
                raise
            if time.monotonic() - begun > chosen.seconds:
                break
        report(begun)
        return
    from types import FunctionType

    from rnncore._checks import arguments as _checks
    from rnncore._model import parameters as _parameters
    from rnncore._model import state as _state
    from rnncore._networks import load as _load
    from rnncore._storage import files as _files
    from rnncore._training import checkpoint as _checkpoint
    from rnncore._training import loop as _loop

    ours = (_checkpoint, _checks, _files, _load, _loop, _parameters, _state)
    for module in (*ours, np.lib.format, zipfile):
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                setattr(module, name, atheris.instrument_func(value))

    def one(data):
        try:
            case(data)
        except BaseException:
            print("case", data.hex())
            raise
        number = sum(COUNTS.values())
        if number % 50_000 == 0 or number == chosen.runs:  # the process ends without coming back
            report(begun)

    limits = [f"-runs={chosen.runs}", f"-max_total_time={chosen.seconds}", "-timeout=20"]
    others = [
        f"-seed={chosen.seed}",
        "-max_len=100",
        "-rss_limit_mb=4096",
        f"-artifact_prefix={FOLDER}/",
    ]
    atheris.Setup([sys.argv[0], *limits, *others], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
