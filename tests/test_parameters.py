"""Parameters by name: written by assignment, loaded from state dicts of others."""

import copy
import json
import pickle
import threading

import numpy as np
import pytest
from refusals import unchanged

import rnncore as rc

NAMES = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "head.weight", "head.bias"]


def network(seed=0, **options):
    return rc.RNN(3, 4, 2, seed=seed, **options)


# ---- assignment ------------------------------------------------------------------------


def test_assigning_to_a_parameter_changes_the_network(dtype):
    net, x = network(dtype=dtype), np.ones((1, 2, 3))
    p = net.parameters()
    view, before = p["weight_hh_l0"], net(x).y
    p["weight_hh_l0"] = np.eye(4)
    assert p["weight_hh_l0"] is view
    assert (net.state_dict()["weight_hh_l0"] == np.eye(4)).all()
    assert view.dtype == dtype
    assert (net(x).y != before).any()
    p["weight_hh_l0"] = p["weight_hh_l0"].T + 2 * p["weight_ih_l0"][:, :1]
    assert (net.parameters()["weight_hh_l0"] == view).all()
    net.parameters()["head.bias"] = [1, 2]
    p["head.bias"] += 1
    p["head.bias"] *= 2
    assert net.flat[-2:].tolist() == [4, 6]


def test_a_step_sees_what_was_assigned():
    net, x = network(), np.ones(3, np.float32)
    p = net.parameters()
    for factor in (1, 2, 3):
        p["head.bias"] = [factor, factor]
        y, _ = net.step(x)
        assert (y == net(x[None, None]).y[0]).all()


def test_a_parameter_may_be_assigned_from_itself():
    net = rc.RNN(4, 4, seed=0)
    p, before = net.parameters(), net.state_dict()
    p["weight_hh_l0"] = p["weight_hh_l0"].T
    assert (p["weight_hh_l0"] == before["weight_hh_l0"].T).all()
    p.update(weight_ih_l0=p["weight_hh_l0"], weight_hh_l0=p["weight_ih_l0"])
    assert (p["weight_ih_l0"] == before["weight_hh_l0"].T).all()
    assert (p["weight_hh_l0"] == before["weight_ih_l0"]).all()
    p |= before
    assert (net.flat == np.concatenate([values.ravel() for values in before.values()])).all()


@pytest.mark.parametrize(
    ("name", "values", "error", "text"),
    [
        ("weight_hh", 0, ValueError, "parameters(): expected one of weight_ih_l0, weight_hh_l0, b"),
        (3, 0, ValueError, "got 3"),
        ("head.bias", [1, 2, 3], ValueError, "parameters()['head.bias']: expected (2,), got (3,)"),
        ("head.bias", 1.0, ValueError, "parameters()['head.bias']: expected (2,), got ()"),
        ("head.bias", [0, np.nan], ValueError, "expected finite numbers, got nan at [1]"),
        ("head.bias", [0, 1e300], ValueError, "expected finite numbers, got inf at [1]"),
        ("head.bias", ["a", "b"], TypeError, "parameters()['head.bias']: expected real numbers"),
    ],
)
def test_assignments_that_are_refused(name, values, error, text):
    net = network()
    p = net.parameters()
    unchanged(net, lambda: p.__setitem__(name, values), error, text)
    unchanged(net, lambda: p.update({"head.weight": np.ones((2, 4)), name: values}), error, text)
    unchanged(net, lambda: p.__ior__({name: values}), error, text)
    assert list(p) == NAMES


def test_parameters_stay_all_of_them():
    net = network()
    p = net.parameters()
    for call in (
        lambda: p.__delitem__("head.bias"), lambda: p.pop("head.bias"), lambda: p.pop("x", None),
        p.popitem, p.clear,
    ):  # fmt: skip
        unchanged(net, call, TypeError, "parameters(): a network's parameters cannot be removed")
    unchanged(net, lambda: p.setdefault("x", 0), ValueError, "parameters(): expected one of")
    assert p.setdefault("head.bias", 0) is p["head.bias"]
    assert list(p) == NAMES


def test_parameters_are_a_dict_and_their_copies_are_plain():
    net = network()
    p = net.parameters()
    assert isinstance(p, dict)
    assert len(p) == len(NAMES)
    assert "head.bias" in p
    assert list(p.items()) == list(zip(p.keys(), p.values(), strict=True))
    json.dumps(p, default=np.ndarray.tolist)
    for views in (dict(p), p.copy(), {**p}, p | {}, copy.copy(p)):
        assert type(views) is dict
        assert np.shares_memory(views["head.bias"], net.flat)
    for apart in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(apart) is dict
        assert list(apart) == NAMES
        assert all((apart[name] == p[name]).all() for name in p)
        apart["head.bias"][:] = 9
        apart["new"] = None
    assert (p["head.bias"] != 9).all()
    other = network(seed=1)
    other.load_state_dict(p)
    assert (other.flat == net.flat).all()
    loss_and_grad = network(loss="mse").loss_and_grad(np.ones((1, 2, 3)), np.ones((1, 2)))
    assert type(loss_and_grad[1]) is dict


# ---- state dicts -----------------------------------------------------------------------


class Tensor:
    """As much of a tensor as there is to know: numpy refuses it until it has been detached."""

    def __init__(self, values, dtype="torch.float32", ready=False):
        self.values, self.dtype, self.ready = values, dtype, ready

    def detach(self):
        return Tensor(self.values, self.dtype, "detached")

    def cpu(self):
        assert self.ready == "detached"
        return Tensor(self.values, self.dtype, "here")

    def float(self):
        return Tensor(self.values, "torch.float32", self.ready)

    def __array__(self, dtype=None, copy=None):
        if self.ready != "here" or self.dtype == "torch.bfloat16":
            raise RuntimeError("Can't call numpy() on this Tensor")
        return np.asarray(self.values)


@pytest.mark.parametrize("kind", ["torch.float32", "torch.bfloat16", "torch.float16"])
def test_tensors_are_detached_and_brought_here(kind):
    net = network()
    state = network(seed=1).state_dict()
    if kind == "torch.float16":
        state = {name: values.astype(np.float16) for name, values in state.items()}
    tensors = {name: Tensor(values, kind) for name, values in state.items()}
    assert net.load_state_dict(tensors) == ([], [])
    made = network(init=tensors)
    for name, values in state.items():
        assert (net.parameters()[name] == values).all()
        assert (made.parameters()[name] == values).all()
    net.parameters()["head.bias"] = Tensor([5, 6], kind)
    assert net.flat[-2:].tolist() == [5, 6]


def test_a_tensor_that_breaks():
    net, tensor = network(), Tensor([1, 2])
    tensor.detach = lambda: 1 / 0
    state = net.state_dict() | {"head.bias": tensor}
    text = "state_dict['head.bias']: expected an array, got a Tensor with an error of its own"
    unchanged(net, lambda: net.load_state_dict(state), TypeError, text)


def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    module, net = torch.nn.LSTM(3, 4, num_layers=2), rc.LSTM(3, 4, num_layers=2, seed=0)
    named = dict(module.named_parameters())
    assert all(tensor.requires_grad for tensor in named.values())
    for form in (named, module.state_dict(), module.to(torch.bfloat16).state_dict(keep_vars=True)):
        assert net.load_state_dict(form) == ([], [])
        for name, values in net.parameters().items():
            assert (values == form[name].detach().float().numpy()).all()
    made = rc.LSTM(3, 4, num_layers=2, init=dict(module.named_parameters()))
    assert (made.flat == net.flat).all()


def test_what_is_missing_and_what_is_not_expected_may_be_left():
    net, before = network(), network().state_dict()
    state = {"head.bias": [1, 2], "weight_hh_l0": np.eye(4), "other": None, 3: None}
    loaded = net.load_state_dict(state, strict=False)
    assert type(loaded).__name__ == "Loaded"
    assert loaded.missing_keys == ["weight_ih_l0", "bias_ih_l0", "bias_hh_l0", "head.weight"]
    assert loaded.unexpected_keys == ["other", 3]
    expected = before | {"head.bias": [1, 2], "weight_hh_l0": np.eye(4)}
    for name, values in net.parameters().items():
        assert (values == expected[name]).all()
    assert net.load_state_dict({}, strict=False).missing_keys == NAMES
    text = "state_dict['head.bias']: expected (2,), got (3,)"
    state["head.bias"] = [1, 2, 3]
    unchanged(net, lambda: net.load_state_dict(state, strict=False), ValueError, text)


def test_entries_with_a_prefix():
    net, state = network(), network(seed=1).state_dict()
    module = {f"rnn.{name}": values for name, values in state.items()}
    module |= {"weight_hh_l0": None, "embedding.weight": np.ones((7, 3)), 3: None}
    assert net.load_state_dict(module, prefix="rnn.") == ([], [])
    assert all((net.parameters()[name] == values).all() for name, values in state.items())
    short = {"rnn.head.bias": [1, 2], "rnn.extra": None, "more": None}
    missing = [f"rnn.{name}" for name in NAMES if name != "head.bias"]
    assert net.load_state_dict(short, False, "rnn.") == (missing, ["rnn.extra"])
    text = "not expected rnn.extra"
    unchanged(net, lambda: net.load_state_dict(short, prefix="rnn."), ValueError, text)
    short["rnn.head.bias"] = [1]
    text = "state_dict['rnn.head.bias']: expected (2,), got (1,)"
    unchanged(net, lambda: net.load_state_dict(short, False, "rnn."), ValueError, text)
    text = "prefix: expected a str, got a int"
    unchanged(net, lambda: net.load_state_dict(state, prefix=3), TypeError, text)
    text = "strict: expected True or False, got 1"
    unchanged(net, lambda: net.load_state_dict(state, strict=1), TypeError, text)


def test_loading_a_part_never_brings_back_what_another_thread_has_replaced():
    net = network()
    names = [name for name in NAMES if name != "head.bias"]
    states = [{name: np.full_like(net.state_dict()[name], k) for name in NAMES} for k in range(2)]
    refusals, done, wrong = [], threading.Event(), []

    def load_part():
        while not done.is_set():
            try:
                net.load_state_dict({"head.bias": [7, 8]}, strict=False)
            except RuntimeError as error:
                refusals.append(str(error))

    thread = threading.Thread(target=load_part)
    thread.start()
    try:
        for k in range(2000):
            try:
                net.load_state_dict(states[k % 2])
            except RuntimeError as error:
                refusals.append(str(error))
                continue
            if any((net._model.parameters[name] != k % 2).any() for name in names):
                wrong.append(k)
    finally:
        done.set()
        thread.join()
    assert wrong == []
    assert all("by another thread: expected to have it alone" in text for text in refusals)


def test_names_and_shapes():
    shapes = {k: v.shape for k, v in rc.LSTM(3, 4, 2, num_layers=2, bidirectional=True,
                                             trainable_h0=True).parameters().items()}  # fmt: skip
    assert shapes["weight_ih_l1_reverse"] == (16, 8)
    assert shapes["head.weight"] == (2, 8)
    assert shapes["h0"] == shapes["c0"] == (4, 4)
    assert list(rc.RNN(3, 4, skip=2).parameters()) == [
        "weight_ih_l0", "weight_hh_l0", "weight_skip_l0", "bias_ih_l0", "bias_hh_l0",
    ]  # fmt: skip
