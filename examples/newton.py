"""A tiny network trained by Newton's method, with exact Hessian-vector products.

    python examples/newton.py

A GRU of three units counts: its target is the sum of the signs it has seen, at every step. scipy's
Newton-CG and its trust region take the curvature of the loss from `net.hvp`, so that each step
solves for the minimum of a parabola in all parameters at once; L-BFGS guesses the curvature from
gradients. The table has the loss reached and what it took; below it are the largest eigenvalues of
the Hessian before and after, by Lanczos' method, from some dozens of products.

Needs scipy. Some seconds.
"""

import argparse

import numpy as np

import rnncore as rc


def counting(count, steps, rng):
    """(x, y): signs, and their sums so far, a tenth of them."""
    x = rng.choice([-1.0, 1.0], (count, steps, 1))
    return x, x[:, :, 0].cumsum(axis=1) / 10


def network(seed):
    return rc.GRU(1, 3, 1, readout="all", loss="mse", dtype="float64", seed=seed)


def at(net, flat):
    net.flat[:] = flat
    return net


def train(method, x, y, seed, iterations=60):
    """(network, gradients taken, products taken)"""
    from scipy.optimize import minimize

    net, products = network(seed), [0]

    def product(flat, v):
        products[0] += 1
        return at(net, flat).hvp(x, y, v)

    result = minimize(
        net.objective(x, y), net.flat.copy(), jac=True, method=method,
        hessp=None if method == "L-BFGS-B" else product, options={"maxiter": iterations},
    )  # fmt: skip
    return at(net, result.x), result.nfev, products[0]


def largest_eigenvalues(net, x, y, count=3):
    """Of the Hessian, by magnitude."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    size = net.flat.size
    hessian = LinearOperator((size, size), matvec=lambda v: net.hvp(x, y, v), dtype=float)
    values = eigsh(hessian, k=count, which="LM", return_eigenvectors=False, v0=np.ones(size))
    return values[np.argsort(-abs(values))]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=60)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--iterations", type=int, default=60)
    args = parser.parse_args(arguments)
    x, y = counting(args.sequences, args.steps, np.random.default_rng(0))
    print(f"{'method':<12} {'loss':>10} {'gradients':>10} {'products':>10}")
    print(f"{'untrained':<12} {network(0).loss(x, y):10.2e}")
    for method in ("L-BFGS-B", "Newton-CG", "trust-ncg"):
        net, gradients, products = train(method, x, y, 0, args.iterations)
        print(f"{method:<12} {net.loss(x, y):10.2e} {gradients:10} {products:10}")
    for name, one in (("untrained", network(0)), ("trained", net)):
        values = " ".join(f"{value:9.3g}" for value in largest_eigenvalues(one, x, y))
        print(f"largest eigenvalues, {name:<10} {values}")


if __name__ == "__main__":
    main()
