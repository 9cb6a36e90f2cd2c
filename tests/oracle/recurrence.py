"""BPTT by the backward recurrence.

a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh,   h_t = f(a_t),   y_t = W_y h_t + b_y

dL/dh_{t-1} = W_hh^T (f'(a_t) * dL/dh_t) + what reaches h_{t-1} directly
dL/dW = sum_t dL/da_t [x_t ; h_{t-1}]^T
"""

from math import exp, log, log1p, tanh


def logistic(z):
    return 1 / (1 + exp(-z)) if z >= 0 else exp(z) / (1 + exp(z))


# f, and f' as a function of h = f(a)
NONLINEARITIES = {
    "tanh": (tanh, lambda h: 1 - h * h),
    "relu": (lambda a: a if a > 0 else 0.0, lambda h: 1.0 if h.real > 0 else 0.0),
    "sigmoid": (logistic, lambda h: h * (1 - h)),
    "identity": (lambda a: a, lambda h: 1.0),
}


def bce(z, d):
    losses = [max(zk, 0) - dk * zk + log1p(exp(-abs(zk))) for zk, dk in zip(z, d, strict=True)]
    return sum(losses), [logistic(zk) - dk for zk, dk in zip(z, d, strict=True)]


def mse(z, d):
    pairs = list(zip(z, d, strict=True))
    return sum((dk - zk) ** 2 for zk, dk in pairs), [2 * (zk - dk) for zk, dk in pairs]


def cross_entropy(z, d):
    top = max(z)
    total = sum(exp(zk - top) for zk in z)
    loss = top + log(total) - z[d]
    return loss, [exp(zk - top) / total - (k == d) for k, zk in enumerate(z)]


def given(z, d):
    """sum(d * z): the loss whose slope is d."""
    return sum(zk * dk for zk, dk in zip(z, d, strict=True)), list(d)


LOSSES = {"bce": bce, "mse": mse, "cross_entropy": cross_entropy, "given": given}


def times(matrix, vector):
    return [sum(w * v for w, v in zip(row, vector, strict=True)) for row in matrix]


def transposed_times(matrix, vector):
    return [
        sum(row[j] * v for row, v in zip(matrix, vector, strict=True))
        for j in range(len(matrix[0]))
    ]


def add_outer(matrix, left, right):
    for row, a in zip(matrix, left, strict=True):
        for j, b in enumerate(right):
            row[j] += a * b


def plus(*vectors):
    return [sum(entries) for entries in zip(*vectors, strict=True)]


def zeros_like(value):
    return [zeros_like(v) for v in value] if isinstance(value, list) else 0.0


def loss_and_grad(parameters, nonlinearity, x, h0, counts, loss, targets):
    f, slope = NONLINEARITIES[nonlinearity]
    p = parameters
    has_head, has_bias = "head.weight" in p, "bias_ih_l0" in p

    states = [h0]  # states[t] is the state after t steps
    for x_t, counted in zip(x, counts, strict=True):
        a = plus(times(p["weight_ih_l0"], x_t), times(p["weight_hh_l0"], states[-1]))
        if has_bias:
            a = plus(a, p["bias_ih_l0"], p["bias_hh_l0"])
        states.append([f(v) for v in a] if counted else states[-1])

    grads = {name: zeros_like(value) for name, value in p.items()}
    grads["x"] = zeros_like(x)
    dh = [0.0] * len(h0)
    total = 0.0
    for t in range(len(x), -1, -1):
        h = states[t]
        if t in targets:
            y = times(p["head.weight"], h) if has_head else h
            if "head.bias" in p:
                y = plus(y, p["head.bias"])
            value, dy = LOSSES[loss](y, targets[t])
            total += value
            if has_head:
                add_outer(grads["head.weight"], dy, h)
                if "head.bias" in p:
                    grads["head.bias"] = plus(grads["head.bias"], dy)
                dh = plus(dh, transposed_times(p["head.weight"], dy))
            else:
                dh = plus(dh, dy)
        if t == 0 or not counts[t - 1]:
            continue
        da = [slope(v) * d for v, d in zip(h, dh, strict=True)]
        add_outer(grads["weight_ih_l0"], da, x[t - 1])
        add_outer(grads["weight_hh_l0"], da, states[t - 1])
        if has_bias:
            grads["bias_ih_l0"] = plus(grads["bias_ih_l0"], da)
            grads["bias_hh_l0"] = plus(grads["bias_hh_l0"], da)
        grads["x"][t - 1] = transposed_times(p["weight_ih_l0"], da)
        dh = transposed_times(p["weight_hh_l0"], da)
    grads["h0"] = dh
    return total, grads
