"""The layers for PyTorch against PyTorch's own: numbers, and everything else a layer does there."""

import copy
import io
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rnncore.torch as layers  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence  # noqa: E402

KINDS = ("RNN", "LSTM", "GRU")
X = torch.linspace(-1, 1, 4 * 6 * 3).view(4, 6, 3)


def pair(kind, *sizes, **options):
    """PyTorch's layer and ours, with the same parameters."""
    made = []
    for module in (torch.nn, layers):
        torch.manual_seed(0)
        made.append(getattr(module, kind)(*sizes, **options))
    for a, b in zip(*(m.parameters() for m in made), strict=True):
        assert torch.equal(a, b)
    return made


def flat(values):
    if isinstance(values, PackedSequence):
        return [values.data]
    if isinstance(values, tuple | list):
        return [tensor for part in values for tensor in flat(part)]
    return [values]


def run(layer, tensors, states, form, which, seed):
    """Outputs, and the gradients of some of them with respect to everything."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    first = [state.clone().requires_grad_() for state in states]
    given = pack_sequence(leaves, enforce_sorted=False) if form == "packed" else leaves[0]
    hx = (tuple(first) if isinstance(layer, torch.nn.LSTM) else first[0]) if first else None
    outputs = flat(layer(given, hx))
    rng = np.random.default_rng(seed)
    weights = [torch.from_numpy(rng.normal(size=o.shape)).to(o.dtype) for o in outputs]
    chosen = [k for k in range(len(outputs)) if which >> k & 1] or [0]
    sum((outputs[k] * weights[k]).sum() for k in chosen).backward()
    parameters = [p.grad for p in layer.parameters()]
    return [*outputs, *(t.grad for t in leaves), *(t.grad for t in first), *parameters]


@pytest.mark.parametrize("seed", range(80))
def test_the_same_numbers_in_every_combination(build, seed):
    rng = np.random.default_rng(seed)
    kind, D, H = str(rng.choice(KINDS)), int(rng.integers(1, 5)), int(rng.choice([1, 2, 5, 16, 33]))
    options = {
        "num_layers": int(rng.integers(1, 3)), "bias": bool(rng.integers(2)),
        "batch_first": bool(rng.integers(2)), "bidirectional": bool(rng.integers(2)),
        "dtype": torch.float64 if rng.integers(3) else torch.float32,
    }  # fmt: skip
    if kind == "RNN":
        options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    theirs, ours = pair(kind, D, H, **options)
    batch, time = int(rng.choice([1, 2, 5, 40])), int(rng.choice([1, 2, 7, 30]))
    form = str(rng.choice(["batch", "one", "packed"]))

    def drawn(*shape):
        return torch.from_numpy(rng.normal(size=shape)).to(options["dtype"])

    rows = options["num_layers"] * (1 + options["bidirectional"])
    shape = (batch, time, D) if options["batch_first"] else (time, batch, D)
    tensors, state = [drawn(*shape)], (rows, batch, H)
    if form == "one":
        tensors, state = [drawn(time, D)], (rows, H)
    if form == "packed":
        tensors = [drawn(int(rng.integers(1, time + 1)), D) for _ in range(batch)]
    states = [drawn(*state) for _ in range(1 + (kind == "LSTM"))] if rng.integers(2) else []
    which = int(rng.integers(1, 8))
    expected = run(theirs, tensors, states, form, which, seed)
    got = run(ours, tensors, states, form, which, seed)
    close = 1e-10 if options["dtype"] == torch.float64 else 2e-4
    for a, b in zip(expected, got, strict=True):
        if a is None or b is None:  # ours has zeros where PyTorch has no path, or the reverse
            assert not any(t.any() for t in (a, b) if t is not None)
            continue
        assert a.shape == b.shape
        assert (a - b).abs().max() <= close * max(1, a.abs().max())


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    layer = getattr(layers, kind)(2, 3, num_layers=2, bidirectional=True, dtype=torch.float64)
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    states = [torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    states = states if kind == "LSTM" else states[:1]

    def call(x, *states):
        output, last = layer(x, tuple(states) if kind == "LSTM" else states[0])
        return output, *(last if kind == "LSTM" else (last,))

    assert torch.autograd.gradcheck(call, (x, *states))


def test_second_derivatives_are_refused():
    layer = layers.GRU(3, 5)
    grads = torch.autograd.grad(layer(X)[0].sum(), list(layer.parameters()), create_graph=True)
    for value in (sum(g.sum() for g in grads), grads[0].sum() + layer(X)[0].sum()):
        with pytest.raises(RuntimeError, match="cannot be differentiated"):
            value.backward()


def test_a_graph_may_be_kept_and_used_again():
    theirs, ours = pair("LSTM", 3, 5)
    for layer in theirs, ours:
        output, (h, _) = layer(X)
        output.sum().backward(retain_graph=True)
        h.sum().backward()
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)


def test_parameters_that_need_no_gradient_get_none():
    layer = layers.GRU(3, 5)
    layer.weight_ih_l0.requires_grad_(False)
    layer(X)[0].sum().backward()
    assert layer.weight_ih_l0.grad is None
    assert layer.weight_hh_l0.grad.any()
    layer.requires_grad_(False)
    x = X.clone().requires_grad_()
    layer(x)[0].sum().backward()
    assert x.grad.any()
    assert not layer(X)[0].requires_grad
    with torch.no_grad():
        assert not layer(x)[0].requires_grad


def shares(layer):
    """Whether every parameter is where the core reads it."""
    views = layer._network._model.parameters
    return all(
        parameter.data_ptr() == views[name].ctypes.data
        for name, parameter in layer.named_parameters()
    )


def test_parameters_are_shared_with_the_core():
    layer = layers.LSTM(3, 5, num_layers=2)
    assert shares(layer)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    before = layer.network.flat.copy()
    layer(X)[0].sum().backward()
    optimiser.step()
    assert (layer.network.flat != before).any()
    assert shares(layer)


CHANGES = {
    "double": lambda layer: layer.double(),
    "deepcopy": copy.deepcopy,
    "pickle": lambda layer: pickle.loads(pickle.dumps(layer)),
    "data": lambda layer: setattr(layer.weight_hh_l0, "data", torch.ones(15, 5)) or layer,
    "new": lambda layer: setattr(layer, "bias_hh_l0", torch.nn.Parameter(torch.ones(15))) or layer,
    "assign": lambda layer: layer.load_state_dict(
        {n: p.detach() * 2 for n, p in layer.named_parameters()}, assign=True
    ) and layer,
    "load": lambda layer: layer.load_state_dict(torch.nn.GRU(3, 5).state_dict()) and layer,
    "to": lambda layer: layer.to(torch.float64).to(torch.float32),
    "reset": lambda layer: layer.reset_parameters() or layer,
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_parameters_that_were_moved_are_brought_back(name):
    layer = layers.GRU(3, 5)
    changed = CHANGES[name](layer)
    same = torch.nn.GRU(3, 5, dtype=changed.weight_hh_l0.dtype)
    same.load_state_dict(changed.state_dict())
    x = X.to(changed.weight_hh_l0.dtype)
    torch.testing.assert_close(changed(x)[0], same(x)[0])
    assert shares(changed)
    before = copy.deepcopy(layer.state_dict())
    torch.optim.SGD(changed.parameters(), lr=1.0).zero_grad()
    changed(x)[0].sum().backward()
    torch.optim.SGD(changed.parameters(), lr=1.0).step()
    if changed is not layer:  # a copy leaves the original alone
        assert all(torch.equal(before[n], p) for n, p in layer.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("way", ["prune", "parametrize", "weight_norm"])
def test_parameters_computed_from_others_are_followed(way):
    """Ours after a step of an optimiser is where PyTorch's is."""
    made = pair("GRU", 3, 5)
    for layer in made:
        torch.manual_seed(1)
        if way == "prune":
            prune.random_unstructured(layer, "weight_hh_l0", 0.5)
        elif way == "parametrize":
            parametrizations.weight_norm(layer, "weight_hh_l0")
        else:
            torch.nn.utils.weight_norm(layer, "weight_hh_l0")
        optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            layer(X)[0].square().sum().backward()
            optimiser.step()
    torch.testing.assert_close(made[0](X)[0], made[1](X)[0], rtol=1e-4, atol=1e-5)
    if way == "prune":
        for layer in made:
            prune.remove(layer, "weight_hh_l0")
        torch.testing.assert_close(made[0](X)[0], made[1](X)[0], rtol=1e-4, atol=1e-5)
        assert shares(made[1])


def test_memory_that_was_a_parameter_is_left_alone():
    layer = layers.GRU(3, 5)
    old, values = layer.weight_hh_l0.data, layer.weight_hh_l0.detach().clone()
    layer.weight_hh_l0.data = torch.ones(15, 5)
    layer(X)
    assert torch.equal(old, values)


def test_a_parameter_of_two_layers():
    made = []
    for module in torch.nn, layers:
        torch.manual_seed(0)
        a, b = module.GRU(3, 3), module.GRU(3, 3)
        b.weight_hh_l0 = a.weight_hh_l0
        optimiser = torch.optim.SGD([*a.parameters(), *b.parameters()][:-3], lr=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            b(a(X)[0])[0].square().sum().backward()
            optimiser.step()
        made.append(b(a(X)[0])[0])
    torch.testing.assert_close(*made, rtol=1e-4, atol=1e-5)


def test_a_change_between_forward_and_backward_is_noticed():
    layer = layers.GRU(3, 5)
    output, _ = layer(X)
    with torch.no_grad():
        layer.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="parameters have been changed"):
        output.sum().backward()


def test_state_dicts_and_whole_modules_go_through_files():
    theirs, ours = pair("LSTM", 3, 5, num_layers=2, bidirectional=True)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    theirs.load_state_dict(torch.load(file, weights_only=True))
    file = io.BytesIO()
    torch.save(ours, file)
    file.seek(0)
    back = torch.load(file, weights_only=False)
    torch.testing.assert_close(back(X)[0], theirs(X)[0])
    assert isinstance(back, torch.nn.LSTM)


def test_dropout_acts_in_training_and_follows_the_seed():
    layer = layers.GRU(3, 50, num_layers=2, dropout=0.5)
    torch.manual_seed(1)
    first = layer(X)[0]
    second = layer(X)[0]
    torch.manual_seed(1)
    assert torch.equal(layer(X)[0], first)
    assert not torch.equal(first, second)
    with torch.no_grad():
        torch.manual_seed(1)
        assert torch.equal(layer(X)[0], first)
    layer.eval()
    assert torch.equal(layer(X)[0], layer(X)[0])
    layer.train()
    layer.dropout = 0.0
    torch.testing.assert_close(layer(X)[0], layer.eval()(X)[0])


def test_clipping_and_second_order_optimisers():
    theirs, ours = pair("RNN", 3, 5, dtype=torch.float64)
    x, losses = X.double(), []
    for layer in theirs, ours:
        optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=20)

        def closure(layer=layer, optimiser=optimiser):
            optimiser.zero_grad()
            loss = (layer(x)[0] - 0.5).square().mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(layer.parameters(), 0.5)
            return loss

        optimiser.step(closure)
        losses.append(closure().item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def error_of(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except Exception as error:
            return type(error), str(error)
    return None


WRONG = [
    lambda m, k: getattr(m, k)(3, 0),
    lambda m, k: getattr(m, k)(3, 5, num_layers=0),
    lambda m, k: getattr(m, k)(3, 5, dropout=2),
    lambda m, k: getattr(m, k)(3, 5, bias=1),
    lambda m, k: getattr(m, k)(3, 5)(torch.zeros(4, 6, 2)),
    lambda m, k: getattr(m, k)(3, 5)(torch.zeros(3)),
    lambda m, k: getattr(m, k)(3, 5)(torch.zeros(2, 4, 6, 3)),
    lambda m, k: getattr(m, k)(3, 5)(torch.zeros(4, 6, 3, dtype=torch.float64)),
    lambda m, k: getattr(m, k)(3, 5)(torch.zeros(0, 6, 3)),
    lambda m, k: getattr(m, k)(3, 5)(torch.zeros(6, 0, 3)),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_errors(kind, number):
    theirs = error_of(lambda: WRONG[number](torch.nn, kind))
    assert error_of(lambda: WRONG[number](layers, kind)) == theirs


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 4, 5), (1, 6, 4), (2, 6, 5), (6, 5)])
def test_states_of_a_wrong_shape_are_refused_alike(kind, shape):
    state = torch.zeros(shape)
    hx = (state, state) if kind == "LSTM" else state
    theirs, ours = pair(kind, 3, 5)
    expected, got = (error_of(lambda layer=layer: layer(X, hx)) for layer in (theirs, ours))
    assert got is not None
    assert got[0] is expected[0]


def test_what_it_cannot_do_is_refused_by_name():
    with pytest.raises(ValueError, match="proj_size: expected 0"):
        layers.LSTM(3, 5, proj_size=2)
    with pytest.raises(
        TypeError, match=r"GRU: expected weights of torch\.float32 or torch\.float64"
    ):
        layers.GRU(3, 5, dtype=torch.bfloat16)(X)
    with pytest.raises(TypeError, match=r"expected input of torch\.float32 or torch\.float64"):
        layers.GRU(3, 5)(X.half())
    with pytest.raises(RuntimeError, match="expected input on the CPU, got meta"):
        layers.GRU(3, 5)(X.to("meta"))
    with pytest.raises(ValueError, match=r"input: expected finite numbers, got nan at \[0, 1, 2\]"):
        layers.GRU(3, 5)(torch.where(torch.arange(72).view(4, 6, 3) == 5, torch.nan, X))
    output, _ = layers.GRU(3, 5)(X)
    with pytest.raises(ValueError, match=r"gradient of the output: expected finite numbers"):
        (output.sum() * torch.inf).backward()


def test_packed_sequences_come_back_as_they_were_packed():
    theirs, ours = pair("GRU", 3, 5, batch_first=True, bidirectional=True)
    lengths = torch.tensor([2, 6, 1, 6])
    packed = pack_padded_sequence(X, lengths, batch_first=True, enforce_sorted=False)
    expected, got = theirs(packed), ours(packed)
    for a, b in zip(expected[0], got[0], strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(expected[1], got[1])


def test_workers_of_a_data_loader(tmp_path):
    """Run in a process of its own: it forks, which a test runner with threads should not."""
    program = """
import torch, rnncore.torch
layer = rnncore.torch.GRU(3, 200)
class Data(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, i):
        with torch.no_grad(): return layer(torch.full((6, 3), float(i)))[0]
layer(torch.zeros(200, 64, 3))        # there are helping threads now
if __name__ == "__main__":
    loader = torch.utils.data.DataLoader(Data(), batch_size=2, num_workers=2)
    got = torch.cat(list(loader))
    print(torch.equal(got, torch.stack([Data()[i] for i in range(8)])))
"""
    assert last_line(program, tmp_path) == "True"


def test_distributed_data_parallel_on_two_processes(tmp_path):
    program = """
import os, sys, torch, rnncore.torch
import torch.distributed as dist, torch.multiprocessing as mp
def work(rank, port, queue):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(rank)                        # DDP gives both the first one's parameters
    layer = torch.nn.parallel.DistributedDataParallel(rnncore.torch.GRU(3, 5))
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.linspace(-1, 1, 72).view(4, 6, 3)
    for _ in range(3):
        optimiser.zero_grad()
        layer(x[:, rank * 3 : rank * 3 + 3])[0].square().mean().backward()
        optimiser.step()
    queue.put((rank, [p.detach().numpy().copy() for p in layer.parameters()]))
    dist.barrier()
    dist.destroy_process_group()
if __name__ == "__main__":
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0)); port = s.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.SimpleQueue()
    processes = [context.Process(target=work, args=(r, port, queue)) for r in range(2)]
    [p.start() for p in processes]
    got = dict(queue.get() for _ in range(2))
    [p.join() for p in processes]
    torch.manual_seed(0)
    alone = torch.nn.GRU(3, 5)
    optimiser = torch.optim.SGD(alone.parameters(), lr=0.1)
    x = torch.linspace(-1, 1, 72).view(4, 6, 3)
    for _ in range(3):
        optimiser.zero_grad()
        alone(x)[0].square().mean().backward()
        optimiser.step()
    expected = [p.detach().numpy() for p in alone.parameters()]
    print(all(abs(a - b).max() < 1e-5 for r in range(2) for a, b in zip(got[r], expected)))
"""
    assert last_line(program, tmp_path) == "True"


def test_shared_memory_stays_shared(tmp_path):
    layer = layers.GRU(3, 5)
    layer.share_memory()
    same = torch.nn.GRU(3, 5)
    same.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(X)[0], same(X)[0])
    assert layer.weight_hh_l0.is_shared()
    with torch.no_grad():
        layer.weight_hh_l0.mul_(2)
        same.weight_hh_l0.mul_(2)
    torch.testing.assert_close(layer(X)[0], same(X)[0])


def last_line(program, folder):
    path = folder / "program.py"
    path.write_text(program, "utf-8")
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=300,
        env={"PYTHONPATH": ":".join(p for p in sys.path if p), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]
