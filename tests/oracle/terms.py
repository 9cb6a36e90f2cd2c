"""The gradient as the textbook writes it: a sum over time steps.

The term of time step j in dL/dW is

    dL/dy . dy/do_T . ( prod_{t=j+1..T} do_t/do_{t-1} ) . do_j/dW

with o_t the hidden state, do_t/do_{t-1} the Jacobian diag(f'(a_t)) W_hh, and do_j/dW the
derivative of step j alone, o_{j-1} held fixed. Every term is formed on its own, from its own
product of Jacobians; with several outputs there is such a term for each output's T.
"""

import math

SLOPES = {
    "tanh": lambda a: 1 / math.cosh(a) ** 2,
    "relu": lambda a: float(a > 0),
    "sigmoid": lambda a: 1 / (2 + math.exp(a) + math.exp(-a)),
    "identity": lambda a: 1.0,
}
VALUES = {
    "tanh": lambda a: (math.exp(2 * a) - 1) / (math.exp(2 * a) + 1),
    "relu": lambda a: max(a, 0.0),
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "identity": lambda a: a,
}


def matrix_product(a, b):
    return [[math.fsum(r[k] * b[k][j] for k in range(len(b))) for j in range(len(b[0]))] for r in a]


def identity(n):
    return [[float(i == j) for j in range(n)] for i in range(n)]


def loss_and_slope(name, y, d):
    """L and dL/dy, through the probabilities p(y) where the loss is one of probabilities."""
    n = range(len(y))
    if name == "given":
        return math.fsum(y[k] * d[k] for k in n), list(d)
    if name == "mse":
        return math.fsum((d[k] - y[k]) ** 2 for k in n), [-2 * (d[k] - y[k]) for k in n]
    if name == "bce":
        p = [1 / (1 + math.exp(-v)) for v in y]
        loss = -math.fsum(d[k] * math.log(p[k]) + (1 - d[k]) * math.log(1 - p[k]) for k in n)
        dp = [-d[k] / p[k] + (1 - d[k]) / (1 - p[k]) for k in n]
        return loss, [dp[k] * p[k] * (1 - p[k]) for k in n]
    p = [math.exp(v) / math.fsum(math.exp(u) for u in y) for v in y]
    return -math.log(p[d]), [-1 / p[d] * p[d] * ((k == d) - p[k]) for k in n]


def loss_and_terms(parameters, nonlinearity, x, h0, counts, loss, targets):
    """The loss, and per parameter the list of the terms of time steps 1..T."""
    value, slope = VALUES[nonlinearity], SLOPES[nonlinearity]
    w_x, w_h = parameters["weight_ih_l0"], parameters["weight_hh_l0"]
    units = range(len(h0))
    bias = [0.0 for _ in units]
    if "bias_ih_l0" in parameters:
        bias = [parameters["bias_ih_l0"][i] + parameters["bias_hh_l0"][i] for i in units]

    o, local, jacobians = [h0], [None], [None]  # index 0: before the first step
    for t in range(1, len(x) + 1):
        if not counts[t - 1]:
            o.append(o[-1])
            local.append([0.0 for _ in units])
            jacobians.append(identity(len(h0)))
            continue
        a = [
            math.fsum(w_x[i][d] * v for d, v in enumerate(x[t - 1]))
            + math.fsum(w_h[i][k] * o[-1][k] for k in units)
            + bias[i]
            for i in units
        ]
        o.append([value(v) for v in a])
        local.append([slope(v) for v in a])
        jacobians.append([[slope(a[i]) * w_h[i][k] for k in units] for i in units])

    head = parameters.get("head.weight")
    total = 0.0
    # reach[T] = dL/do_T, from the output at T alone
    reach = {}
    d_head = [([0.0 for _ in head or ()], h0)]  # so that there is a sum where there is no target
    for T, target in targets.items():
        y = o[T]
        if head is not None:
            y = [math.fsum(w * v for w, v in zip(row, o[T], strict=True)) for row in head]
            if "head.bias" in parameters:
                y = [v + b for v, b in zip(y, parameters["head.bias"], strict=True)]
        part, dy = loss_and_slope(loss, y, target)
        total += part
        d_head.append((dy, o[T]))
        dy_do = head if head is not None else identity(len(h0))
        reach[T] = matrix_product([dy], dy_do)[0]

    def row_to(j):
        """sum over the outputs T >= j of dL/do_T . prod_{t=j+1..T} do_t/do_{t-1}"""
        rows = []
        for T, start in reach.items():
            if T >= j:
                row = [start]
                for t in range(T, j, -1):
                    row = matrix_product(row, jacobians[t])
                rows.append(row[0])
        return (
            [math.fsum(column) for column in zip(*rows, strict=True)]
            if rows
            else [0.0 for _ in units]
        )

    steps = range(1, len(x) + 1)
    da = {j: [r * s for r, s in zip(row_to(j), local[j], strict=True)] for j in steps}
    terms = {
        "weight_ih_l0": [[[da[j][i] * v for v in x[j - 1]] for i in units] for j in steps],
        "weight_hh_l0": [[[da[j][i] * v for v in o[j - 1]] for i in units] for j in steps],
        "x": [
            [math.fsum(da[j][i] * w_x[i][d] for i in units) for d in range(len(x[0]))]
            for j in steps
        ],
        "h0": row_to(0),
    }
    if "bias_ih_l0" in parameters:
        terms["bias_ih_l0"] = terms["bias_hh_l0"] = [da[j] for j in steps]
    if head is not None:
        terms["head.weight"] = [[[g * v for v in h] for g in dy] for dy, h in d_head]
        if "head.bias" in parameters:
            terms["head.bias"] = [dy for dy, _ in d_head]
    return total, terms


def sum_of(terms):
    """The sum of a list of equally nested lists."""
    if isinstance(terms[0], list):
        return [sum_of(list(entries)) for entries in zip(*terms, strict=True)]
    return math.fsum(terms)


def loss_and_grad(parameters, nonlinearity, x, h0, counts, loss, targets):
    total, terms = loss_and_terms(parameters, nonlinearity, x, h0, counts, loss, targets)
    whole = ("x", "h0")  # not summed over time
    return total, {name: value if name in whole else sum_of(value) for name, value in terms.items()}
