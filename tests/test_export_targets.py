"""Exported networks on the processors that they are for, which are emulated: a Cortex-M4 without
an operating system, a RISC-V and an ARM with one."""

import numpy as np
import pytest
import rnncore.export
from compiled import MACHINES, printed, steps

import rnncore as rc

NETS = {
    "elman": (lambda: rc.RNN(3, 9, 2, skip=2, trainable_h0=True, seed=0), {}),
    "lstm": (lambda: rc.LSTM(2, 8, 3, num_layers=2, seed=0), {}),
    "gru": (lambda: rc.GRU(3, 8, 1, num_layers=2, seed=0), {"libm": False}),
    "mgu": (lambda: rc.MGU(1, 5, nonlinearity="relu", seed=0), {}),
    "small": (lambda: rc.GRU(3, 8, 1, seed=0), {"libm": False, "dtype": "int8"}),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("machine", MACHINES)
def test_other_processors_compute_the_same(tmp_path, machine, name):
    make, options = NETS[name]
    net = make()
    x = np.random.default_rng(0).standard_normal((20, net.input_size))
    report = rnncore.export.c(net, tmp_path / name, **options)
    y, ticks = printed(machine, report, x)
    if options.get("dtype") == "int8":
        expected, _ = printed("here", report, x)
    else:
        expected = steps(net, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)
    assert (ticks > 0) == (machine == "cortex-m4")
