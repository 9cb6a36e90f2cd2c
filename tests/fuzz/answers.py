"""How the fuzzer knows a right answer: beside the reference's, and beside differences."""

from __future__ import annotations

import numpy as np

from fuzz.promises import close, expect


def known(net):
    """The parameters for the reference; None where they are too large for it to be compared."""
    p = {name: values.astype(np.float64) for name, values in net._model.parameters.items()}
    largest = max(np.abs(v).max() for v in p.values())
    return p if largest < 4 else None


def meaning(net, name, y):
    """What predict or predict_proba says of logits; NaN where a little would change it."""
    loss, margin = net.config["loss"], 0.01 * np.abs(y).max(initial=1)
    if loss == "cross_entropy":
        p = np.exp(y - y.max(axis=-1, keepdims=True))
        if name == "predict_proba":
            return p / p.sum(axis=-1, keepdims=True)
        others = np.sort(y, axis=-1)[..., -2:]
        close_call = (others[..., -1] - others[..., 0] < margin) & (y.shape[-1] > 1)
        return np.where(close_call, np.nan, y.argmax(axis=-1))
    if loss == "bce" and name == "predict_proba":
        return 1 / (1 + np.exp(-y))
    if loss == "bce":
        return np.where(np.abs(y) < margin, np.nan, y >= 0)
    return y


def smooth(net):
    """Whether differences can tell its gradients."""
    return net.config.get("nonlinearity", "tanh") != "relu" and net.dtype == np.float64


def slope(label, f, parts):
    """A gradient along some direction, f(s) being so many steps in it, against a difference:
    parts are pairs of gradient and direction."""
    step = 1e-5
    ends = f(step), f(-step)
    along = sum((gradient * way).sum() for gradient, way in parts)
    difference = (ends[0] - ends[1]) / (2 * step)
    scale = 1 + sum(np.abs(gradient * way).sum() for gradient, way in parts) + abs(ends[0])
    expect(abs(along - difference) <= 1e-5 * scale, label, "slope", along, "instead of", difference)


def flat_gradient(net, arguments):
    """What loss_and_grad makes of the same."""
    grads = net.loss_and_grad(**{name: value.given for name, value in arguments.items()})[1]
    return np.concatenate([values.ravel() for values in grads.values()])


def flow(label, net, result, gradient):
    expect(result.verdict in ("vanishing", "exploding", "healthy"), label, result.verdict)
    for name, terms in result.terms.items():
        expect(terms.shape == (result.steps, *net._model.shapes[name]), label, name, terms.shape)
        expect(np.isfinite(terms).all(), label, name, terms)
    terms = [terms.sum(axis=0).ravel() for terms in result.terms.values()]
    close(label, net, np.concatenate(terms), gradient, "terms")
    result.summary(), repr(result), result.to_dict()


def same_parameters(label, net, grads):
    expect(list(grads) == list(net._model.shapes), label, list(grads))
    for name, values in grads.items():
        expect(values.shape == net._model.shapes[name] and values.dtype == net.dtype, label, name)
        expect(np.isfinite(values).all(), label, name, values)
        expect(
            values.flags.writeable and not np.shares_memory(values, net._model.flat), label, name
        )
