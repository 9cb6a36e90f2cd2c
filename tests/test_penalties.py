"""Penalties on parameters and states: each adds its own derivative to the update, and to nothing
else, by formulas and by central differences."""

import numpy as np
import pytest
from cases import difference
from fits import KINDS, data, flat, network, one_step

import rnncore as rc


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_penalties_on_chosen_parameters(build, optimizer):
    net = network()
    x, y = data()
    grads = net.loss_and_grad(x, y)[1]
    if optimizer == "sgd":
        for option, slope in (("l1", np.sign), ("weight_decay", lambda p: p)):
            expected = {name: g.copy() for name, g in grads.items()}
            for name, strength in (("weight_hh_l0", 0.3), ("bias_ih_l0", 0.01)):
                expected[name] += strength * slope(net.parameters()[name])
            chosen = {option: {"weight_hh": 0.3, "bias_ih_l0": 0.01}}
            assert difference(one_step(net, x, y, **chosen), flat(expected)) < 1e-12
            everywhere = flat(grads) + 0.1 * slope(net.flat)
            assert difference(one_step(net, x, y, **{option: 0.1}), everywhere) < 1e-12
    else:
        other = network()
        for each, decay in ((net, 0.0), (other, {"weight_hh": 0.5})):
            each.fit(x, y, epochs=1, batch_size=30, optimizer="adamw", lr=0.1, weight_decay=decay)
        start = network().parameters()["weight_hh_l0"]
        change = net.parameters()["weight_hh_l0"] - other.parameters()["weight_hh_l0"]
        assert difference(change, 0.1 * 0.5 * start) < 1e-12


def test_the_longest_beginning_of_a_name_counts(build):
    net = network()
    x, y = data()
    expected = flat(net.loss_and_grad(x, y)[1]) + np.where(
        np.arange(net.flat.size) < 8, 0.5, 0.0
    ) * np.sign(net.flat)
    got = one_step(net, x, y, l1={"weight": 0.0, "weight_ih_l0": 0.5})
    assert difference(got, expected) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("given", ["lengths", "mask"])
def test_a_penalty_on_the_states(build, kind, readout, options, given):
    """The gradient of strength times the mean of h^2, by central differences."""
    rng = np.random.default_rng(0)
    net = network(kind, readout=readout, **options)
    x, lengths = rng.standard_normal((6, 5, 2)), np.array([5, 2, 3, 5, 1, 4])
    y = rng.standard_normal((6, 5, 1) if readout == "all" else (6, 1))
    counted = np.arange(5) < lengths[:, None]
    if given == "mask":
        counted[[0, 3], 2] = False
    ragged = {"lengths": lengths} if given == "lengths" else {"mask": counted}

    def mean_square():
        squares, below, layers = 0.0, x, options.get("num_layers", 1)
        for layer in range(layers):
            single = rc_layer(net, kind, layer, options)
            below = single(below, **ragged).hidden
            squares += (below[counted] ** 2).sum()
        units = layers * (2 if "bidirectional" in options else 1) * 4
        return squares / (counted.sum() * units)

    penalty = one_step(net, x, y, activation=0.7, **ragged) - flat(
        net.loss_and_grad(x, y, **ragged)[1]
    )
    kept = net.flat.copy()
    for direction in rng.standard_normal((3, net.flat.size)):
        ends = []
        for step in (1e-5, -1e-5):
            net.flat[:] = kept + step * direction
            ends.append(mean_square())
        net.flat[:] = kept
        assert penalty @ direction == pytest.approx(0.7 * (ends[0] - ends[1]) / 2e-5, rel=1e-7)


def rc_layer(net, kind, layer, options):
    """One layer of a network as a network of its own."""
    both = options.get("bidirectional", False)
    single = getattr(rc, kind)(
        2 if layer == 0 else 4 * (1 + both), 4, bidirectional=both, readout="all", dtype="float64"
    )
    for name, values in single.parameters().items():
        values[:] = net.parameters()[name.replace("_l0", f"_l{layer}")]
    return single
