"""The command line, and the plain network it races against."""

import numpy as np
import pytest
from cases import difference
from rnncore.__main__ import main
from rnncore._demo import plain as _plain

import rnncore as rc


def test_demo_needs_numpy_alone(build, tmp_path, monkeypatch, capsys, hide):
    hide("matplotlib")
    monkeypatch.chdir(tmp_path)
    main(["demo"])
    text = capsys.readouterr().out
    assert "cat mat rat: 0.99" in text
    assert "of the guess 'as this year': 30.4" in text
    assert "times faster" in text
    assert "With matplotlib" in text
    assert list(tmp_path.iterdir()) == []


def test_demo_draws_a_figure(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    main(["demo"])
    assert (tmp_path / "rnncore-demo.png").stat().st_size > 10_000


def test_info(capsys):
    main(["info"])
    assert rc.__version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["dance"]])
def test_a_wrong_command_says_what_there_is(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "demo" in capsys.readouterr().err


def test_plain_network_equals_the_core():
    rng = np.random.default_rng(0)
    net = rc.RNN(3, 1, 1, loss="bce", bias=False, dtype="float64", seed=0)
    x, y = rng.standard_normal((4, 6, 3)), np.array([0.0, 1, 1, 0])
    w_i, w_h, w_o = net.flat[:3].tolist(), float(net.flat[3]), float(net.flat[4])
    loss, d_i, d_h, d_o = _plain.loss_and_grad(w_i, w_h, w_o, x.tolist(), y.tolist())
    got_loss, grads = net.loss_and_grad(x, y)
    assert got_loss == pytest.approx(loss, rel=1e-12)
    flat = np.concatenate([g.ravel() for g in grads.values()])
    assert difference(flat, [*d_i, d_h, d_o]) < 1e-12
