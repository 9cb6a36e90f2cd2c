"""Whoever is timed beside rnncore computes the same loss, gradients and outputs; a wrong answer is
caught and does not enter."""

import shutil
from importlib import import_module

import numpy as np
import pytest
from rnncore._bench import command, grid, race
from rnncore._bench.grid import Row
from rnncore._bench.peers import registry as peers

#: One of everything; one unit; several, and more sequences than numba's block holds.
SIZES = [(1, 1, 1, 1), (1, 3, 5, 7), (6, 2, 33, 5)]
RIVALS = [*((name, 1) for name in command.RIVALS), ("numba", 2), ("onednn", 2)]


def load(name, threads=1):
    try:
        return peers.load(name, threads)
    except ImportError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("task", grid.TASKS)
@pytest.mark.parametrize(("name", "threads"), RIVALS)
@pytest.mark.filterwarnings("ignore")  # of the peers' own
def test_every_peer_agrees_with_rnncore(name, task, threads, dtype):
    peer, itself = load(name, threads), peers.load("rnncore", 1)
    checked = 0
    for H, D, B, T in SIZES:
        row = Row("rnn", H, D, B, T, task)
        net, (x, y) = row.network(dtype), row.data(dtype)
        own = itself.contestants(row, net, x, y)[0]
        expected = own.answer(own.call())
        for contestant in peer.contestants(row, net, x, y):
            for _ in range(2):  # what is left over from a call must not enter the next
                answer = contestant.answer(contestant.call())
                race.check(f"{row} {contestant.variant}", answer, expected, dtype)
            checked += 1
    able = {
        "onnxruntime": task in ("forward", "step") and dtype == "float32",
        "onednn": task != "ragged" and dtype == "float32",
        "numba-lanes": task not in ("ragged", "step"),
    }.get(name, task != "ragged" or name == "torch")
    assert checked >= len(SIZES) if able else checked == 0


def variants_that_agree(name, row, dtype):
    """Of a peer, each checked against rnncore."""
    peer, itself = load(name), peers.load("rnncore", 1)
    net, (x, y) = row.network(dtype), row.data(dtype)
    own = itself.contestants(row, net, x, y)[0]
    expected = own.answer(own.call())
    variants = []
    for contestant in peer.contestants(row, net, x, y):
        answer = contestant.answer(contestant.call())
        race.check(f"{row} {contestant.variant}", answer, expected, dtype)
        variants.append(contestant.variant)
    return variants


@pytest.mark.parametrize("task", ["train", "forward", "step"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", ["torch", "jax"])
@pytest.mark.filterwarnings("ignore")
def test_peers_agree_on_gated_cells(name, cell, task, dtype):
    assert variants_that_agree(name, Row(cell, 5, 3, 40, 7, task), dtype)


@pytest.mark.parametrize("task", ["train", "forward", "step"])
@pytest.mark.parametrize("cell", grid.CELLS)
def test_onednn_agrees_on_every_cell(cell, task):
    rng = np.random.default_rng(17)
    sizes = [(5, 3, 40, 1), *rng.integers(1, (40, 20, 70, 12), (6, 4)).tolist()]
    for H, D, B, T in sizes:
        variants = variants_that_agree("onednn", Row(cell, H, D, B, T, task), "float32")
        assert variants == (["plain", "own"] if task == "train" else ["inference"])


def test_onednn_says_what_is_missing(monkeypatch):
    from rnncore._bench.peers import onednn_peer

    monkeypatch.setenv("CXX", "no-compiler -O2")
    with pytest.raises(ImportError, match=r"expected a C\+\+ compiler, found no no-compiler"):
        onednn_peer.library.__wrapped__()
    if shutil.which("c++") is None:
        pytest.skip("needs a C++ compiler")
    monkeypatch.setenv("CXX", "c++ -nostdinc")
    with pytest.raises(ImportError, match=r"expected its headers .* c\+\+ says: .* error: "):
        onednn_peer.library.__wrapped__()


@pytest.mark.parametrize("task", ["train", "ragged", "forward"])
@pytest.mark.parametrize(
    ("layers", "bidirectional"), [(1, False), (1, True), (2, False), (2, True)]
)
@pytest.mark.parametrize("cell", grid.CELLS)
@pytest.mark.filterwarnings("ignore")
def test_torch_agrees_on_stacks_and_ragged_sequences(cell, layers, bidirectional, task, dtype):
    row = Row(cell, 5, 3, 40, 20, task, layers, bidirectional)
    ways = {variant.split(",")[0] for variant in variants_that_agree("torch", row, dtype)}
    both = {"packed"} if bidirectional else {"packed", "padded"}
    assert ways == (both if task == "ragged" else {"time-first", "batch-first"})


def test_who_does_not_know_stacks_takes_no_part():
    for row in (Row("rnn", 2, 3, 4, 5, layers=2), Row("rnn", 2, 3, 4, 5, bidirectional=True)):
        assert variants_that_agree("rnncore", row, "float64")
        assert not variants_that_agree("oracle", row, "float64")
        assert not variants_that_agree("numpy", row, "float64")


def answer_of(row):
    net, (x, y) = row.network("float64"), row.data("float64")
    contestant = peers.load("oracle", 1).contestants(row, net, x, y)[0]
    return contestant.answer(contestant.call())


def test_a_wrong_answer_is_caught(dtype):
    expected = answer_of(Row("rnn", 2, 3, 4, 5))
    for name in expected:
        wrong = expected | {name: 1.01 * np.asarray(expected[name])}
        with pytest.raises(race.DisagreementError, match=f"peer: {name}: expected rnncore's"):
            race.check("peer", wrong, expected, dtype)
        wrong[name] = np.full_like(expected[name], np.nan)
        with pytest.raises(race.DisagreementError, match="deviation of nan"):
            race.check("peer", wrong, expected, dtype)
    with pytest.raises(race.DisagreementError, match=r"expected shape \(2, 3\), got \(3, 2\)"):
        race.check("peer", expected | {"weight_ih_l0": expected["weight_ih_l0"].T}, expected, dtype)
    with pytest.raises(race.DisagreementError, match=r"expected .*, got"):
        race.check("peer", {"loss": expected["loss"]}, expected, dtype)


def test_a_wrong_peer_does_not_enter(monkeypatch):
    from rnncore._bench.peers.oracle import Elman

    row = grid.QUICK[0]
    assert race.enter(row, "float64", peers.load("oracle", 1), 1e-4).calls >= 1
    monkeypatch.setattr(Elman, "step", lambda self, x_t, h: [0.5 for _ in h])
    with pytest.raises(race.DisagreementError, match=r"train rnn 2, 3, 4, 5: oracle \(lists\)"):
        race.enter(row, "float64", peers.load("oracle", 1), 1e-4)
    assert race.enter(Row("rnn", 64, 64, 64, 64), "float64", peers.load("oracle", 1), 1e-4) is None


@pytest.mark.parametrize(
    ("name", "needs", "more"),
    [
        ("populations", "jax", lambda suite: suite.whole_fits(3, 10, 4, 1)),
        ("torch_layers", "torch", lambda suite: suite.pulls((4,), 1, 1e-4)),
        ("fits", "torch", lambda suite: []),
        ("fits", "jax", lambda suite: []),
    ],
)
def test_the_other_benchmarks_run(name, needs, more, capsys):
    """On tiny rows; all raise an error where the losses of the contestants differ."""
    pytest.importorskip(needs)
    suite = import_module(f"rnncore._bench.{name}")
    lines = suite.compare(suite.QUICK, 1, 1e-4)
    assert len(lines) == 2 + len(suite.QUICK)
    assert all(line.startswith("|") for line in more(suite))


def test_overheads_of_executors_are_measured(capsys):
    """The losses of both fits are compared there."""
    from rnncore._bench import executors

    lines = executors.overheads(3, 10, 4, rounds=1)
    assert lines[2].startswith("| ProcessPoolExecutor | ")
    assert " | 1 | " in lines[2]
