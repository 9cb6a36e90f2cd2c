"""Whether every build gives the bits that it gave before: digests of outputs, gradients and fits.

    python tools/digests.py record FILE     before a change
    python tools/digests.py check FILE      after it, of the same compiler

Over all cells, layouts, options and precisions, on every build that this machine can run: random
examples of the crossed sweep, larger networks in every tile and segment, fits by every optimiser,
streams, and gradients taken apart. ``check`` names what differs and exits with 1.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from crossed import compare
from crossed.draw import draw
from rnncore._runtime import builds as _builds

import rnncore as rc

EXAMPLES = 600

#: hidden units, inputs, sequences, steps
SIZES = [
    (1, 1, 1, 1000), (1, 3, 70, 50), (2, 3, 5, 30), (4, 8, 33, 50), (8, 8, 17, 20),
    (16, 8, 32, 50), (17, 5, 65, 12), (32, 16, 40, 30), (64, 32, 32, 20), (130, 40, 20, 8),
]  # fmt: skip
CELLS = [
    ("RNN", {"nonlinearity": "tanh"}), ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"nonlinearity": "sigmoid"}), ("RNN", {"skip": 3}), ("LSTM", {}), ("GRU", {}),
]  # fmt: skip
LAYOUTS = [
    {}, {"num_layers": 2, "dropout": 0.25}, {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "trainable_h0": True},
]  # fmt: skip
FITS = [
    {"optimizer": name} for name in ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
] + [
    {"clip_norm": 0.1, "weight_decay": 0.01}, {"clip_value": 0.01, "l1": 0.001},
    {"activation": 0.1}, {"truncate": 5}, {"validation": 0.3, "patience": 2},
    {"lr": rc.schedules.Plateau(0.1, patience=0)},
]  # fmt: skip


def bits(*values) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for value in values:
        for part in value if isinstance(value, tuple) else (value,):
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def crossed(dtype: str) -> Iterator[tuple[str, str]]:
    for number in range(EXAMPLES):
        example = draw(number)
        answers = compare.answers(example, dtype)
        name = f"example {number} {example.cell} {example.options['loss']}"
        if getattr(example, "sample_weight", None) is not None:
            name += " weighted"
        yield name, bits(*(answers[name] for name in sorted(answers)))


def large(dtype: str) -> Iterator[tuple[str, str]]:
    rng = np.random.default_rng(0)
    for H, D, B, T in SIZES:
        x = rng.standard_normal((B, T, D)).astype(dtype)
        lengths = rng.integers(1, T + 1, B)
        for kind, options in CELLS:
            for layout in LAYOUTS if H < 30 else LAYOUTS[:1]:
                for readout in ("last", "all"):
                    net = getattr(rc, kind)(
                        D,
                        H,
                        3,
                        loss="mse",
                        readout=readout,
                        dtype=dtype,
                        seed=0,
                        **options,
                        **layout,
                    )
                    y = x[..., :1].repeat(3, axis=2)
                    y = y if readout == "all" else y[:, 0]
                    own, dx, dh0 = net.vjp(x, y, lengths=lengths, rng=0)
                    _, grads = net.loss_and_grad(x, y)
                    name = f"{kind} {H} {D} {B} {T} {options} {layout} {readout}"
                    yield name, bits(*net(x), dx, *dh0, *own.values(), *grads.values())
                    if not layout.get("bidirectional"):
                        yield f"stream {name}", bits(*net.run_stream(x[0]))


def fits(dtype: str) -> Iterator[tuple[str, str]]:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((70, 20, 3)).astype(dtype)
    for kind, options in CELLS:
        for fit in FITS:
            net = getattr(rc, kind)(3, 5, 2, loss="bce", dtype=dtype, seed=0, **options)
            history = net.fit(x, x[:, 0, :2] > 0, epochs=6, rng=3, **{"lr": 0.01} | fit)
            yield f"fit {kind} {options} {fit}", bits(net.flat, history.loss, history.gradient_norm)
        flow = net.gradient_flow(x[:9], x[:9, 0, :2] > 0)
        yield f"flow {kind} {options}", bits(*flow.terms.values(), flow.state_norms, flow.products)


def digests() -> dict[str, str]:
    found = {}
    for build in _builds.available():
        _builds.selected = build
        for dtype in ("float32", "float64"):
            for part in (crossed, large, fits):
                for name, digest in part(dtype):
                    found[f"{build} {dtype} {name}"] = digest
    return found


def main(what: str, file: str) -> int:
    found = digests()
    if what == "record":
        Path(file).write_text(json.dumps(found, indent=0), encoding="utf-8")
        print(f"{len(found)} digests")
        return 0
    known = json.loads(Path(file).read_text(encoding="utf-8"))
    both = known.keys() & found.keys()
    other = sorted(name for name in both if found[name] != known[name])
    print(*other[:20], f"{len(other)} of {len(both)} differ", sep="\n")
    print(f"{len(known) - len(both)} are no longer there, {len(found) - len(both)} are new")
    return int(bool(other))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
