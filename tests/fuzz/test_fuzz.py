"""Whatever the public face is called with: a right answer or a documented error, and a network
that is as it was.

A few thousand calls, always the same, are made in every run. ``RNNCORE_FUZZ=200000`` makes those of
so many examples (some six calls each), in processes of their own, in which a crash or a hang is
noticed; the examples are numbered, ``RNNCORE_FUZZ_FIRST`` is the first one's number, and
``python tests/fuzz/campaign.py NUMBER 1 PLACE`` repeats one, with PLACE for the name of a file.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import strategies as st  # noqa: E402

from fuzz import calls, promises  # noqa: E402

LONG = int(os.environ.get("RNNCORE_FUZZ", "0"))
FIRST = int(os.environ.get("RNNCORE_FUZZ_FIRST", "0"))
TOGETHER = 5000  # examples in one process
SECONDS = 600  # that these may take

hypothesis.settings.register_profile(
    "ci", max_examples=500, derandomize=True, deadline=None, database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip


@hypothesis.settings(hypothesis.settings.get_profile("ci"))
@hypothesis.given(st.randoms(use_true_random=False))
def test_drawn_calls(r):
    calls.example(r, most=4)


def test_numbered_calls():
    for number in range(1500):
        try:
            calls.example(random.Random(number))
        except Exception as error:
            error.add_note(f"example {number}")
            raise


def many(call, r, net):
    for _ in range(100):
        call(r, net)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such clock")
def test_a_call_without_end_is_found(monkeypatch):
    monkeypatch.setattr(promises, "SECONDS", 0.1)

    def endless(x):
        while True:
            pass

    with pytest.raises(calls.Find, match="does not end"):
        calls.attempt(None, "endless", endless, {"x": calls.Value(1, 1)})


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_the_fuzzer_notices():
    """A network that answers wrongly, changes, or fails in a way of its own is found."""
    r = random.Random(0)
    net = None
    while net is None or net.config["loss"] != "mse":
        net = calls.network(r, share=0)
    value = calls.Value(1, 1)

    def changes(x):
        net._model.flat[:] += 1

    def fails(x):
        raise KeyError(x)

    def names_nothing(x):
        raise ValueError("something is wrong")

    for call in (changes, fails, names_nothing):
        with pytest.raises(calls.Find):
            calls.attempt(net, call.__name__, call, {"x": value})
    wrong = type(net).loss
    try:
        type(net).loss = lambda self, *args, **options: wrong(self, *args, **options) + 0.1
        with pytest.raises(calls.Find):
            many(calls.losses, r, net)
    finally:
        type(net).loss = wrong


@pytest.mark.skipif(not LONG, reason="RNNCORE_FUZZ=<examples> asks for it")
def test_many_calls(tmp_path):
    place, ends, finds = tmp_path / "place", Counter(), []
    script = Path(__file__).with_name("campaign.py")
    for first in range(FIRST, FIRST + LONG, TOGETHER):
        count = min(TOGETHER, FIRST + LONG - first)
        command = [sys.executable, "-X", "faulthandler", str(script), str(first), str(count)]
        try:
            done = subprocess.run(
                [*command, str(place)], capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            finds.append((number_in(place), "does not end"))
            continue
        if done.returncode:
            finds.append((number_in(place), f"crash {done.returncode}: {done.stderr[-3000:]}"))
            continue
        result = json.loads(done.stdout)
        finds += result["finds"]
        for name, how, n in result["ends"]:
            ends[name, how] += n
        print(f"{first + count} examples, {ends.total()} calls, {len(finds)} finds", flush=True)
    for key, n in sorted(ends.items()):
        print(*key, n)
    assert not finds, "\n".join(f"example {number}: {text[:1000]}" for number, text in finds)


def number_in(place):
    return int.from_bytes(place.read_bytes(), "little") if place.exists() else None
