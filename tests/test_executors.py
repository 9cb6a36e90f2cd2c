"""Populations trained by executors: the bits of one process, whatever happens to workers."""

import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from rnncore._population import executors

import rnncore as rc


def fitted(executor=None, hidden=2, **more):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 12, 2)), rng.integers(0, 2, (20, 12))
    train = [rng.permutation(15)[: rng.integers(2, 12)] for _ in range(40)]
    pop = rc.Population(rc.GRU, 40, 2, hidden, 2, loss="cross_entropy", readout="all", seed=0)
    history = pop.fit(
        x, y, train=train, validation=np.arange(15, 20), patience=4, epochs=60, batch_size=4,
        lr=np.geomspace(0.003, 0.1, 40), l1=np.geomspace(1e-5, 1e-2, 40), rng=3, optimizer="adamw",
        executor=executor, **more,
    )  # fmt: skip
    return pop.flat.tobytes(), history.loss.tobytes(), history.validation.tobytes()


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(executors, "CHUNK_SECONDS", 0.0)  # as many members as there are lanes


@pytest.mark.parametrize("hidden", [2, 17])
def test_processes_give_the_same_bits(small_chunks, hidden, tmp_path):
    expected = fitted(hidden=hidden)
    with ProcessPoolExecutor(2) as pool:
        assert fitted(pool, hidden) == expected
        assert fitted(pool, hidden, checkpoint=tmp_path / "fit") == expected
    assert fitted(hidden=hidden, checkpoint=tmp_path / "fit") == expected  # all is there already
    with ThreadPoolExecutor(2) as pool:
        assert fitted(pool, hidden) == expected


def test_data_of_members_own_are_sent_to_where_they_are_needed(small_chunks):
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 9, (20, 4))
    x = [[rng.standard_normal((n, 2)) for n in row] for row in lengths]
    y = [[rng.standard_normal(n) for n in row] for row in lengths]
    weight = [[rng.random(n) for n in row] for row in lengths]
    h0 = [rng.standard_normal((4, 1, 3)) for _ in lengths]

    def fit(executor):
        pop = rc.Population(rc.RNN, 20, 2, 3, 1, loss="mse", readout="all", seed=0)
        pop.fit(x, y, h0=h0, sample_weight=weight, validation=(x, y), epochs=5, batch_size=2,
                rng=0, executor=executor)  # fmt: skip
        return pop.flat.tobytes()

    with ProcessPoolExecutor(2) as pool:
        assert fit(pool) == fit(None)


def test_a_worker_that_is_killed_loses_nothing(small_chunks):
    expected = fitted()
    with ProcessPoolExecutor(2) as pool:
        pool.submit(time.sleep, 0).result()
        victim = next(iter(pool._processes))
        threading.Timer(0.01, os.kill, (victim, signal.SIGKILL)).start()
        assert fitted(pool) == expected
        assert fitted(pool) == expected  # and one that is broken already


def deadly(*_):
    os._exit(1)


def test_a_chunk_that_kills_its_workers_is_named(small_chunks, monkeypatch):
    monkeypatch.setattr(executors, "train_chunk", deadly)
    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(RuntimeError, match=r"executor: its workers died 3 times .* members \d"),
    ):
        fitted(pool)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_dask_cluster_gives_the_same_bits(small_chunks):
    distributed = pytest.importorskip("distributed")
    expected = fitted()
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor()
        assert fitted(executor) == expected
        workers = client.run(os.getpid)
        threading.Timer(0.02, os.kill, (next(iter(workers.values())), signal.SIGKILL)).start()
        assert fitted(executor) == expected


@pytest.mark.parametrize("executor", [3, "processes", dict, rc])
def test_what_is_no_executor(executor):
    with pytest.raises(TypeError, match=r"executor: expected a concurrent.futures.Executor"):
        fitted(executor)
