"""Networks from modules of PyTorch and modules from networks, there and back."""

import copy

import numpy as np
import pytest

import rnncore as rc

torch = pytest.importorskip("torch")

KINDS = ("RNN", "LSTM", "GRU")
X = torch.linspace(-1, 1, 4 * 6 * 3).view(4, 6, 3)


@pytest.mark.parametrize("seed", range(30))
def test_networks_go_there_and_back(seed):
    rng = np.random.default_rng(seed)
    kind = str(rng.choice(KINDS))
    options = {
        "num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.integers(2)),
        "bias": bool(rng.integers(2)), "readout": str(rng.choice(["last", "all"])),
        "dtype": str(rng.choice(["float32", "float64"])), "seed": 0,
    }  # fmt: skip
    if kind == "RNN":
        options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    outputs = int(rng.integers(1, 4)) if rng.integers(2) else None
    if outputs:
        options["readout_bias"] = bool(rng.integers(2))
    net = getattr(rc, kind)(3, 5, outputs, **options)
    x = rng.normal(size=(4, 6, 3)).astype(net.dtype)
    for own in False, True:
        module = net.to_torch(own=own)
        y = module(torch.from_numpy(x))
        expected = net(x).y if outputs else net(x).hidden
        np.testing.assert_allclose(
            (y if outputs else y[0]).detach().numpy(), expected, rtol=1e-4, atol=1e-6
        )
        for source in module, module.state_dict():
            more = {} if source is module or kind != "RNN" else {"nonlinearity": net.nonlinearity}
            back = rc.from_torch(source, readout=options["readout"], **more)
            assert back.flat.tobytes() == net.flat.tobytes()
            assert repr(back).split("loss")[0] == repr(net).split("loss")[0]
        if outputs:
            assert list(module.state_dict()) == list(net.parameters())
        again = copy.deepcopy(module)
        again.load_state_dict(module.state_dict())


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.LSTM(3, 5, num_layers=2, dropout=0.3, batch_first=True)
        self.norm = torch.nn.LayerNorm(5)
        self.fc = torch.nn.Linear(5, 2, bias=False)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


def test_a_layer_is_found_in_a_model():
    model = Model().eval()
    for net in (
        rc.from_torch(model, head="fc", loss="mse"),
        rc.from_torch(model.state_dict(), prefix="rnn.", head="fc", dropout=0.3, loss="mse"),
    ):
        assert (net.config["num_layers"], net.config["dropout"]) == (2, 0.3)
        with torch.no_grad():
            np.testing.assert_allclose(net(X.numpy()).y, model(X).numpy(), atol=1e-6)
        net.fit(X.numpy(), np.zeros((4, 2)), epochs=1, lr=0.1)
    assert rc.from_torch(model).output_size is None


BAD = [
    (lambda: rc.from_torch(3), TypeError, "source: expected a module of PyTorch or its state dict"),
    (lambda: rc.from_torch({}), ValueError, "source: expected one recurrent layer, got 0"),
    (
        lambda: rc.from_torch(torch.nn.ModuleList([torch.nn.GRU(2, 2), torch.nn.GRU(2, 2)])),
        ValueError,
        "got 2; choose one of",
    ),
    (lambda: rc.from_torch(Model(), prefix="gru."), ValueError, "prefix: expected one of"),
    (lambda: rc.from_torch(Model(), head="out"), ValueError, r"linear layers are \['fc'\]"),
    (lambda: rc.from_torch(Model(), head="norm"), ValueError, "head"),
    (
        lambda: rc.from_torch(torch.nn.LSTM(3, 5, proj_size=2)),
        ValueError,
        "expected a layer without projections, got weight_hr_l0",
    ),
    (
        lambda: rc.from_torch(torch.nn.GRU(3, 5), nonlinearity="relu"),
        ValueError,
        "nonlinearity: expected None for a GRU",
    ),
    (lambda: rc.RNN(3, 5, skip=2).to_torch(), ValueError, "skip: expected None for PyTorch, got 2"),
    (lambda: rc.RNN(3, 5, 1, readout="before").to_torch(), ValueError, "readout: expected 'last'"),
    (lambda: rc.MGU(3, 5).to_torch(), ValueError, "expected an RNN, LSTM or GRU, got a MGU"),
    (lambda: rc.GRU(3, 5, trainable_h0=True).to_torch(), ValueError, "trainable_h0: expected"),
    (lambda: rc.GRU(3, 5, nonlinearity="relu").to_torch(), ValueError, "nonlinearity: expected"),
    (lambda: rc.RNN(3, 5, nonlinearity="sigmoid").to_torch(), ValueError, "got 'sigmoid'"),
    (lambda: rc.GRU(3, 5).to_torch(own="yes"), TypeError, "own: expected True or False"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_what_cannot_cross_is_named(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_rnncore_alone_does_not_import_pytorch(printed_by):
    code = "import sys, rnncore; print('torch' in sys.modules)"
    assert printed_by(code).strip() == "False"
