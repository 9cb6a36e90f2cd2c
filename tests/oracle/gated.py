"""LSTM, GRU and MGU from their equations, and BPTT by the chain rule, line by line.

LSTM    i, f, o = s(.), g = tanh(.) of the four blocks of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = f c_{t-1} + i g          h_t = o tanh(c_t)
GRU     r, z = s(.) of the first two blocks;  n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))
        h_t = (1 - z) n + z h_{t-1}
GRU before    the same with n = tanh(W_in x_t + b_in + W_hn (r h_{t-1}) + b_hn)
MGU     f = s(.) of the first block;  n = tanh(W_in x_t + b_in + f (W_hn h_{t-1} + b_hn))
        h_t = (1 - f) h_{t-1} + f n

The tanh of n may be another function; `gru_back` takes its slope as a function of n.

`by_complex_step` derives the same gradients without any backward pass: an analytic function at
a + i e has the imaginary part e f'(a), to the last digit for tiny e.
"""

import cmath
from copy import deepcopy
from math import tanh

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


def complex_logistic(z):
    return 1 / (1 + cmath.exp(-z))


def blocks(rows, count):
    size = len(rows) // count
    return [rows[k * size : (k + 1) * size] for k in range(count)]


def products(p, x_t, h):
    """W_ih x_t + b_ih and W_hh h_{t-1} + b_hh, apart."""
    of_x, of_h = times(p["weight_ih_l0"], x_t), times(p["weight_hh_l0"], h)
    if "bias_ih_l0" in p:
        of_x, of_h = plus(of_x, p["bias_ih_l0"]), plus(of_h, p["bias_hh_l0"])
    return of_x, of_h


def lstm(p, x_t, state, s, th):
    """The next state and everything on the way to it, unit by unit."""
    h, c = state
    i, f, g, o = blocks(plus(*products(p, x_t, h)), 4)
    i, f, g, o = [s(a) for a in i], [s(a) for a in f], [th(a) for a in g], [s(a) for a in o]
    new_c = [fk * ck + ik * gk for fk, ck, ik, gk in zip(f, c, i, g, strict=True)]
    new_h = [ok * th(ck) for ok, ck in zip(o, new_c, strict=True)]
    return (new_h, new_c), (i, f, g, o)


def gru(p, x_t, state, s, th):
    (h,) = state
    of_x, of_h = products(p, x_t, h)
    (r_x, z_x, n_x), (r_h, z_h, q) = blocks(of_x, 3), blocks(of_h, 3)
    r, z = [s(a) for a in plus(r_x, r_h)], [s(a) for a in plus(z_x, z_h)]
    n = [th(a + rk * qk) for a, rk, qk in zip(n_x, r, q, strict=True)]
    new = [(1 - zk) * nk + zk * hk for zk, nk, hk in zip(z, n, h, strict=True)]
    return (new,), (r, z, n, q)


def gru_before(p, x_t, state, s, th):
    (h,) = state
    of_x, of_h = products(p, x_t, h)
    (r_x, z_x, n_x), (r_h, z_h, _) = blocks(of_x, 3), blocks(of_h, 3)
    r, z = [s(a) for a in plus(r_x, r_h)], [s(a) for a in plus(z_x, z_h)]
    w = blocks(p["weight_hh_l0"], 3)[2]
    a = plus(n_x, times(w, [rk * hk for rk, hk in zip(r, h, strict=True)]))
    if "bias_hh_l0" in p:
        a = plus(a, blocks(p["bias_hh_l0"], 3)[2])
    n = [th(ak) for ak in a]
    new = [(1 - zk) * nk + zk * hk for zk, nk, hk in zip(z, n, h, strict=True)]
    return (new,), (r, z, n, w)


def mgu(p, x_t, state, s, th):
    (h,) = state
    of_x, of_h = products(p, x_t, h)
    (f_x, n_x), (f_h, q) = blocks(of_x, 2), blocks(of_h, 2)
    f = [s(a) for a in plus(f_x, f_h)]
    n = [th(a + fk * qk) for a, fk, qk in zip(n_x, f, q, strict=True)]
    new = [(1 - fk) * hk + fk * nk for fk, nk, hk in zip(f, n, h, strict=True)]
    return (new,), (f, n, q)


def lstm_back(state, new_state, gates, dh, dc, _slope=None):
    """dL/d(pre-activations) of x's and of h's part, and dL/d(h, c) before, directly."""
    (_, c), (_, new_c), (i, f, g, o) = state, new_state, gates
    da, dc_before = [[], [], [], []], []
    for k in range(len(c)):
        y = cmath.tanh(new_c[k]) if isinstance(new_c[k], complex) else tanh(new_c[k])
        d = dc[k] + dh[k] * o[k] * (1 - y * y)
        da[0].append(d * g[k] * i[k] * (1 - i[k]))
        da[1].append(d * c[k] * f[k] * (1 - f[k]))
        da[2].append(d * i[k] * (1 - g[k] * g[k]))
        da[3].append(dh[k] * y * o[k] * (1 - o[k]))
        dc_before.append(d * f[k])
    flat = [v for block in da for v in block]
    return flat, flat, [0.0 for _ in c], dc_before


def gru_back(state, _new_state, gates, dh, dc, slope_of=NONLINEARITIES["tanh"][1]):
    (h,), (r, z, n, q) = state, gates
    dr, dz, dn, dq, direct = [], [], [], [], []
    for k in range(len(h)):
        slope = dh[k] * (1 - z[k]) * slope_of(n[k])
        dn.append(slope)
        dq.append(slope * r[k])
        dr.append(slope * q[k] * r[k] * (1 - r[k]))
        dz.append(dh[k] * (h[k] - n[k]) * z[k] * (1 - z[k]))
        direct.append(dh[k] * z[k])
    return dr + dz + dn, dr + dz + dq, direct, dc


def gru_before_back(state, _new_state, gates, dh, dc, slope_of=NONLINEARITIES["tanh"][1]):
    (h,), (r, z, n, w), every = state, gates, range(len(dh))
    dn = [dh[k] * (1 - z[k]) * slope_of(n[k]) for k in every]
    dz = [dh[k] * (h[k] - n[k]) * z[k] * (1 - z[k]) for k in every]
    dg = transposed_times(w, dn)  # of r h_{t-1}
    dr = [dg[k] * h[k] * r[k] * (1 - r[k]) for k in every]
    direct = [dh[k] * z[k] + dg[k] * r[k] for k in every]
    return dr + dz + dn, dr + dz + dn, direct, dc


def mgu_back(state, _new_state, gates, dh, dc, slope_of=NONLINEARITIES["tanh"][1]):
    (h,), (f, n, q) = state, gates
    df, dn, dq, direct = [], [], [], []
    for k in range(len(h)):
        slope = dh[k] * f[k] * slope_of(n[k])
        dn.append(slope)
        dq.append(slope * f[k])
        df.append((dh[k] * (n[k] - h[k]) + slope * q[k]) * f[k] * (1 - f[k]))
        direct.append(dh[k] * (1 - f[k]))
    return df + dn, df + dq, direct, dc


CELLS = {
    "LSTM": (lstm, lstm_back, 2), "GRU": (gru, gru_back, 1), "MGU": (mgu, mgu_back, 1),
    "GRU before": (gru_before, gru_before_back, 1),
}  # fmt: skip


def recurrent_back(p, grads, cell, h, gates, of_h):
    """From dL/d(W_hh h_{t-1} + b_hh) to the gradients of W_hh and, but for what a cell's own
    backward step has of it, of h_{t-1}."""
    w, dw = p["weight_hh_l0"], grads["weight_hh_l0"]
    if cell == "GRU before":  # whose last block meets r h_{t-1}
        (r, *_), most = gates, 2 * len(h)
        add_outer(dw[most:], of_h[most:], [rk * hk for rk, hk in zip(r, h, strict=True)])
        w, dw, of_h = w[:most], dw[:most], of_h[:most]
    add_outer(dw, of_h, h)
    return transposed_times(w, of_h)


def read_out(p, h):
    y = times(p["head.weight"], h) if "head.weight" in p else h
    return plus(y, p["head.bias"]) if "head.bias" in p else y


def loss_and_grad(parameters, cell, x, state0, counts, loss, targets):
    """As `oracle.by_recurrence`; state0 is a list of one or two vectors, and so is grads["h0"]."""
    p, (step, back, _) = parameters, CELLS[cell]
    states, gates = [tuple(state0)], []
    for x_t, counted in zip(x, counts, strict=True):
        new, used = step(p, x_t, states[-1], logistic, tanh)
        states.append(new if counted else states[-1])
        gates.append(used)
    grads = {name: zeros_like(value) for name, value in p.items()} | {"x": zeros_like(x)}
    dh, dc = zeros_like(state0[0]), zeros_like(state0[0])
    total = 0.0
    for t in range(len(x), -1, -1):
        h = states[t][0]
        if t in targets:
            value, dy = LOSSES[loss](read_out(p, h), targets[t])
            total += value
            if "head.weight" in p:
                add_outer(grads["head.weight"], dy, h)
                if "head.bias" in p:
                    grads["head.bias"] = plus(grads["head.bias"], dy)
                dy = transposed_times(p["head.weight"], dy)
            dh = plus(dh, dy)
        if t == 0 or not counts[t - 1]:
            continue
        before = states[t - 1]
        of_x, of_h, direct, dc = back(before, states[t], gates[t - 1], dh, dc)
        add_outer(grads["weight_ih_l0"], of_x, x[t - 1])
        of_state = recurrent_back(p, grads, cell, before[0], gates[t - 1], of_h)
        if "bias_ih_l0" in p:
            grads["bias_ih_l0"] = plus(grads["bias_ih_l0"], of_x)
            grads["bias_hh_l0"] = plus(grads["bias_hh_l0"], of_h)
        grads["x"][t - 1] = transposed_times(p["weight_ih_l0"], of_x)
        dh = plus(direct, of_state)
    grads["h0"] = [dh, dc][: len(state0)]
    return total, grads


def by_complex_step(parameters, cell, x, state0, counts, loss, targets):
    """The gradient of sum(targets * y), every entry by an evaluation of its own."""
    assert loss == "given"
    step = CELLS[cell][0]
    inputs = {**parameters, "x": x, "h0": state0}

    def total(values):
        state, sum_ = tuple(values["h0"]), 0
        for t, (x_t, counted) in enumerate(zip(values["x"], counts, strict=True), 1):
            if counted:
                state, _ = step(values, x_t, state, complex_logistic, cmath.tanh)
            if t in targets:
                y = read_out(values, state[0])
                sum_ += sum(yk * dk for yk, dk in zip(y, targets[t], strict=True))
        return sum_

    def slopes(container, values):
        if isinstance(container, list) and container and isinstance(container[0], list):
            return [slopes(part, values) for part in container]
        result = []
        for k, kept in enumerate(container):
            container[k] = complex(kept, 1e-30)
            result.append(total(values).imag / 1e-30)
            container[k] = kept
        return result

    values = deepcopy(inputs)
    return total(values).real, {name: slopes(values[name], values) for name in inputs}
