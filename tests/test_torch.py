"""The same numbers as PyTorch, where it is installed: outputs, gradients, whole trainings."""

import numpy as np
import pytest
from cases import difference

import rnncore as rc

torch = pytest.importorskip("torch")


class Twin(torch.nn.Module):
    """torch.nn.RNN with a linear head, in float64."""

    def __init__(self, D, H, K, nonlinearity="tanh", bias=True, readout="last"):
        super().__init__()
        self.rnn = torch.nn.RNN(D, H, nonlinearity=nonlinearity, bias=bias, batch_first=True)
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


@pytest.mark.parametrize(
    ("options", "make"),
    [
        ({"optimizer": "sgd", "lr": 0.1}, lambda p: torch.optim.SGD(p, lr=0.1)),
        (
            {"optimizer": "momentum", "lr": 0.05},
            lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
        ),
        ({"optimizer": "adam", "lr": 0.02}, lambda p: torch.optim.Adam(p, lr=0.02)),
    ],
)
@pytest.mark.parametrize("clip", [None, 0.1])
def test_thirty_updates_from_the_same_weights(build, options, make, clip):
    rng = np.random.default_rng(1)
    net, twin = pair(loss="bce", K=2)
    x, y = rng.standard_normal((20, 8, 3)), targets(rng, "bce", (20,), 2)
    net.fit(x, y, epochs=30, batch_size=20, shuffle=False, clip_norm=clip, **options)
    optimiser = make(twin.parameters())
    for _ in range(30):
        optimiser.zero_grad()
        LOSSES["bce"](twin(torch.tensor(x)), torch.tensor(y)).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), clip)
        optimiser.step()
    for name, values in twin.state().items():
        assert np.abs(net.parameters()[name] - values.numpy()).max() < 1e-10, name


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
