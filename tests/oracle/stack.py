"""Layers on layers, in one direction or both, with or without a skip connection.

Written layer by layer from the equations of one step, in PyTorch's names; a step that does not
count is taken out of the sequence before anything is computed. A layer in one direction is

    h_t, state_t = step(x_t, state_{t-1})                  t over the counted steps, or backwards

and a state is the list of what the next step needs: [h_{t-1}, .., h_{t-s}] of an Elman layer
with a skip connection of s steps, [h] of one without and of a GRU, [h, c] of an LSTM. With
``exact`` functions the same code runs on complex numbers: `by_complex_step` forms every gradient
from it without any backward pass.

Truncated BPTT (spec["truncate"], k) divides the steps of each layer's way into windows of k,
counted from its last step: what a step gets from a step in another window is a constant to it.
The state before the first step is in the first step's window.

Dropout (spec["dropout"], a function of a layer's suffix and of the number of a counted step, from
0) gives what each of the layer's outputs is multiplied by on its way to the next layer.

Recurrent dropout (spec["recurrent"], a function of a layer's suffix) gives what each unit of
h_{t-1} is multiplied by where W_hh meets it, at every step: its column of W_hh, that is. Zoneout
(spec["zoneout"], a function of a suffix and of the number of a counted step, from 0) gives the
shares, unit by unit, of h and of c that stay as they were before the step.

In a switching network (spec["switching"]) W_hh and b_hh are lists, and the token of a step, the 1
in x_t, says which of them the step takes.
"""

import cmath
from copy import deepcopy
from math import tanh

from oracle.gated import CELLS, complex_logistic, recurrent_back
from oracle.recurrence import (
    LOSSES,
    NONLINEARITIES,
    add_outer,
    logistic,
    plus,
    times,
    transposed_times,
    zeros_like,
)

REAL = {"s": logistic, "th": tanh, "f": {name: f for name, (f, _) in NONLINEARITIES.items()}}
COMPLEX = {
    "s": complex_logistic,
    "th": cmath.tanh,
    "f": {
        "tanh": cmath.tanh,
        "sigmoid": complex_logistic,
        "identity": lambda a: a,
        "relu": lambda a: a if complex(a).real > 0 else 0.0,
    },
}


def suffixes(spec):
    directions = ("", "_reverse") if spec["bidirectional"] else ("",)
    return [[f"_l{k}{d}" for d in directions] for k in range(spec["layers"])]


def of_layer(p, suffix):
    """The parameters of one layer in one direction, by the names of a network that has no other."""
    return {
        name.removesuffix(suffix) + "_l0": p[name]
        for name in p
        if name.endswith(suffix) and not name.startswith("head")
    }


def dropping(p, spec, suffix):
    """With the columns of W_hh, or of its gradient, multiplied by what recurrent dropout says."""
    if not spec.get("recurrent"):
        return p
    kept = spec["recurrent"](suffix)

    def dropped_columns(matrix):
        return [[w * m for w, m in zip(row, kept, strict=True)] for row in matrix]

    w = p["weight_hh_l0"]
    every = [dropped_columns(one) for one in w] if spec.get("switching") else dropped_columns(w)
    return p | {"weight_hh_l0": every}


SWITCHED = ("weight_hh_l0", "bias_hh_l0")


def token_of(x_t):
    return max(range(len(x_t)), key=lambda k: complex(x_t[k]).real)


def of_step(p, spec, x_t):
    """The parameters of a step, or their gradients: of a switching network those of its token."""
    if not spec.get("switching"):
        return p
    return p | {name: p[name][token_of(x_t)] for name in SWITCHED if name in p}


def put_back(p, spec, x_t, own):
    """The gradients of a step's parameters to where they were taken from."""
    for name, values in own.items():
        if spec.get("switching") and name in SWITCHED:
            p[name][token_of(x_t)] = values
        else:
            p[name] = values


def elman(p, x_t, state, functions, f):
    a = plus(times(p["weight_ih_l0"], x_t), times(p["weight_hh_l0"], state[0]))
    if "bias_ih_l0" in p:
        a = plus(a, p["bias_ih_l0"], p["bias_hh_l0"])
    if "weight_skip_l0" in p:
        a = plus(a, times(p["weight_skip_l0"], state[-1]))
    return [[functions["f"][f](v) for v in a], *state[:-1]], None


def elman_back(p, new, dstate, f):
    """dL/da, and dL/d(state before) without the products."""
    slope = NONLINEARITIES[f][1]
    da = [slope(v) * d for v, d in zip(new[0], dstate[0], strict=True)]
    return da, [*dstate[1:], zeros_like(dstate[0])]


def joined(vectors):
    return [v for vector in vectors for v in vector]


def leaves_window(spec, t, steps):
    """Whether step t, of so many, from 0, is in another window than the step before it."""
    k = spec.get("truncate")
    return bool(k) and t > 0 and (steps - 1 - t) // k != (steps - t) // k


def stepped(p, spec, x_t, old, functions):
    """The cell's next state, a list, and what the gates did."""
    if spec["cell"] == "RNN":
        return elman(p, x_t, old, functions, spec["nonlinearity"])
    step = CELLS[spec["cell"]][0]
    f = functions["f"][spec["nonlinearity"] or "tanh"]
    new, used = step(p, x_t, tuple(old), functions["s"], f)
    return list(new), used


def mixed(shares, new, old):
    return [(1 - s) * n + s * o for s, n, o in zip(shares, new, old, strict=True)]


def zoned(spec, suffix, t, steps):
    """The shares of each vector of the state that stay as they were at the t-th step of a way."""
    k = steps - 1 - t if suffix.endswith("_reverse") else t
    return spec["zoneout"](suffix, k) if spec.get("zoneout") else []


def run(p, spec, suffix, xs, state, functions):
    """States after every step, the first one before them, and what the gates did."""
    states, gates = [state], []
    for t, x_t in enumerate(xs):
        old = states[-1]
        if leaves_window(spec, t, len(xs)):  # to complex steps, a constant has no imaginary part
            old = [[v.real for v in vector] for vector in old]
        new, used = stepped(of_step(p, spec, x_t), spec, x_t, old, functions)
        for part, shares in enumerate(zoned(spec, suffix, t, len(xs))):
            new[part] = mixed(shares, new[part], old[part])
        states.append(new)
        gates.append(used)
    return states, gates


def run_back(p, spec, suffix, xs, states, gates, slopes, dstate, functions):
    """Gradients of the parameters, of xs and of the first state, from dL/dh_t and dL/d(last)."""
    every, dxs = {name: zeros_like(v) for name, v in p.items()}, []
    parameters = p
    for t in range(len(xs) - 1, -1, -1):
        p, grads = of_step(parameters, spec, xs[t]), of_step(every, spec, xs[t])
        old, new = states[t], states[t + 1]
        dstate = [plus(dstate[0], slopes[t]), *dstate[1:]]
        if spec.get("zoneout"):  # what the cell itself came to
            new, _ = stepped(p, spec, xs[t], old, functions)
        stayed = []
        for part, shares in enumerate(zoned(spec, suffix, t, len(xs))):
            stayed.append([s * d for s, d in zip(shares, dstate[part], strict=True)])
            dstate[part] = [(1 - s) * d for s, d in zip(shares, dstate[part], strict=True)]
        if spec["cell"] == "RNN":
            of_x, dstate = elman_back(p, new, dstate, spec["nonlinearity"])
            of_h = of_x
        else:
            back = CELLS[spec["cell"]][1]
            dc = dstate[1] if spec["cell"] == "LSTM" else None
            slope = NONLINEARITIES[spec["nonlinearity"] or "tanh"][1]
            of_x, of_h, direct, dc = back(tuple(old), tuple(new), gates[t], dstate[0], dc, slope)
            dstate = [direct] if dc is None else [direct, dc]
        add_outer(grads["weight_ih_l0"], of_x, xs[t])
        of_state = recurrent_back(p, grads, spec["cell"], old[0], gates[t], of_h)
        dstate[0] = plus(dstate[0], of_state)
        if "weight_skip_l0" in p:
            add_outer(grads["weight_skip_l0"], of_h, old[-1])
            dstate[-1] = plus(dstate[-1], transposed_times(p["weight_skip_l0"], of_h))
        if "bias_ih_l0" in p:
            grads["bias_ih_l0"] = plus(grads["bias_ih_l0"], of_x)
            grads["bias_hh_l0"] = plus(grads["bias_hh_l0"], of_h)
        dxs.insert(0, transposed_times(p["weight_ih_l0"], of_x))
        put_back(every, spec, xs[t], grads)
        for part, d in enumerate(stayed):
            dstate[part] = plus(dstate[part], d)
        if leaves_window(spec, t, len(xs)):
            dstate = zeros_like(dstate)
    return every, dxs, dstate


def split(spec, states):
    """The state of each layer in each direction, of the rows that a caller passes."""
    n = spec["skip"] or 1
    hs = states[0]
    if spec["cell"] == "LSTM":
        return [[h, c] for h, c in zip(*states, strict=True)]
    return [hs[k : k + n] for k in range(0, len(hs), n)]


def forward(p, spec, x, states, counts, functions):
    """What the layers below and above each step put out, and all that was met on the way."""
    outputs = [x_t for x_t, counted in zip(x, counts, strict=True) if counted]
    met, firsts = [], split(spec, states)
    for layer in suffixes(spec):
        runs = []
        for suffix in layer:
            way = slice(None, None, -1 if suffix.endswith("_reverse") else 1)
            xs = outputs[way]
            q = dropping(of_layer(p, suffix), spec, suffix)
            runs.append((suffix, q, xs, *run(q, spec, suffix, xs, firsts.pop(0), functions)))
        met.append(runs)
        hs = [[s[0] for s in r[3][1:]] for r in runs]
        hs = [h[::-1] if r[0].endswith("_reverse") else h for h, r in zip(hs, runs, strict=True)]
        outputs = [joined(parts) for parts in zip(*hs, strict=True)]
        if layer != suffixes(spec)[-1]:
            outputs = dropped(spec, layer, outputs)
    return outputs, met


def dropped(spec, layer, rows):
    """What a layer puts out at every counted step as the next one gets it; or slopes, likewise."""
    if not spec.get("dropout"):
        return rows
    return [
        [v * f for v, f in zip(row, joined(spec["dropout"](s, k) for s in layer), strict=True)]
        for k, row in enumerate(rows)
    ]


def read(p, spec, outputs, met, t, where):
    """y of step t: `where` numbers the counted steps."""
    last = joined(found[-1][0] for _, _, _, found, _ in met[-1])
    h = last if spec["readout"] == "last" else outputs[where[t]]
    if spec["readout"] == "before":
        h = met[-1][0][3][where[t]][0]
    y = times(p["head.weight"], h) if "head.weight" in p else h
    return h, plus(y, p["head.bias"]) if "head.bias" in p else y


def numbering(counts):
    steps = [t + 1 for t, counted in enumerate(counts) if counted]
    return {t: k for k, t in enumerate(steps)}


def loss_and_grad(parameters, spec, x, states, counts, loss, targets, functions=REAL):
    """As `oracle.by_recurrence`; ``states`` is a list of the rows of h and, of an LSTM, of c, and
    so is grads["h0"]. With COMPLEX functions and parameters at a + i e v, the gradients have the
    imaginary parts e H v, H being the Hessian."""
    p, where = parameters, numbering(counts)
    outputs, met = forward(p, spec, x, states, counts, functions)
    grads = {name: zeros_like(value) for name, value in p.items()} | {"x": zeros_like(x)}
    wide = len(p["head.weight"][0]) if "head.weight" in p else len(met[-1]) * len(states[0][0])
    slopes = [[0.0] * wide for _ in outputs]
    last, of_first = [0.0] * wide, [0.0] * wide
    total = 0.0
    for t, target in targets.items():
        h, y = read(p, spec, outputs, met, t, where)
        value, dy = LOSSES[loss](y, target)
        total += value
        if "head.weight" in p:
            add_outer(grads["head.weight"], dy, h)
            if "head.bias" in p:
                grads["head.bias"] = plus(grads["head.bias"], dy)
            dy = transposed_times(p["head.weight"], dy)
        if spec["readout"] == "last":
            last = plus(last, dy)
        elif spec["readout"] == "all":
            slopes[where[t]] = plus(slopes[where[t]], dy)
        elif where[t]:
            slopes[where[t] - 1] = plus(slopes[where[t] - 1], dy)
        else:
            of_first = plus(of_first, dy)
    firsts = []
    H = len(states[0][0])
    for number, runs in reversed(list(enumerate(met))):
        below = [zeros_like(x_t) for x_t in runs[0][2]]
        begun = []
        for d, (suffix, q, xs, found, gates) in enumerate(runs):
            way = slice(None, None, -1 if suffix.endswith("_reverse") else 1)
            mine = [s[d * H : (d + 1) * H] for s in slopes][way]
            dstate = [last[d * H : (d + 1) * H], *(zeros_like(v) for v in found[0][1:])]
            g, dxs, dfirst = run_back(q, spec, suffix, xs, found, gates, mine, dstate, functions)
            g = dropping(g, spec, suffix)
            dfirst = [plus(dfirst[0], of_first[d * H : (d + 1) * H]), *dfirst[1:]]
            for name, value in g.items():
                grads[name.removesuffix("_l0") + suffix] = value
            below = [plus(a, b) for a, b in zip(below, dxs[way], strict=True)]
            begun.append(dfirst)
        firsts[:0] = begun
        if number:
            below = dropped(spec, suffixes(spec)[number - 1], below)
        slopes, last, of_first = below, [0.0] * wide, [0.0] * wide
    for t, k in where.items():
        grads["x"][t - 1] = slopes[k]
    if spec["cell"] == "LSTM":
        grads["h0"] = [[f[0] for f in firsts], [f[1] for f in firsts]]
    else:
        grads["h0"] = [[row for f in firsts for row in f]]
    return total, grads


def by_complex_step(parameters, spec, x, states, counts, loss, targets):
    """The gradient of sum(targets * y), every entry by an evaluation of its own."""
    assert loss == "given"
    where = numbering(counts)
    values = deepcopy({**parameters, "x": x, "h0": states})

    def total():
        outputs, met = forward(values, spec, values["x"], values["h0"], counts, COMPLEX)
        return sum(
            yk * dk
            for t, target in targets.items()
            for yk, dk in zip(read(values, spec, outputs, met, t, where)[1], target, strict=True)
        )

    def slopes(container):
        if isinstance(container, list) and container and isinstance(container[0], list):
            return [slopes(part) for part in container]
        result = []
        for k, kept in enumerate(container):
            container[k] = complex(kept, 1e-30)
            result.append(complex(total()).imag / 1e-30)
            container[k] = kept
        return result

    grads = {name: slopes(value) for name, value in values.items()}
    return complex(total()).real, grads
