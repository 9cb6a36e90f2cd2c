"""All options of networks and calls crossed at random, every answer beside the oracle's.

A few hundred examples, always the same, in every run; ``python tests/crossed 0 20000`` makes as
many as wanted.
"""

import pytest
from rnncore._runtime import builds as _builds

from crossed import compare
from crossed.draw import draw

EXAMPLES, TOGETHER = 240, 20


@pytest.mark.parametrize("first", range(0, EXAMPLES, TOGETHER))
def test_crossed_options(monkeypatch, first):
    for number in range(first, first + TOGETHER):
        example = draw(number)
        wanted = compare.expected(example)
        for build in _builds.available():
            monkeypatch.setattr(_builds, "selected", build)
            for dtype in ("float32", "float64"):
                try:
                    compare.check(example, dtype, wanted)
                except Exception as error:
                    error.add_note(f"{example} on {build}")
                    raise


def test_a_wrong_answer_is_noticed():
    example = draw(0)
    wanted = compare.expected(example)
    compare.check(example, "float64", wanted)
    for name, values in wanted.items():
        with pytest.raises(compare.Mismatch, match=name):
            compare.check(example, "float64", wanted | {name: values + 1e-9})
