"""
Where the gradient of one unit comes from
=========================================

The gradient of a recurrent network is a sum with one term for every time step. Here is the smallest
case: one unit, one input, no biases, and the terms one by one.
"""

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

# %%
# One unit: :math:`o_t = \tanh(x_t w_i + o_{t-1} w_h)`, read once, :math:`y = o_T w_o`. The
# parameters are set by hand; ``net.flat`` holds all three.

rng = np.random.default_rng(0)
T = 20
x, y = rng.standard_normal((1, T, 1)), np.array([1.0])


def scalar(w_h):
    net = rc.RNN(1, 1, 1, bias=False, loss="mse", dtype="float64", seed=0)
    net.flat[:] = 0.5, w_h, 1.0  # w_i, w_h, w_o
    return net


# %%
# ``gradient_flow`` gives the term of each step. They sum to what ``loss_and_grad`` gives.

net = scalar(0.9)
flow = net.gradient_flow(x, y)
terms = flow.terms["weight_ih_l0"][:, 0, 0]
loss, grads = net.loss_and_grad(x, y)
print("sum of the terms", terms.sum())
print("gradient        ", grads["weight_ih_l0"].item())
assert np.isclose(terms.sum(), grads["weight_ih_l0"].item(), rtol=1e-12)

# %%
# The term of step j has a factor :math:`w_h f'(a_t)` for every step after it, so it fades with the
# distance from the end, and fast where :math:`w_h` is small.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.bar(np.arange(1, T + 1), terms, color="tab:blue")
left.set(xlabel="time step j", ylabel="term of step j in dL/dw_i", title="w_h = 0.9")
for w_h in (0.4, 0.6, 0.9, 1.1):
    size = scalar(w_h).gradient_flow(x, y).products[:, 0, 0, 0]
    right.semilogy(np.arange(1, T + 1), np.abs(size), label=f"w_h = {w_h}")
right.set(xlabel="time step j", ylabel="|do_T / do_{j-1}|", title="the product of the factors")
right.legend()
plt.show()
