"""An example's answers, in one build and precision, beside those of the reference."""

import numpy as np

from crossed.draw import is_random
from crossed.reference import Reference

#: Largest deviation, relative to the largest entry of a gradient in all of its blocks (sums that
#: cancel in one block have the rounding errors of their terms), or of another answer; FLOOR where
#: that is smaller.
TOLERANCE = {"float64": 1e-11, "float32": 1e-4}
FLOOR = 1e-3


class Mismatch(AssertionError):
    """An answer that differs."""


def deviation(got, expected, scale):
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    if got.shape != expected.shape:
        raise Mismatch(f"shape {got.shape} instead of {expected.shape}")
    if not got.size:
        return 0.0
    with np.errstate(invalid="ignore"):  # infinite in both is equal
        return float(np.where(got == expected, 0, np.abs(got - expected)).max() / scale)


def answers(example, dtype):
    """Everything that the calls say, by name."""
    net = example.network(dtype)
    x, options = example.arguments(dtype)
    y, of_targets = example.targets()
    threads, reduction = example.threads, example.reduction
    training = {"truncate": example.truncate, "rng": example.rng, "threads": threads}
    out = net(x, **options, threads=threads)
    result = {"y": out.y, "hidden": out.hidden, "final": np.asarray(out.final)}
    dy = example.cut(example.dy) if example.every_step else example.dy
    grads, dx, dh0 = net.vjp(x, dy, **options, **training)
    result |= {f"vjp {name}": values for name, values in grads.items()}
    if dx is not None:
        result["vjp x"] = padded(dx, example) if example.listed else dx
    result["vjp h0 of call"] = np.asarray(dh0)
    if example.target_weights.any():
        result["loss"] = net.loss(x, y, **options, **of_targets, reduction=reduction)
        result["losses"] = net.loss(x, y, **options, **of_targets, reduction="none")
        value, grads = net.loss_and_grad(
            x, y, **options, **of_targets, **training, reduction=reduction
        )
        result |= {f"grad {name}": values for name, values in grads.items()}
        if example.rng is None:
            result["loss of grad"] = value
        if not is_random(example.options):
            result |= fitted(example, net, x, y, options | of_targets)
    return result


def fitted(example, net, x, y, options):
    """The gradient that one update of plain gradient descent takes, as it changes parameters."""
    before, lr = net.flat.copy(), 2.0**-6
    net.fit(
        x, y, **options, epochs=1, batch_size=example.rows.shape[0], optimizer="sgd", lr=lr,
        shuffle=False, truncate=example.truncate, threads=example.threads,
    )  # fmt: skip
    return {"update": (before - net.flat) / lr}


def padded(parts, example):
    result = np.zeros(example.rows.shape, parts[0].dtype)
    for row, part in zip(result, parts, strict=True):
        row[: len(part)] = part
    return result


def expected(example):
    """The same by the reference."""
    reference = Reference(example)
    net = reference.net
    y, states = reference.outputs, net._model.spec.states
    result = {"y": y, "hidden": reference.hidden, "final": reference.final}
    result["final"] = reference.final if states == 2 else reference.final[0]
    seed = None
    if example.rng is not None:
        seed = int(np.random.default_rng(example.rng).integers(2**63))
    own = reference.gradients(example.dy, example.truncate, seed)
    result |= {f"vjp {name}": values for name, values in own.items()}
    result["vjp h0 of call"] = own["h0 of call"] if states == 2 else own["h0 of call"][0]
    if example.tokens is not None:
        del result["vjp x"]
    weights = example.target_weights
    if not weights.any():
        return result
    losses, slopes = reference.losses()
    count = weights.sum()
    scale = 1 / count if example.reduction == "mean" else 1
    result["loss"] = scale * losses.sum()
    result["losses"] = losses[..., 0] if losses.shape[-1] == 1 else losses
    if seed is not None:  # what the loss is in training, the oracle does not say
        return result
    grads = reference.gradients(scale * slopes, example.truncate, seed)
    result |= {f"grad {k}": v for k, v in grads.items() if k not in ("x", "h0 of call")}
    result["loss of grad"] = result["loss"]
    if is_random(example.options):
        return result
    result["update"] = (1 / count / scale) * np.concatenate(
        [grads[name].ravel() for name in net.parameters()]
    )
    return result


def check(example, dtype, wanted, worst=None):
    """Raise Mismatch unless all answers are right; note the largest deviations."""
    with np.errstate(all="ignore"):
        got = answers(example, dtype)
    scales = {}
    for name, values in wanted.items():
        kind = name.split(" ")[0]
        largest = np.abs(values).max() if np.size(values) else 0.0
        scales[kind] = max(scales.get(kind, FLOOR), largest)
    for name, values in wanted.items():
        kind = name.split(" ")[0]
        if name == "update" and dtype == "float32":
            continue  # its digits are those of the parameters
        try:
            off = deviation(got[name], values, scales[kind])
        except Mismatch as error:
            raise Mismatch(f"{dtype}: {name}: {error}") from None
        if not off <= TOLERANCE[dtype]:
            raise Mismatch(f"{dtype}: {name} is off by {off:.3g}")
        if worst is not None:
            key = (dtype, kind)
            worst[key] = max(worst.get(key, (0.0, 0)), (off, example.number))
