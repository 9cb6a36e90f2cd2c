"""The network of one unit in plain Python, one equation per line: to read, and to compare with.

    o_t = tanh(sum_d x_td w_id + o_{t-1} w_h),   o_0 = 0,   y = logistic(o_T w_o)

Numbers are floats, vectors are lists; a sequence is a list of input vectors.
"""

from __future__ import annotations

from math import exp, log, tanh

Vector = list[float]


def forward(w_i: Vector, w_h: float, w_o: float, x: list[Vector]) -> tuple[Vector, float]:
    """The states o_0 .. o_T, and y."""
    o = [0.0]
    for x_t in x:
        o.append(tanh(sum(w * v for w, v in zip(w_i, x_t, strict=True)) + o[-1] * w_h))
    return o, 1 / (1 + exp(-o[-1] * w_o))


def loss_of(y: float, d: float) -> float:
    """Binary cross-entropy."""
    return -log(y) if d else -log(1 - y)


def terms(
    w_i: Vector, w_h: float, w_o: float, x: list[Vector], d: float
) -> tuple[float, list[Vector], Vector, float]:
    """The loss of one sequence, the terms of dL/dw_i and dL/dw_h by time step, and dL/dw_o.

    The term of step j is dL/do_T (do_T/do_{T-1} ... do_{j+1}/do_j) do_j/dw, and the gradient
    is the sum of the terms. Going backwards, the product grows by one factor per step.
    """
    o, y = forward(w_i, w_h, w_o, x)
    d_i: list[Vector] = []
    d_h: Vector = []
    do = (y - d) * w_o  # dL/do_T
    for j in range(len(x), 0, -1):
        da = do * (1 - o[j] ** 2)
        d_i.append([da * v for v in x[j - 1]])
        d_h.append(da * o[j - 1])
        do = da * w_h
    return loss_of(y, d), d_i[::-1], d_h[::-1], (y - d) * o[-1]


def loss_and_grad(
    w_i: Vector, w_h: float, w_o: float, batch: list[list[Vector]], targets: Vector
) -> tuple[float, Vector, float, float]:
    """The mean loss and its gradients dL/dw_i, dL/dw_h, dL/dw_o."""
    loss = grad_h = grad_o = 0.0
    grad_i = [0.0] * len(w_i)
    for x, d in zip(batch, targets, strict=True):
        part, d_i, d_h, d_o = terms(w_i, w_h, w_o, x, d)
        loss += part
        grad_i = [g + sum(column) for g, column in zip(grad_i, zip(*d_i, strict=True), strict=True)]
        grad_h += sum(d_h)
        grad_o += d_o
    n = len(batch)
    return loss / n, [g / n for g in grad_i], grad_h / n, grad_o / n
