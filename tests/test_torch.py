"""The same numbers as PyTorch, where it is installed: outputs, gradients, whole trainings."""

import numpy as np
import pytest
from cases import difference

import rnncore as rc

torch = pytest.importorskip("torch")


class Twin(torch.nn.Module):
    """torch.nn.RNN, LSTM or GRU with a linear head, in float64."""

    def __init__(self, D, H, K, nonlinearity="tanh", bias=True, readout="last", kind="RNN"):
        super().__init__()
        options = {"nonlinearity": nonlinearity} if kind == "RNN" else {}
        self.rnn = getattr(torch.nn, kind)(D, H, bias=bias, batch_first=True, **options)
        self.head = torch.nn.Linear(H, K, bias=bias)
        self.readout = readout
        self.double()

    def forward(self, x, h0=None):
        out, _ = self.rnn(x, h0)
        return self.head(out if self.readout == "all" else out[:, -1])

    def state(self):
        named = {name.removeprefix("rnn."): value for name, value in self.named_parameters()}
        return {name: value.detach() for name, value in named.items()}

    def grads(self):
        return {n.removeprefix("rnn."): p.grad.numpy() for n, p in self.named_parameters()}


LOSSES = {
    "mse": lambda z, d: ((z - d) ** 2).mean(),
    "bce": torch.nn.functional.binary_cross_entropy_with_logits,
    "cross_entropy": lambda z, d: torch.nn.functional.cross_entropy(
        z.reshape(-1, z.shape[-1]), d.reshape(-1), ignore_index=-1
    ),
}


def pair(seed=0, D=3, H=5, K=4, loss="mse", **options):
    torch.manual_seed(seed)
    twin = Twin(D, H, K, **options)
    net = rc.RNN(D, H, K, loss=loss, dtype="float64", **options)
    net.load_state_dict(twin.state())
    return net, twin


def targets(rng, loss, shape, K):
    if loss == "cross_entropy":
        return rng.integers(-1, K, shape)
    y = rng.standard_normal((*shape, K))
    return (y > 0).astype(float) if loss == "bce" else y


@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("H", [1, 5, 16])
def test_gradients(build, loss, readout, nonlinearity, bias, H):
    rng = np.random.default_rng(0)
    net, twin = pair(H=H, loss=loss, readout=readout, nonlinearity=nonlinearity, bias=bias)
    x, h0 = rng.standard_normal((20, 12, 3)), rng.standard_normal((20, 1, H))
    y = targets(rng, loss, (20, 12) if readout == "all" else (20,), 4)
    got_loss, got = net.loss_and_grad(x, y, h0=h0)
    expected = LOSSES[loss](
        twin(torch.tensor(x), torch.tensor(h0).transpose(0, 1)), torch.tensor(y)
    )
    expected.backward()
    assert got_loss == pytest.approx(expected.item(), rel=1e-12)
    for name, values in twin.grads().items():
        assert difference(got[name], values) < 1e-10, name


OPTIMISERS = [
    ({"optimizer": "sgd", "lr": 0.1}, torch.optim.SGD, {"lr": 0.1}),
    ({"optimizer": "momentum", "lr": 0.05}, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    (
        {"optimizer": "nesterov", "lr": 0.02, "momentum": 0.8},
        torch.optim.SGD,
        {"lr": 0.02, "momentum": 0.8, "nesterov": True},
    ),
    ({"optimizer": "rmsprop", "lr": 0.01}, torch.optim.RMSprop, {"lr": 0.01}),
    ({"optimizer": "rmsprop", "lr": 0.01, "alpha": 0.9, "eps": 1e-6}, torch.optim.RMSprop,
     {"lr": 0.01, "alpha": 0.9, "eps": 1e-6}),
    ({"optimizer": "adam", "lr": 0.02}, torch.optim.Adam, {"lr": 0.02}),
    ({"optimizer": "adam", "lr": 0.02, "betas": (0.8, 0.95)}, torch.optim.Adam,
     {"lr": 0.02, "betas": (0.8, 0.95)}),
    ({"optimizer": "adamw", "lr": 0.02}, torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "rule", "theirs"), OPTIMISERS)
@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_fifty_updates_from_the_same_weights(build, options, rule, theirs, decay, clip):
    rng = np.random.default_rng(1)
    net, twin = pair(loss="bce", K=2)
    x, y = rng.standard_normal((20, 8, 3)), targets(rng, "bce", (20,), 2)
    net.fit(
        x, y, epochs=50, batch_size=20, shuffle=False, clip_norm=clip, weight_decay=decay,
        **options,
    )  # fmt: skip
    optimiser = rule(twin.parameters(), **{**theirs, "weight_decay": decay})
    for _ in range(50):
        optimiser.zero_grad()
        LOSSES["bce"](twin(torch.tensor(x)), torch.tensor(y)).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip)
        optimiser.step()
    for name, values in twin.state().items():
        assert np.abs(net.parameters()[name] - values.numpy()).max() < 1e-10, name


SCHEDULES = [
    (rc.schedules.Step(0.1, every=7, factor=0.5),
     lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.5)),
    (rc.schedules.Cosine(0.1, end=0.01),
     lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 50, 0.01)),
    (rc.schedules.WarmUp(5, 0.1),
     lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.2, 1.0, 4)),
    (rc.schedules.Plateau(0.6, factor=0.5, patience=1, least=0.02),
     lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=1,
                                                          min_lr=0.02)),
    (rc.schedules.WarmUp(5, rc.schedules.Plateau(0.6, factor=0.5, patience=1, least=0.2)),
     lambda o: Warmed(o, factor=0.5, patience=1, min_lr=0.2)),
]  # fmt: skip


class Warmed:
    """LinearLR over five epochs, and ReduceLROnPlateau from the sixth on."""

    def __init__(self, optimiser, **options):
        self.rising = torch.optim.lr_scheduler.LinearLR(optimiser, 0.2, 1.0, 4)
        self.plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, **options)
        self.epochs = 0

    def step(self, loss):
        self.epochs += 1
        if self.epochs < 5:
            self.rising.step()
        elif self.epochs > 5:
            self.plateau.step(loss)


@pytest.mark.parametrize(("schedule", "make"), SCHEDULES, ids=lambda v: type(v).__name__)
def test_schedules(build, schedule, make):
    """Rates and what becomes of the weights, of a loss that does not always fall."""
    rng = np.random.default_rng(1)
    net, twin = pair(loss="mse", K=2)
    x, y = rng.standard_normal((20, 8, 3)), rng.standard_normal((20, 2))
    history = net.fit(
        x, y, epochs=50, batch_size=20, shuffle=False, optimizer="momentum", lr=schedule
    )
    plateau = schedule.plateau[0] > 0
    rate = 0.6 if plateau else 0.1
    optimiser = torch.optim.SGD(twin.parameters(), lr=rate, momentum=0.9)
    scheduler, rates = make(optimiser), []
    for _ in range(50):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.zero_grad()
        loss = LOSSES["mse"](twin(torch.tensor(x)), torch.tensor(y))
        loss.backward()
        optimiser.step()
        scheduler.step(*([loss.item()] if plateau else []))
    assert history.lr == pytest.approx(rates, rel=1e-12)
    assert len(set(rates)) > 3
    for name, values in twin.state().items():
        assert np.abs(net.parameters()[name] - values.numpy()).max() < 1e-10, name


def test_a_plateau_below_its_least_rate(build):
    """It stays: `least` only bounds what is lowered."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, patience=1, min_lr=0.02)
    rates = []
    for _ in range(8):
        rates.append(optimiser.param_groups[0]["lr"])
        scheduler.step(1.0)
    schedule = rc.schedules.Plateau(0.01, patience=1, least=0.02)
    net = rc.RNN(1, 2, 1, loss="mse", seed=0)
    history = net.fit(np.zeros((3, 2, 1)), np.ones(3), epochs=8, optimizer="sgd", lr=schedule)
    assert history.lr.tolist() == rates


def test_lists_equal_packed_sequences(build):
    rng = np.random.default_rng(2)
    net, twin = pair()
    x = [rng.standard_normal((n, 3)) for n in (4, 9, 1, 6)]
    packed = torch.nn.utils.rnn.pack_sequence([torch.tensor(s) for s in x], enforce_sorted=False)
    hidden, final = twin.rnn(packed)
    hidden, _ = torch.nn.utils.rnn.pad_packed_sequence(hidden, batch_first=True)
    out = net(x)
    assert np.abs(out.hidden - hidden.detach().numpy()).max() < 1e-14
    assert np.abs(out.final - final.detach().numpy().transpose(1, 0, 2)).max() < 1e-14


def test_torch_tensors_are_taken_as_arrays():
    net, twin = pair()
    x = torch.randn(2, 3, 3, dtype=torch.float64)
    assert np.abs(net(x).y - twin(x).detach().numpy()).max() < 1e-14


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("H", [1, 5, 16])
def test_gated_cells(build, kind, readout, bias, H):
    """Outputs, states, every gradient, those of x and of the first state."""
    rng = np.random.default_rng(0)
    net, twin = gated_pair(kind, H, bias=bias, readout=readout)
    x, y = rng.standard_normal((20, 12, 3)), targets(rng, "mse", (20, 12), 4)
    y = y if readout == "all" else y[:, 0]
    pair = rng.standard_normal((2 if kind == "LSTM" else 1, 20, 1, H))
    states = [torch.tensor(v).transpose(0, 1).contiguous().requires_grad_() for v in pair]
    x_t = torch.tensor(x, requires_grad=True)
    h0 = tuple(pair) if kind == "LSTM" else pair[0]
    out, final = twin.rnn(x_t, tuple(states) if kind == "LSTM" else states[0])
    z = twin.head(out if readout == "all" else out[:, -1])
    expected = LOSSES["mse"](z, torch.tensor(y))
    expected.backward()
    loss, grads = net.loss_and_grad(x, y, h0=h0)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for name, values in twin.grads().items():
        assert difference(grads[name], values) < 1e-10, name
    got = net(x, h0=h0)
    assert difference(got.hidden, out.detach().numpy()) < 1e-12
    _, dx, dh0 = net.vjp(x, 2 * (got.y - y) / y.size, h0=h0)
    assert difference(dx, x_t.grad.numpy()) < 1e-10
    finals = final if kind == "LSTM" else (final,)
    for k, state in enumerate(states):
        of_start, of_end = (dh0[k], got.final[k]) if kind == "LSTM" else (dh0, got.final)
        assert difference(of_start, state.grad.numpy().transpose(1, 0, 2)) < 1e-10
        assert difference(of_end, finals[k].detach().numpy().transpose(1, 0, 2)) < 1e-12


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_thirty_updates_of_gated_cells(build, kind):
    rng = np.random.default_rng(1)
    net, twin = gated_pair(kind, 5, readout="last")
    x, y = rng.standard_normal((20, 8, 3)), targets(rng, "mse", (20,), 4)
    net.fit(x, y, epochs=30, batch_size=20, shuffle=False, optimizer="adam", lr=0.02)
    optimiser = torch.optim.Adam(twin.parameters(), lr=0.02)
    for _ in range(30):
        optimiser.zero_grad()
        LOSSES["mse"](twin(torch.tensor(x)), torch.tensor(y)).backward()
        optimiser.step()
    for name, values in twin.state().items():
        assert np.abs(net.parameters()[name] - values.numpy()).max() < 1e-8, name


def gated_pair(kind, H, **options):
    torch.manual_seed(0)
    twin = Twin(3, H, 4, kind=kind, **options)
    net = getattr(rc, kind)(3, H, 4, loss="mse", dtype="float64", **options)
    net.load_state_dict(twin.state())
    return net, twin


# ---- stacks and directions ----------------------------------------------------------


class DeepTwin(torch.nn.Module):
    """Layers in both directions; the "last" read-out as ours: each direction's last state."""

    def __init__(self, kind, layers, both, readout, nonlinearity, D=3, H=5, K=4):
        super().__init__()
        options = {"nonlinearity": nonlinearity} if kind == "RNN" else {}
        self.rnn = getattr(torch.nn, kind)(
            D, H, num_layers=layers, bidirectional=both, batch_first=True, **options
        )
        self.head = torch.nn.Linear((1 + both) * H, K)
        self.directions, self.readout = 1 + both, readout
        self.double()

    def run(self, x, states, lengths=None):
        if lengths is not None:
            x = torch.nn.utils.rnn.pack_padded_sequence(
                x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
            )
        out, final = self.rnn(x, states)
        if lengths is not None:
            out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
        h = final[0] if isinstance(final, tuple) else final
        last = torch.cat(list(h[-self.directions :]), dim=1)
        return self.head(out if self.readout == "all" else last), out, final

    state, grads = Twin.state, Twin.grads


def deep_pair(kind, layers, both, readout, nonlinearity="tanh"):
    torch.manual_seed(0)
    twin = DeepTwin(kind, layers, both, readout, nonlinearity)
    options = {"nonlinearity": nonlinearity} if kind == "RNN" else {}
    net = getattr(rc, kind)(
        3, 5, 4, num_layers=layers, bidirectional=both, readout=readout, loss="mse",
        dtype="float64", **options,
    )  # fmt: skip
    net.load_state_dict(twin.state())
    return net, twin


DEEP = [
    (kind, layers, both)
    for kind in ("RNN", "LSTM", "GRU")
    for layers, both in ((1, True), (2, False), (2, True), (3, True))
]


@pytest.mark.parametrize(("kind", "layers", "both"), DEEP)
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("ragged", [False, True])
def test_stacks_and_directions(build, kind, layers, both, readout, ragged):
    """Outputs, states, every gradient, those of x and of the first states."""
    rng = np.random.default_rng(0)
    net, twin = deep_pair(kind, layers, both, readout)
    x, y = rng.standard_normal((20, 9, 3)), rng.standard_normal((20, 9, 4))
    lengths = rng.integers(1, 10, 20) if ragged else None
    if ragged:
        lengths[3] = 9  # torch pads to the longest only
    y = y if readout == "all" else y[:, 0]
    rows = layers * (1 + both)
    pair = rng.standard_normal((2 if kind == "LSTM" else 1, 20, rows, 5))
    states = [torch.tensor(v).transpose(0, 1).contiguous().requires_grad_() for v in pair]
    x_t = torch.tensor(x, requires_grad=True)
    z, out, final = twin.run(x_t, tuple(states) if kind == "LSTM" else states[0], lengths)
    counts = torch.ones(20, 9, dtype=bool)
    if ragged:
        counts = torch.arange(9) < torch.tensor(lengths)[:, None]
    error = ((z - torch.tensor(y)) ** 2)[counts] if readout == "all" else (z - torch.tensor(y)) ** 2
    expected = error.mean()
    expected.backward()
    h0 = tuple(pair) if kind == "LSTM" else pair[0]
    loss, grads = net.loss_and_grad(x, y, h0=h0, lengths=lengths)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for name, values in twin.grads().items():
        assert difference(grads[name], values) < 1e-10, name
    got = net(x, h0=h0, lengths=lengths)
    assert difference(got.hidden, out.detach().numpy()) < 1e-12
    dy = 2 * (got.y - y) / error.numel()
    _, dx, dh0 = net.vjp(x, dy, h0=h0, lengths=lengths)
    assert difference(dx, x_t.grad.numpy()) < 1e-10
    finals = final if kind == "LSTM" else (final,)
    for k, state in enumerate(states):
        of_start, of_end = (dh0[k], got.final[k]) if kind == "LSTM" else (dh0, got.final)
        assert difference(of_start, state.grad.numpy().transpose(1, 0, 2)) < 1e-10
        assert difference(of_end, finals[k].detach().numpy().transpose(1, 0, 2)) < 1e-12


@pytest.mark.parametrize(("kind", "layers", "both"), DEEP)
def test_thirty_updates_of_stacks(build, kind, layers, both):
    rng = np.random.default_rng(1)
    net, twin = deep_pair(kind, layers, both, "last")
    x, y = rng.standard_normal((20, 8, 3)), rng.standard_normal((20, 4))
    net.fit(x, y, epochs=30, batch_size=20, shuffle=False, optimizer="adam", lr=0.02)
    optimiser = torch.optim.Adam(twin.parameters(), lr=0.02)
    for _ in range(30):
        optimiser.zero_grad()
        ((twin.run(torch.tensor(x), None)[0] - torch.tensor(y)) ** 2).mean().backward()
        optimiser.step()
    for name, values in twin.state().items():
        assert np.abs(net.parameters()[name] - values.numpy()).max() < 1e-8, name


def test_trained_first_states_of_an_lstm():
    """torch has none: a first state expanded over the batch is one."""
    rng = np.random.default_rng(2)
    torch.manual_seed(0)
    twin = DeepTwin("LSTM", 2, True, "last", "tanh")
    net = rc.LSTM(3, 5, 4, num_layers=2, bidirectional=True, trainable_h0=True, loss="mse",
                  dtype="float64")  # fmt: skip
    pair = rng.standard_normal((2, 4, 5))
    net.load_state_dict(twin.state() | {"h0": pair[0], "c0": pair[1]})
    states = [torch.tensor(v, requires_grad=True) for v in pair]
    x, y = rng.standard_normal((6, 4, 3)), rng.standard_normal((6, 4))
    full = tuple(v[:, None].expand(-1, 6, -1).contiguous() for v in states)
    ((twin.run(torch.tensor(x), full)[0] - torch.tensor(y)) ** 2).mean().backward()
    _, grads = net.loss_and_grad(x, y)
    for name, state in zip(("h0", "c0"), states, strict=True):
        assert difference(grads[name], state.grad.numpy()) < 1e-10
