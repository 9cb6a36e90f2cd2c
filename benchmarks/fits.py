"""Whole fits of one network, on tokens and on series, beside PyTorch and jax: a table.

    python -m pip install '.[peers]'
    python benchmarks/fits.py

Everything it does is in ``rnncore._bench.fits``.
"""

from rnncore._bench import fits
from rnncore._bench.script import run

if __name__ == "__main__":
    run(
        __doc__,
        lambda: fits.compare(fits.QUICK, 1, 0.001),
        lambda rounds: fits.compare(fits.ROWS, rounds, 0.1),
    )
