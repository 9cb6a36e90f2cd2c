"""The layers of rnncore.torch beside those of torch.nn, in one training loop: two tables.

    python -m pip install '.[torch]'
    python benchmarks/torch_layers.py

Everything it does is in ``rnncore._bench.torch_layers``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rnncore._bench import torch_layers


def main(line: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="timings of each contestant")
    parser.add_argument("--quick", action="store_true", help="tiny rows: does it run?")
    args = parser.parse_args(line)
    if args.quick:
        torch_layers.compare(torch_layers.QUICK, 1, 0.001)
        torch_layers.pulls((4,), 1, 0.001)
    else:
        torch_layers.compare(torch_layers.ROWS, args.rounds, 0.05)
        torch_layers.pulls((4, 16, 64), args.rounds, 0.05)


if __name__ == "__main__":
    main()
