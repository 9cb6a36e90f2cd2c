"""The layers of rnncore.torch beside those of torch.nn, in one training loop: two tables.

    python -m pip install '.[torch]'
    python benchmarks/torch_layers.py

Everything it does is in ``rnncore._bench.torch_layers``.
"""

from rnncore._bench import torch_layers
from rnncore._bench.script import run


def tables(rows: tuple[torch_layers.Row, ...], sizes: tuple[int, ...], rounds: int, least: float):
    torch_layers.compare(rows, rounds, least)
    torch_layers.pulls(sizes, rounds, least)


if __name__ == "__main__":
    run(
        __doc__,
        lambda: tables(torch_layers.QUICK, (4,), 1, 0.001),
        lambda rounds: tables(torch_layers.ROWS, (4, 16, 64), rounds, 0.05),
    )
